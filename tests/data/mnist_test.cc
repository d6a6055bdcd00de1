#include "hwynn/data/mnist.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "hwynn/tests/data/idx_files.h"
#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::ExpectError;
using testing::Gzip;
using testing::Idx;
using testing::TempFolder;

Bytes Count(size_t count) {
  Bytes values(count);
  std::iota(values.begin(), values.end(), uint8_t{7});
  return values;
}

const Bytes kImages = Idx(0x803, {4, 3, 2}, Count(24));
const Bytes kLabels = Idx(0x801, {4}, {2, 0, 1, 2});

TEST(MnistTest, NamesWhatIsMissing) {
  const TempFolder folder;
  ExpectError([&] { LoadFashionMnist(folder / "none"); }, {folder / "none", "dataset-fashion-mnist", "--data-dir"});
  ExpectError([&] { LoadMnist(folder / "none"); }, {folder / "none", "MNIST", "--data-dir"});
  ExpectError<std::invalid_argument>([&] { LoadMnist(""); }, {"--data-dir"});
  ExpectError([&] { LoadMnist(folder.path()); }, {folder / "train-images-idx3-ubyte", ".gz"});
  folder.Write("train-images-idx3-ubyte/file", {});  // a folder where a file should be
  folder.Write("train-labels-idx1-ubyte", kLabels);
  ExpectError([&] { LoadMnist(folder.path()); }, {folder / "train-images-idx3-ubyte", "not a regular file"});
}

TEST(MnistTest, LoadsAFolderOfFourFiles) {
  const TempFolder folder;
  folder.Write("train-images-idx3-ubyte", kImages);
  folder.Write("train-labels-idx1-ubyte.gz", Gzip(kLabels));
  folder.Write("t10k-images-idx3-ubyte.gz", Gzip(Idx(0x803, {1, 3, 2}, Count(6))));
  folder.Write("t10k-labels-idx1-ubyte", Idx(0x801, {1}, {9}));
  const DatasetSplits splits = LoadMnist(folder.path());
  EXPECT_EQ(splits.train->size(), 4);
  EXPECT_EQ(splits.test->size(), 1);
  EXPECT_EQ(splits.test->Label(0), 9);
  EXPECT_EQ(splits.test->num_classes(), 10);

  folder.Write("t10k-images-idx3-ubyte.gz", Gzip(Idx(0x803, {1, 2, 3}, Count(6))));
  ExpectError([&] { LoadMnist(folder.path()); }, {folder.path(), "[3,2,1]", "[2,3,1]"});
}

// As archives and torchvision name and place them.
TEST(MnistTest, FindsTheFilesUnderOtherNames) {
  const Bytes one_image = Idx(0x803, {1, 3, 2}, Count(6)), one_label = Idx(0x801, {1}, {9});
  for (const bool fashion : {false, true}) {
    const std::string own = fashion ? "FashionMNIST" : "MNIST", others = fashion ? "MNIST" : "FashionMNIST";
    const auto load = [&](const std::string& folder) { return fashion ? LoadFashionMnist(folder) : LoadMnist(folder); };
    for (const std::string& place : {std::string(), std::string("raw/"), own + "/raw/"}) {
      for (const std::string join : {"-", "."}) {
        SCOPED_TRACE(place + join);
        const TempFolder folder;
        const auto write = [&](const std::string& in, const Bytes& images, const Bytes& labels) {
          folder.Write(in + "train-images" + join + "idx3-ubyte", images);
          folder.Write(in + "train-labels" + join + "idx1-ubyte.gz", Gzip(labels));
          folder.Write(in + "t10k-images" + join + "idx3-ubyte.gz", Gzip(one_image));
          folder.Write(in + "t10k-labels" + join + "idx1-ubyte", one_label);
        };
        write(place, kImages, kLabels);
        write(others + "/raw/", one_image, one_label);  // the other data set's are never taken
        const DatasetSplits splits = load(folder.path());
        EXPECT_EQ(splits.train->size(), 4);
        EXPECT_EQ(splits.test->size(), 1);
        EXPECT_EQ(splits.test->Label(0), 9);
      }
    }
    const TempFolder folder;
    folder.Write(others + "/raw/train-images-idx3-ubyte", one_image);
    ExpectError([&] { load(folder.path()); }, {folder / "train-images-idx3-ubyte"});
    folder.Write(own + "/raw/train-images.idx3-ubyte", one_image);
    ExpectError([&] { load(folder.path()); }, {folder / (own + "/raw/train-labels-idx1-ubyte"), "no such file"});
  }
}

