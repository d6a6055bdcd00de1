#include "hwynn/data/cifar.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::ExpectError;
using testing::TempFolder;

constexpr size_t kPlane = 32 * 32;

// The byte of a channel of a pixel: distinct for neighbours in every direction.
uint8_t Value(size_t record, size_t channel, size_t pixel) {
  return static_cast<uint8_t>(31 * record + 101 * channel + 7 * pixel + pixel / 256);
}

Bytes Records(const std::vector<Bytes>& labels) {
  Bytes bytes;
  for (size_t record = 0; record < labels.size(); ++record) {
    bytes.insert(bytes.end(), labels[record].begin(), labels[record].end());
    for (size_t c = 0; c < 3; ++c) {
      for (size_t pixel = 0; pixel < kPlane; ++pixel) bytes.push_back(Value(record, c, pixel));
    }
  }
  return bytes;
}

void WriteCifar10(const TempFolder& folder, const std::string& prefix = "") {
  for (uint8_t batch = 1; batch <= 5; ++batch) {
    folder.Write(prefix + "data_batch_" + std::to_string(batch) + ".bin", Records({{batch}, {9}}));
  }
  folder.Write(prefix + "test_batch.bin", Records({{0}, {1}, {2}}));
}

void ExpectImage(const Dataset& dataset, int64_t index, size_t record) {
  std::vector<float> image(3 * kPlane);
  dataset.Image(index, image);
  for (size_t pixel = 0; pixel < kPlane; ++pixel) {
    for (size_t c = 0; c < 3; ++c) {
      ASSERT_EQ(image[pixel * 3 + c], static_cast<float>(Value(record, c, pixel)) / 255.0f) << pixel << ' ' << c;
    }
  }
}

TEST(CifarTest, ReadsCifar10) {
  for (const char* prefix : {"", "cifar-10-batches-bin/"}) {
    const TempFolder folder;
    WriteCifar10(folder, prefix);
    const DatasetSplits splits = LoadCifar10(folder.path());
    EXPECT_EQ(splits.train->image_shape(), (Shape{32, 32, 3}));
    ASSERT_EQ(splits.train->size(), 10);
    ASSERT_EQ(splits.test->size(), 3);
    for (int64_t index = 0; index < 10; ++index) {
      EXPECT_EQ(splits.train->Label(index), index % 2 == 0 ? index / 2 + 1 : 9);
      ExpectImage(*splits.train, index, static_cast<size_t>(index % 2));
    }
    ExpectImage(*splits.test, 2, 2);
    EXPECT_EQ(splits.test->class_names()[6], "frog");
  }
}

TEST(CifarTest, ReadsFineLabelsOfCifar100) {
  const TempFolder folder;
  folder.Write("cifar-100-binary/train.bin", Records({{3, 99}, {19, 0}}));
  folder.Write("cifar-100-binary/test.bin", Records({{200, 42}}));  // the coarse label isn't looked at
  const DatasetSplits splits = LoadCifar100(folder.path());
  EXPECT_EQ(splits.train->num_classes(), 100);
  EXPECT_EQ(splits.train->Label(0), 99);
  EXPECT_EQ(splits.train->Label(1), 0);
  EXPECT_EQ(splits.test->Label(0), 42);
  ExpectImage(*splits.train, 1, 1);
  EXPECT_EQ(splits.train->class_names().front(), "apple");
  EXPECT_EQ(splits.train->class_names()[42], "leopard");
  EXPECT_EQ(splits.train->class_names().back(), "worm");
}

