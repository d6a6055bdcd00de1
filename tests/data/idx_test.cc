#include "hwynn/data/idx.h"

#include <gtest/gtest.h>

#include <algorithm>
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

const std::vector<std::string> kNames{"cat", "dog", "owl"};

Bytes Count(size_t count) {
  Bytes values(count);
  std::iota(values.begin(), values.end(), uint8_t{7});
  return values;
}

const Bytes kImages = Idx(0x803, {4, 3, 2}, Count(24));
const Bytes kLabels = Idx(0x801, {4}, {2, 0, 1, 2});

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

TEST(IdxTest, TurnsImagesUpright) {
  const TempFolder folder;
  const auto dataset = LoadIdx(folder.Write("i", kImages), folder.Write("l", kLabels), kNames, {.transposed = true});
  EXPECT_EQ(dataset->image_shape(), (Shape{2, 3, 1}));
  for (int64_t index = 0; index < 4; ++index) {
    std::vector<float> image(6);
    dataset->Image(index, image);
    for (int64_t y = 0; y < 2; ++y) {
      for (int64_t x = 0; x < 3; ++x) {
        EXPECT_EQ(image[static_cast<size_t>(y * 3 + x)], static_cast<float>(7 + index * 6 + x * 2 + y) / 255.0f);
      }
    }
  }
}

TEST(IdxTest, CountsLabelsFromTheFirst) {
  const TempFolder folder;
  folder.Write("i", kImages);
  folder.Write("l", Idx(0x801, {4}, {3, 1, 2, 1}));
  const auto dataset = LoadIdx(folder / "i", folder / "l", kNames, {.first_label = 1});
  for (int64_t i = 0; i < 4; ++i)
    EXPECT_EQ(dataset->Label(i), (std::vector<int32_t>{2, 0, 1, 0})[static_cast<size_t>(i)]);
  for (const uint8_t label : {0, 4}) {
    folder.Write("l", Idx(0x801, {4}, {3, label, 2, 1}));
    ExpectError([&] { LoadIdx(folder / "i", folder / "l", kNames, {.first_label = 1}); },
                {folder / "l", "at byte 9 is not one of 3 classes from 1 on"});
  }
}

}  // namespace
}  // namespace hwynn