// Folders as EMNIST's archive, its users and torchvision have them, with one image in all files but the one that
// counts.
TEST(MnistTest, ReadsEmnist) {
  struct Case {
    std::string split;
    size_t num_classes;
    uint8_t label;  // in the file
    std::string name;
  };
  const std::vector<Case> cases{{"letters", 26, 1, "a"},   {"letters", 26, 26, "z"},  {"balanced", 47, 10, "A"},
                                {"balanced", 47, 46, "t"}, {"balanced", 47, 38, "d"}, {"byclass", 62, 61, "z"},
                                {"byclass", 62, 36, "a"},  {"bymerge", 47, 35, "Z"},  {"digits", 10, 7, "7"},
                                {"mnist", 10, 0, "0"}};
  for (const Case& c : cases) {
    for (const std::string place : {"", "gzip/", "raw/", "EMNIST/raw/", "EMNIST/raw/gzip/"}) {
      SCOPED_TRACE(c.split + " in " + place);
      const TempFolder folder;
      const auto write = [&](const std::string& split) {
        folder.Write(place + split + "-train-images-idx3-ubyte.gz", Gzip(Idx(0x803, {1, 2, 3}, {1, 2, 3, 4, 5, 6})));
        folder.Write(place + split + "-train-labels-idx1-ubyte", Idx(0x801, {1}, {1}));
        folder.Write(place + split + "-test-images-idx3-ubyte", Idx(0x803, {1, 2, 3}, {6, 5, 4, 3, 2, 1}));
        folder.Write(place + split + "-test-labels-idx1-ubyte.gz", Gzip(Idx(0x801, {1}, {c.label})));
      };
      write("emnist-" + c.split);
      folder.Write(place + "emnist-other-train-images-idx3-ubyte", {});
      const DatasetSplits splits = LoadEmnist(c.split, folder.path());
      const std::vector<std::string>& names = splits.test->class_names();
      EXPECT_EQ(names.size(), c.num_classes);
      EXPECT_EQ(names[static_cast<size_t>(splits.test->Label(0))], c.name);
      std::vector<float> image(6);
      splits.train->Image(0, image);
      EXPECT_EQ(splits.train->image_shape(), (Shape{3, 2, 1}));
      EXPECT_EQ(image[1], 4.0f / 255.0f);  // the file's second row is the image's second column
      EXPECT_EQ(image[2], 2.0f / 255.0f);
    }
  }
  const TempFolder folder;
  ExpectError<std::invalid_argument>([&] { LoadEmnist("capitals", folder.path()); }, {"\"capitals\""});
  ExpectError<std::invalid_argument>([&] { LoadEmnist("letters", ""); }, {"EMNIST", "--data-dir"});
  ExpectError([&] { LoadEmnist("letters", folder.path()); },
              {folder / "emnist-letters-train-images-idx3-ubyte", ".gz"});
}

TEST(MnistTest, ReadsKmnist) {
  const TempFolder folder;
  for (const std::string split : {"train", "t10k"}) {
    folder.Write("KMNIST/raw/" + split + "-images-idx3-ubyte", Idx(0x803, {1, 2, 3}, {1, 2, 3, 4, 5, 6}));
    folder.Write("KMNIST/raw/" + split + "-labels-idx1-ubyte", Idx(0x801, {1}, {9}));
  }
  const DatasetSplits splits = LoadKmnist(folder.path());
  EXPECT_EQ(splits.test->class_names()[static_cast<size_t>(splits.test->Label(0))], "wo");
  std::vector<float> image(6);
  splits.train->Image(0, image);  // not mirrored
  EXPECT_EQ(image[1], 2.0f / 255.0f);
}

TEST(MnistTest, FashionMnist) {
  if (!std::filesystem::exists(kDebianFashionMnistDirectory)) GTEST_SKIP() << "dataset-fashion-mnist isn't installed";
  const DatasetSplits splits = LoadFashionMnist();
  EXPECT_EQ(splits.train->size(), 60000);
  EXPECT_EQ(splits.test->size(), 10000);
  EXPECT_EQ(splits.train->image_shape(), (Shape{28, 28, 1}));
  std::vector<int64_t> counts(10);
  for (int64_t index = 0; index < 60000; ++index) ++counts[static_cast<size_t>(splits.train->Label(index))];
  EXPECT_EQ(counts, std::vector<int64_t>(10, 6000));
  EXPECT_EQ(splits.train->class_names()[static_cast<size_t>(splits.train->Label(0))], "Ankle boot");
}

}  // namespace
}  // namespace hwynn
