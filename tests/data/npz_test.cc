#include "hwynn/data/npz.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/zip_files.h"

namespace hwynn {
namespace {

using namespace std::literals;
using testing::ExpectError;
using testing::NpyFile;
using testing::TempFolder;
using testing::ToBytes;
using testing::Zip;

std::string GoldenPath(const std::string& name) { return std::string(HWYNN_GOLDEN_DIR) + "/data/" + name; }

std::vector<float> Image(const Dataset& dataset, int64_t index) {
  std::vector<float> image(static_cast<size_t>(dataset.image_shape().num_elements()));
  dataset.Image(index, image);
  return image;
}

// Pixel i of golden image n is 8 n + i.
void ExpectBytes(const Dataset& dataset, int64_t index, int first) {
  ASSERT_EQ(dataset.image_shape(), (Shape{2, 4, 1}));
  const std::vector<float> image = Image(dataset, index);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(image[static_cast<size_t>(i)], static_cast<float>(first + i) / 255.0f);
}

TEST(NpzTest, ReadsKerasAndMedMnistsFiles) {
  const DatasetSplits keras = LoadNpz(GoldenPath("keras.npz"));
  ASSERT_EQ(keras.train->size(), 3);
  ASSERT_EQ(keras.test->size(), 1);
  EXPECT_EQ(keras.train->class_names(), (std::vector<std::string>{"0", "1", "2"}));
  for (int n = 0; n < 3; ++n) ExpectBytes(*keras.train, n, 8 * n);
  ExpectBytes(*keras.test, 0, 100);
  EXPECT_EQ(keras.train->Label(0), 2);
  EXPECT_EQ(keras.train->Label(1), 0);
  EXPECT_EQ(keras.test->Label(0), 2);

  const TempFolder folder;  // by its folder, whatever its name is
  folder.Write("pneumonia.npz", testing::ReadBytes(GoldenPath("medmnist.npz")));
  const DatasetSplits medmnist = LoadNpz(folder.path());
  EXPECT_EQ(medmnist.train->size(), 3);
  ASSERT_EQ(medmnist.test->size(), 2);
  ExpectBytes(*medmnist.test, 1, 16);
  EXPECT_EQ(medmnist.test->Label(1), 1);
}

TEST(NpzTest, ReadsAFolderWithAFilePerSplit) {
  for (const bool val : {false, true}) {
    const TempFolder folder;
    folder.Write("train.npz", testing::ReadBytes(GoldenPath("rows.npz")));
    folder.Write(val ? "val.npz" : "test.npz", testing::ReadBytes(GoldenPath("columns.npz")));
    if (!val) folder.Write("val.npz", {1});  // test.npz goes first
    const DatasetSplits splits = LoadNpz(folder.path());
    for (const Dataset* dataset : {splits.train.get(), splits.test.get()}) {
      ASSERT_EQ(dataset->size(), 2);
      ASSERT_EQ(dataset->image_shape(), (Shape{3, 4, 2}));
      EXPECT_EQ(dataset->Label(0), 2);
      for (int64_t n = 0; n < 2; ++n) {
        const std::vector<float> image = Image(*dataset, n);
        for (int64_t i = 0; i < 24; ++i) {
          EXPECT_EQ(image[static_cast<size_t>(i)], static_cast<float>(24 * n + i) / 8.0f - 1.0f);
        }
      }
    }
  }
}

struct Arrays {
  std::string x = NpyFile("|u1", "(2, 1, 2)", "abcd");
  std::string y = NpyFile("|u1", "(2,)", "\0\1"s);
};

std::string Npz(const Arrays& arrays) { return Zip({{"x.npy", arrays.x, true}, {"y.npy", arrays.y}}); }

// The error of a folder with good training files and these test files.
void ExpectBad(const std::string& test, std::initializer_list<std::string> texts) {
  const TempFolder folder;
  folder.Write("train.npz", ToBytes(Npz({})));
  folder.Write("test.npz", ToBytes(test));
  ExpectError([&] { LoadNpz(folder.path()); }, {folder / "test.npz"});
  ExpectError([&] { LoadNpz(folder.path()); }, texts);
}

std::string Float32(float value) {
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

TEST(NpzTest, RejectsArraysThatDoNotFit) {
  ExpectBad(Npz({.x = NpyFile("|u1", "(4, 1)", "abcd")}), {"array \"x\" has shape [4,1]", "[N,H,W]"});
  ExpectBad(Npz({.x = NpyFile("|u1", "(0, 1, 2)", "")}), {"[0,1,2]"});
  ExpectBad(Npz({.x = NpyFile("|u1", "(1, 3, 5, 5)", std::string(75, 'a'))}), {"colour planes", "transpose"});
  ExpectBad(Npz({.x = NpyFile("<i4", "(2, 1, 2)", std::string(16, 'a'))}), {"array \"x\": is of type int32"});
  ExpectBad(Npz({.x = NpyFile("|u1", "(2, 2, 1)", "abcd")}), {"of [2,1,1]", "of [1,2,1]"});
  ExpectBad(Npz({.x = NpyFile("<f4", "(2, 1, 2)", std::string(16, '\0'))}), {"floating-point numbers", "bytes"});
  ExpectBad(Npz({.x = NpyFile("<f4", "(2, 1, 2)",
                              Float32(1) + Float32(std::numeric_limits<float>::infinity()) + Float32(0) + Float32(0))}),
            {"array \"x\" holds inf at element 1, which is not finite"});
  ExpectBad(Npz({.y = NpyFile("|u1", "(3,)", "\0\0\1"s)}), {"array \"y\" has shape [3]", "the 2 images"});
  ExpectBad(Npz({.y = NpyFile("|u1", "(2, 2)", "\0\1\1\0"s)}), {"array \"y\" has shape [2,2]"});
  ExpectBad(Npz({.y = NpyFile("<f4", "(2,)", std::string(8, '\0'))}), {"array \"y\": is of type float32"});
  ExpectBad(Npz({.y = NpyFile("|i1", "(2,)", "\0\xff"s)}), {"label -1 at element 1"});
  ExpectBad(Npz({.y = NpyFile("<i8", "(2,)", "\0\0\1\0\0\0\0\0"s + std::string(8, '\0'))}),
            {"label 65536 at element 0"});
  ExpectBad(Zip({{"y.npy", Arrays().y}, {"image\x1bs.npy", ""}}), {"has no array \"x\"; it has y, image?s"});
  ExpectBad(Zip({{"x.npy", Arrays().x}}), {"has no array \"y\"; it has x"});
  ExpectBad(Zip({{"x.npy", "content"}}), {"array \"x\": isn't NumPy's .npy"});
  ExpectBad(Npz({}).substr(0, 100), {"without a zip archive's directory"});
  ExpectBad("", {"is an empty file"});
  ExpectBad("\x93NUMPY\1\0", {"is NumPy's .npy, one array"});
  ExpectBad("no archive", {"is text"});
}

TEST(NpzTest, TakesLabelsOfColumns) {
  const TempFolder folder;
  const std::string column = NpyFile("<i8", "(2, 1)", std::string(8, '\0') + "\7\0\0\0\0\0\0\0"s);
  folder.Write("train.npz", ToBytes(Npz({.y = column})));
  folder.Write("test.npz", ToBytes(Npz({})));
  EXPECT_EQ(LoadNpz(folder.path()).train->Label(1), 7);
  EXPECT_EQ(LoadNpz(folder.path()).test->num_classes(), 8);
}

TEST(NpzTest, NamesWhatIsMissing) {
  const TempFolder folder;
  ExpectError<std::invalid_argument>([] { LoadNpz(""); }, {"train.npz", "--data-dir"});
  ExpectError([&] { LoadNpz(folder / "none"); }, {folder / "none", "no such file or folder", "--data-dir"});
  ExpectError([&] { LoadNpz(folder.path()); }, {folder / "train.npz", "no such file, and 0 other"});
  folder.Write("a.npz", ToBytes(Npz({})));
  ExpectError([&] { LoadNpz(folder.path()); }, {folder / "a.npz", "train.npz and test.npz"});
  ExpectError([&] { LoadNpz(folder / "a.npz"); }, {folder / "a.npz", "train.npz and test.npz"});
  folder.Write("b.npz", ToBytes(Zip({{"images.npy", ""}})));
  ExpectError([&] { LoadNpz(folder / "b.npz"); }, {"no array \"x_train\"; it has images"});
  ExpectError([&] { LoadNpz(folder.path()); }, {"and 2 other .npz files"});
  folder.Write("train.npz", ToBytes(Npz({})));
  ExpectError([&] { LoadNpz(folder.path()); }, {folder / "test.npz", "No such file"});
}

}  // namespace
}  // namespace hwynn
