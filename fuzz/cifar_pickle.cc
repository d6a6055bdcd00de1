// A pickle as a batch of CIFAR-10's Python version, as CIFAR-100's names, and as a dictionary of whatever it holds.

#include <filesystem>
#include <string>
#include <vector>

#include "hwynn/data/cifar.h"
#include "hwynn/formats/pickle.h"
#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {
namespace {

namespace fs = std::filesystem;

void Use(const Dataset& dataset) {
  std::vector<float> image(3 * 32 * 32);
  for (int64_t i = 0; i < dataset.size(); ++i) {
    dataset.Image(i, image);
    Require(dataset.Label(i) < dataset.num_classes(), "a label is a class");
  }
}

// A folder with `files`, all of which are the input.
std::string Folder(const Scratch& scratch, const std::string& name, const std::vector<std::string>& files,
                   const fs::path& input) {
  const fs::path folder = scratch / name;
  fs::create_directory(folder);
  for (const std::string& file : files) fs::create_symlink(input, folder / file);
  return folder.string();
}

void Look(Bytes input) {
  const PickledDictionary dictionary("input", input);
  ErrorOf([&] { dictionary.Integers("labels"); });
  ErrorOf([&] { dictionary.Texts("label_names", 2); });
  ErrorOf([&] {
    const ByteMatrix data = dictionary.Matrix("data");
    Require(static_cast<uint64_t>(data.rows) * static_cast<uint64_t>(data.columns) == data.values.size(),
            "a matrix has as many bytes as its shape says");
    Require(data.values.size() <= input.size(), "a matrix's bytes are the file's");
  });
}

}  // namespace

std::string ReadInput(Bytes input) {
  static const Scratch scratch;
  static const std::string path = scratch.Write("input", {});
  static const std::string batches =
      Folder(scratch, "batches",
             {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"}, path);
  static const std::string names = Folder(scratch, "names", {"train", "test", "meta"}, path);
  scratch.Write("input", input);
  ErrorOf([&] { Look(input); });
  ErrorOf([] { LoadCifar100(names); });
  return ErrorOf([] {
    const DatasetSplits splits = LoadCifar10(batches);
    Use(*splits.train);
    Use(*splits.test);
  });
}

}  // namespace hwynn::fuzz