TEST(CifarTest, TakesClassNamesFromTheirFile) {
  const TempFolder folder;
  WriteCifar10(folder);
  const std::string text = "a\nb b\r\nc\nd\ne\nf\ng\nh\ni\nj\n\n";
  folder.Write("batches.meta.txt", {text.begin(), text.end()});
  EXPECT_EQ(LoadCifar10(folder.path()).train->class_names(),
            (std::vector<std::string>{"a", "b b", "c", "d", "e", "f", "g", "h", "i", "j"}));
  folder.Write("batches.meta.txt", {'a', '\n'});
  ExpectError([&] { LoadCifar10(folder.path()); }, {folder / "batches.meta.txt", "1 class names instead of 10"});
  folder.Write("batches.meta.txt", {'a', '\n', 0xc3, '\n'});
  ExpectError([&] { LoadCifar10(folder.path()); }, {folder / "batches.meta.txt", "line 2 isn't UTF-8"});
}

TEST(CifarTest, RejectsBadFiles) {
  const auto expect_bad = [](const std::string& file, const Bytes& bytes, std::initializer_list<std::string> texts) {
    const TempFolder folder;
    WriteCifar10(folder);
    folder.Write(file, bytes);
    ExpectError([&] { LoadCifar10(folder.path()); }, {folder / file});
    ExpectError([&] { LoadCifar10(folder.path()); }, texts);
  };
  const Bytes good = Records({{0}, {1}});
  expect_bad("data_batch_3.bin", {}, {"ends at byte 0"});
  expect_bad("data_batch_3.bin", {good.begin(), good.begin() + 3072}, {"ends at byte 3072", "record of 3073"});
  expect_bad("data_batch_5.bin", {good.begin(), good.end() - 1}, {"3072 bytes from byte 3073"});
  Bytes longer = good;
  longer.push_back(0);
  expect_bad("test_batch.bin", longer, {"1 bytes from byte 6146"});
  expect_bad("test_batch.bin", Records({{0}, {10}}), {"label 10 at byte 3073 is not one of 10 classes"});
  expect_bad("data_batch_1.bin", Records({{255}}), {"label 255 at byte 0"});
}

TEST(CifarTest, NamesWhatIsMissing) {
  const TempFolder folder;
  ExpectError<std::invalid_argument>([] { LoadCifar10(""); }, {"CIFAR-10", "--data-dir"});
  ExpectError<std::invalid_argument>([] { LoadCifar100(""); }, {"CIFAR-100", "--data-dir"});
  ExpectError([&] { LoadCifar100(folder / "none"); }, {folder / "none", "--data-dir"});
  WriteCifar10(folder);
  std::filesystem::remove(folder / "data_batch_4.bin");
  ExpectError([&] { LoadCifar10(folder.path()); }, {folder / "data_batch_4.bin", "No such file"});
}

TEST(CifarTest, SaysWhichVersionAFolderHolds) {
  const auto expect = [](const auto& load, const std::string& file, std::initializer_list<std::string> texts) {
    const TempFolder folder;
    folder.Write(file, {1});
    ExpectError([&] { load(folder.path()); }, {folder / file.substr(0, file.find('/'))});
    ExpectError([&] { load(folder.path()); }, texts);
  };
  for (const char* file : {"cifar-10-batches-py/data_batch_1", "data_batch_1", "cifar-10-batches-mat/test_batch.mat",
                           "cifar-10-python.tar.gz"}) {
    expect(LoadCifar10, file, {"Python", "CIFAR-10;", "cifar-10-binary.tar.gz"});
  }
  for (const char* file : {"cifar-100-python/train", "train", "cifar-100-python.tar.gz"}) {
    expect(LoadCifar100, file, {"Python", "CIFAR-100;", "cifar-100-binary.tar.gz"});
  }
  expect(LoadCifar10, "cifar-10-binary.tar.gz", {"tar xf cifar-10-binary.tar.gz"});
  // Both versions side by side are no fault.
  const TempFolder folder;
  WriteCifar10(folder, "cifar-10-batches-bin/");
  folder.Write("cifar-10-batches-py/data_batch_1", {1});
  folder.Write("cifar-10-binary.tar.gz", {1});
  EXPECT_EQ(LoadCifar10(folder.path()).train->size(), 10);
}

}  // namespace
}  // namespace hwynn
