// hwynn train on data as others wrote and placed them, with no option but what they are and where.

#include <gtest/gtest.h>

#include <filesystem>

#include "hwynn/tests/data/idx_files.h"
#include "hwynn/tests/support/program.h"
#include "hwynn/tests/support/zip_files.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;
using testing::Bytes;
using testing::Idx;
using testing::NpyFile;
using testing::TempFolder;
using testing::ToBytes;
using testing::Zip;

constexpr uint32_t kTrain = 130, kTest = 7;  // a batch, and a little

// The class of image n shows in its brightness.
uint8_t Pixel(uint32_t n, size_t i) { return static_cast<uint8_t>(20 * (n % 10) + i % 13); }

Bytes Images(uint32_t count, size_t pixels) {
  Bytes bytes;
  for (uint32_t n = 0; n < count; ++n) {
    for (size_t i = 0; i < pixels; ++i) bytes.push_back(Pixel(n, i));
  }
  return bytes;
}

Bytes Labels(uint32_t count, uint8_t first = 0) {
  Bytes bytes;
  for (uint32_t n = 0; n < count; ++n) bytes.push_back(static_cast<uint8_t>(first + n % 10));
  return bytes;
}

void WriteIdx(const TempFolder& folder, const std::string& prefix, uint32_t count, uint8_t first_label) {
  folder.Write(prefix + "-images-idx3-ubyte.gz", testing::Gzip(Idx(0x803, {count, 28, 28}, Images(count, 28 * 28))));
  folder.Write(prefix + "-labels-idx1-ubyte", Idx(0x801, {count}, Labels(count, first_label)));
}

std::string Text(const Bytes& bytes) { return {bytes.begin(), bytes.end()}; }

// As Python 3 pickles a batch, in protocol 4.
Bytes CifarBatch(uint32_t count) {
  using namespace std::literals;
  const auto key = [](const std::string& name) {
    return "\x8c" + std::string(1, static_cast<char>(name.size())) + name;
  };
  std::string pickle = "\x80\x04}(" + key("labels") + "](";
  for (const uint8_t label : Labels(count)) pickle += std::string("K") + static_cast<char>(label);
  pickle += "e" + key("data") +
            "cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85"
            "C\1b\x87R(K\1J"s;
  testing::AppendNumber(pickle, count, 4);
  pickle +=
      "M\0\x0c\x86"
      "cnumpy\ndtype\n\x8c\2u1\x89\x88\x87R\x89"
      "B"s;
  testing::AppendNumber(pickle, uint64_t{count} * 3072, 4);
  return ToBytes(pickle + Text(Images(count, 3072)) + "tbu.");
}

std::string NpzFile(uint32_t count) {
  const std::string n = std::to_string(count);
  return Zip({{"x.npy", NpyFile("|u1", "(" + n + ", 16, 16, 3)", Text(Images(count, 768))), true},
              {"y.npy", NpyFile("|u1", "(" + n + ",)", Text(Labels(count)))}});
}

TEST(DatasetsTest, EachLayoutTrainsByItsName) {
  const fs::path program = testing::ProgramPath("hwynn");
  if (!fs::exists(program)) GTEST_SKIP() << "the program isn't built";
  struct Case {
    std::string name;
    void (*write)(const TempFolder& folder);
  };
  const std::vector<Case> cases = {
      {"emnist-letters",
       [](const TempFolder& folder) {
         WriteIdx(folder, "EMNIST/raw/emnist-letters-train", kTrain, 1);
         WriteIdx(folder, "EMNIST/raw/emnist-letters-test", kTest, 1);
       }},
      {"kmnist",
       [](const TempFolder& folder) {
         WriteIdx(folder, "KMNIST/raw/train", kTrain, 0);
         WriteIdx(folder, "KMNIST/raw/t10k", kTest, 0);
       }},
      {"cifar10",
       [](const TempFolder& folder) {
         for (const char batch : {'1', '2', '3', '4', '5'}) {
           folder.Write(std::string("cifar-10-batches-py/data_batch_") + batch, CifarBatch(kTrain / 5));
         }
         folder.Write("cifar-10-batches-py/test_batch", CifarBatch(kTest));
       }},
      {"npz",
       [](const TempFolder& folder) {
         folder.Write("train.npz", ToBytes(NpzFile(kTrain)));
         folder.Write("val.npz", ToBytes(NpzFile(kTest)));
       }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const TempFolder data, place;
    c.write(data);
    const auto run = [&](const std::vector<std::string>& arguments) {
      return testing::RunProgram(program, arguments, place);
    };
    const auto result = run({"train", "--dataset", c.name, "--data-dir", data.path(), "--output", place / "run"});
    EXPECT_EQ(result.code, 0) << result.err;
    const auto evaluated =
        run({"evaluate", "--checkpoint", place / "run/checkpoint.safetensors", "--data-dir", data.path(), "--json"});
    EXPECT_EQ(evaluated.code, 0) << evaluated.err;
  }
}

}  // namespace
}  // namespace hwynn
