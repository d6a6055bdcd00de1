#include "hwynn/data/idx.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::ExpectError;
using testing::TempFolder;

const std::vector<std::string> kNames{"cat", "dog", "owl"};

void AppendBigEndian(Bytes& bytes, uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<uint8_t>(value >> shift));
}

Bytes Idx(uint32_t magic, const std::vector<uint32_t>& extents, const Bytes& values) {
  Bytes bytes;
  AppendBigEndian(bytes, magic);
  for (const uint32_t extent : extents) AppendBigEndian(bytes, extent);
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

Bytes Count(size_t count) {
  Bytes values(count);
  std::iota(values.begin(), values.end(), uint8_t{7});
  return values;
}

const Bytes kImages = Idx(0x803, {4, 3, 2}, Count(24));
const Bytes kLabels = Idx(0x801, {4}, {2, 0, 1, 2});

Bytes Gzip(const Bytes& bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes out(deflateBound(&stream, bytes.size()));
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Bytes Head(const Bytes& bytes, size_t count) { return {bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(count)}; }

Bytes Joined(Bytes bytes, const Bytes& more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
  return bytes;
}

// Loads the two files, and expects an error that names `file` and holds `texts`.
void ExpectBad(const Bytes& images, const Bytes& labels, const std::string& file,
               std::initializer_list<std::string> texts) {
  const TempFolder folder;
  folder.Write("images", images);
  folder.Write("labels", labels);
  const auto load = [&] { LoadIdx(folder / "images", folder / "labels", kNames); };
  ExpectError(load, {folder / file});
  ExpectError(load, texts);
}

TEST(IdxTest, ReadsPlainAndCompressedFiles) {
  const TempFolder folder;
  for (const bool gzip : {false, true}) {
    const auto pack = [&](const Bytes& bytes) { return gzip ? Gzip(bytes) : bytes; };
    const auto dataset = LoadIdx(folder.Write("i", pack(kImages)), folder.Write("l", pack(kLabels)), kNames);
    EXPECT_EQ(dataset->size(), 4);
    EXPECT_EQ(dataset->image_shape(), (Shape{3, 2, 1}));
    EXPECT_EQ(dataset->class_names(), kNames);
    for (int64_t index = 0; index < 4; ++index) {
      EXPECT_EQ(dataset->Label(index), (std::vector<int32_t>{2, 0, 1, 2})[static_cast<size_t>(index)]);
      std::vector<float> image(6);
      dataset->Image(index, image);
      for (int64_t i = 0; i < 6; ++i) {
        EXPECT_EQ(image[static_cast<size_t>(i)], static_cast<float>(7 + index * 6 + i) / 255.0f);
      }
    }
  }
}

TEST(IdxTest, RejectsEveryTruncation) {
  ExpectBad({}, kLabels, "images", {"is an empty file"});
  ExpectBad(kImages, {}, "labels", {"is an empty file"});
  for (size_t size = 1; size < kImages.size(); ++size) {
    ExpectBad(Head(kImages, size), kLabels, "images", {size < 16 ? "header" : "byte"});
  }
  for (size_t size = 1; size < kLabels.size(); ++size) {
    ExpectBad(kImages, Head(kLabels, size), "labels", {size < 8 ? "header" : "byte"});
  }
  const Bytes compressed = Gzip(kImages);
  for (size_t size = 1; size < compressed.size(); ++size) {
    ExpectBad(Head(compressed, size), kLabels, "images", {"byte"});
  }
}

TEST(IdxTest, RejectsEveryDamagedByteOfACompressedFile) {
  const Bytes compressed = Gzip(kImages);
  const TempFolder folder;
  folder.Write("labels", kLabels);
  for (size_t i = 0; i < compressed.size(); ++i) {
    if (i >= 4 && i < 10) continue;  // time, flags and system: they don't matter
    Bytes damaged = compressed;
    damaged[i] ^= 0x55;
    folder.Write("images", damaged);
    ExpectError([&] { LoadIdx(folder / "images", folder / "labels", kNames); }, {folder / "images"});
  }
}

TEST(IdxTest, RejectsWrongHeaders) {
  ExpectBad(kLabels, kLabels, "images", {"magic number at byte 0 is 2049, not 2051"});
  ExpectBad(kImages, kImages, "labels", {"magic number at byte 0 is 2051, not 2049"});
  ExpectBad(Idx(0x803, {4, 0, 2}, {}), kLabels, "images", {"size at byte 8 is 0"});
  ExpectBad(kImages, Idx(0x801, {0}, {}), "labels", {"size at byte 4 is 0"});
}

TEST(IdxTest, BelievesNoSizeThatTheFileCanNotHold) {
  constexpr uint32_t kHuge = 0xffffffff;
  for (const bool gzip : {false, true}) {
    const auto pack = [&](const Bytes& bytes) { return gzip ? Gzip(bytes) : bytes; };
    ExpectBad(pack(Idx(0x803, {kHuge, 28, 28}, Count(24))), kLabels, "images", {"up to byte 8", "promise more data"});
    ExpectBad(pack(Idx(0x803, {4, kHuge, kHuge}, Count(24))), kLabels, "images", {"promise more data"});
    // 2^64: wraps to 0.
    ExpectBad(pack(Idx(0x803, {65536, 65536, 0x80000000}, Count(24))), kLabels, "images", {"promise more data"});
    ExpectBad(kImages, pack(Idx(0x801, {kHuge}, Count(4))), "labels", {"promise more data"});
  }
}

TEST(IdxTest, RejectsMissingAndTrailingBytes) {
  ExpectBad(Idx(0x803, {4, 3, 2}, Count(23)), kLabels, "images", {"ends at byte 39, 1 bytes before"});
  ExpectBad(Gzip(Idx(0x803, {4, 3, 2}, Count(23))), kLabels, "images", {"ends at byte 39 of the decompressed data"});
  ExpectBad(Joined(kImages, {0}), kLabels, "images", {"trailing bytes from byte 40"});
  ExpectBad(Gzip(Joined(kImages, {0})), kLabels, "images", {"trailing bytes from byte 40 of the decompressed"});
  ExpectBad(Joined(Gzip(kImages), {0}), kLabels, "images", {"trailing bytes after the compressed data"});
  ExpectBad(kImages, Joined(kLabels, {0}), "labels", {"trailing bytes from byte 12"});
}

TEST(IdxTest, RejectsLabelsThatDoNotFit) {
  ExpectBad(kImages, Idx(0x801, {3}, {0, 1, 2}), "labels", {"4 images", "3 labels"});
  ExpectBad(kImages, Idx(0x801, {5}, {0, 1, 2, 0, 1}), "labels", {"4 images", "5 labels"});
  ExpectBad(kImages, Idx(0x801, {4}, {0, 1, 3, 2}), "labels", {"label 3 at byte 10 is not one of 3 classes"});
}

TEST(IdxTest, NamesWhatIsMissing) {
  const TempFolder folder;
  ExpectError([&] { LoadFashionMnist(folder / "none"); }, {folder / "none", "dataset-fashion-mnist", "--data-dir"});
  ExpectError([&] { LoadMnist(folder / "none"); }, {folder / "none", "MNIST", "--data-dir"});
  ExpectError<std::invalid_argument>([&] { LoadMnist(""); }, {"--data-dir"});
  ExpectError([&] { LoadMnist(folder.path()); }, {folder / "train-images-idx3-ubyte", ".gz"});
  folder.Write("train-images-idx3-ubyte/file", {});  // a folder where a file should be
  folder.Write("train-labels-idx1-ubyte", kLabels);
  ExpectError([&] { LoadMnist(folder.path()); }, {folder / "train-images-idx3-ubyte", "not a regular file"});
}

TEST(IdxTest, LoadsAFolderOfFourFiles) {
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
TEST(IdxTest, FindsTheFilesUnderOtherNames) {
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

TEST(IdxTest, FashionMnist) {
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
