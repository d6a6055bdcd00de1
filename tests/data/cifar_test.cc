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

// Python's version, with the batches of tests/golden/data_golden.py.
Bytes Golden(const std::string& name) { return testing::ReadBytes(std::string(HWYNN_GOLDEN_DIR) + "/data/" + name); }

TEST(CifarTest, ReadsPythonsVersion) {
  for (const std::string name : {"batch_python2", "batch_protocol2", "batch_protocol5"}) {
    for (const std::string prefix : {"", "cifar-10-batches-py/"}) {
      const TempFolder folder;
      for (const char number : {'1', '2', '3', '4', '5'}) folder.Write(prefix + "data_batch_" + number, Golden(name));
      folder.Write(prefix + "test_batch", Golden("batch_protocol4"));
      folder.Write("cifar-10-python.tar.gz", {1});  // torchvision leaves it there
      const DatasetSplits splits = LoadCifar10(folder.path());
      ASSERT_EQ(splits.train->size(), 10);
      ASSERT_EQ(splits.test->size(), 2);
      EXPECT_EQ(splits.train->class_names()[6], "frog");
      for (int64_t index = 0; index < 10; ++index) {
        EXPECT_EQ(splits.train->Label(index), index % 2 == 0 ? 3 : 9);
        std::vector<float> image(3 * kPlane);
        splits.train->Image(index, image);
        for (size_t i = 0; i < 3 * kPlane; ++i) {
          const auto value = static_cast<uint8_t>(31 * (index % 2) + static_cast<int64_t>(7 * i + i / 256));
          ASSERT_EQ(image[i % kPlane * 3 + i / kPlane], static_cast<float>(value) / 255.0f);
        }
      }
      // The binary version goes first.
      WriteCifar10(folder, "cifar-10-batches-bin/");
      EXPECT_EQ(LoadCifar10(folder.path()).test->size(), 3);
    }
  }
}

// A pickle of protocol 2: a dictionary with texts in lists under `key`.
Bytes PickledNames(const std::string& key, size_t count) {
  std::string text = "\x80\x02}U" + std::string(1, static_cast<char>(key.size())) + key + "](";
  for (size_t i = 0; i < count; ++i)
    text += std::string("U\x02") + static_cast<char>('a' + i / 26) + static_cast<char>('a' + i % 26);
  text += "es.";
  return {text.begin(), text.end()};
}

// The golden batch with other bytes at the first place of `from`.
Bytes Replaced(const std::string& from, const std::string& to) {
  const Bytes golden = Golden("batch_python2");
  std::string text(golden.begin(), golden.end());
  text.replace(text.find(from), from.size(), to);
  return {text.begin(), text.end()};
}

TEST(CifarTest, ReadsPythonsCifar100AndItsNames) {
  const TempFolder folder;
  const std::string labels = "U\x06labels";
  folder.Write("cifar-100-python/train", Replaced(labels,
                                                  "U\x0b"
                                                  "fine_labels"));
  folder.Write("cifar-100-python/test", Replaced(labels,
                                                 "U\x0b"
                                                 "fine_labels"));
  EXPECT_EQ(LoadCifar100(folder.path()).train->class_names()[99], "worm");
  folder.Write("cifar-100-python/meta", PickledNames("fine_label_names", 100));
  const DatasetSplits splits = LoadCifar100(folder.path());
  EXPECT_EQ(splits.train->Label(1), 9);
  EXPECT_EQ(splits.test->class_names()[99], "dv");
  folder.Write("cifar-100-python/meta", PickledNames("fine_label_names", 99));
  ExpectError([&] { LoadCifar100(folder.path()); }, {"cifar-100-python/meta", "99 elements, not 100"});
  folder.Write("cifar-100-python/meta", PickledNames("label_names", 100));
  ExpectError([&] { LoadCifar100(folder.path()); }, {"cifar-100-python/meta", "has no \"fine_label_names\""});
}

TEST(CifarTest, RejectsBadPickles) {
  const auto expect_bad = [](const Bytes& bytes, std::initializer_list<std::string> texts) {
    const TempFolder folder;
    for (const char number : {'1', '2', '3', '4', '5'})
      folder.Write(std::string("data_batch_") + number, Golden("batch_python2"));
    folder.Write("test_batch", bytes);
    ExpectError([&] { LoadCifar10(folder.path()); }, {folder / "test_batch"});
    ExpectError([&] { LoadCifar10(folder.path()); }, texts);
  };
  expect_bad({}, {"is an empty file"});
  expect_bad({'<', 'h', 't', 'm', 'l', '>'}, {"is a web page"});
  expect_bad({1, 2, 3}, {"doesn't begin as a pickle"});
  expect_bad(Replaced("K\x03K\x09"
                      "e",
                      "K\x03K\x0a"
                      "e"),
             {"label 10 at element 1 of \"labels\" is not one of 10"});
  expect_bad(Replaced("K\x03K\x09"
                      "e",
                      "K\x03J\xff\xff\xff\xff"
                      "e"),
             {"label -1 at element 1"});
  expect_bad(Replaced("K\x03K\x09"
                      "e",
                      "K\x03"
                      "e"),
             {"[2,3072]", "[1,3072]", "1 labels"});
  expect_bad(Replaced("K\x02M", "K\x01M"), {"[1,3072] holds 6144 bytes"});
  expect_bad(Replaced("numpy.core.multiarray\n_reconstruct", "subprocess\nPopen"), {"names subprocess.Popen"});
  const TempFolder folder;
  folder.Write("data_batch_1", Golden("batch_python2"));
  ExpectError([&] { LoadCifar10(folder.path()); }, {folder / "data_batch_2", "No such file"});
}

TEST(CifarTest, SaysWhichVersionAFolderHolds) {
  const auto expect = [](const auto& load, const std::string& file, std::initializer_list<std::string> texts) {
    const TempFolder folder;
    folder.Write(file, {1});
    ExpectError([&] { load(folder.path()); }, {folder / file.substr(0, file.find('/'))});
    ExpectError([&] { load(folder.path()); }, texts);
  };
  expect(LoadCifar10, "cifar-10-batches-mat/test_batch.mat", {"Matlab", "CIFAR-10;", "cifar-10-binary.tar.gz"});
  expect(LoadCifar100, "train.mat", {"Matlab", "CIFAR-100;", "cifar-100-python.tar.gz"});
  expect(LoadCifar10, "cifar-10-binary.tar.gz", {"tar xf cifar-10-binary.tar.gz"});
  expect(LoadCifar100, "cifar-100-python.tar.gz", {"tar xf cifar-100-python.tar.gz"});
  const TempFolder empty;
  ExpectError([&] { LoadCifar100(empty.path()); }, {empty / "test.bin", "no such file", "Python version", "CIFAR-100"});
  // Versions side by side are no fault, nor are folders of classes with such names.
  const TempFolder folder;
  WriteCifar10(folder, "cifar-10-batches-bin/");
  folder.Write("cifar-10-batches-py/data_batch_1", {1});
  folder.Write("cifar-10-binary.tar.gz", {1});
  EXPECT_EQ(LoadCifar10(folder.path()).train->size(), 10);
  folder.Write("test/cat/1.png", {1});
  ExpectError([&] { LoadCifar100(folder.path()); }, {folder / "test.bin", "no such file"});
}

}  // namespace
}  // namespace hwynn
