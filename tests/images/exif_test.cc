#include "hwynn/images/codecs/exif.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "hwynn/images/decoded_image.h"
#include "hwynn/tests/images/golden_images.h"

namespace hwynn {
namespace {

using testing::ExpectSameImage;
using testing::GoldenImages;

using FileBytes = std::vector<std::byte>;

struct Entry {
  uint32_t tag;
  uint32_t type;
  uint32_t count;
  uint32_t value;
};

constexpr Entry kMake = {0x010f, 2, 4, 0x41424344};

// A TIFF header with one directory.
FileBytes Tiff(bool big_endian, const std::vector<Entry>& entries, uint32_t offset = 8) {
  FileBytes bytes;
  const auto put = [&](uint32_t value, int size) {
    for (int i = 0; i < size; ++i) {
      bytes.push_back(static_cast<std::byte>(value >> 8 * (big_endian ? size - 1 - i : i)));
    }
  };
  put(big_endian ? 0x4d4d : 0x4949, 2);
  put(42, 2);
  put(offset, 4);
  while (bytes.size() < offset && bytes.size() < 100) put(0, 1);
  put(static_cast<uint32_t>(entries.size()), 2);
  for (const Entry& entry : entries) {
    put(entry.tag, 2);
    put(entry.type, 2);
    put(entry.count, 4);
    put(entry.value, entry.type == 3 ? 2 : 4);
    if (entry.type == 3) put(0, 2);
  }
  put(0, 4);
  return bytes;
}

Entry Orientation(uint32_t value) { return {0x0112, 3, 1, value}; }

TEST(ExifTest, TheOrientationIsFound) {
  for (const bool big_endian : {false, true}) {
    for (int value = 1; value <= 8; ++value) {
      const Entry orientation = Orientation(static_cast<uint32_t>(value));
      EXPECT_EQ(ExifOrientation(Tiff(big_endian, {orientation})), value);
      EXPECT_EQ(ExifOrientation(Tiff(big_endian, {kMake, orientation, kMake})), value);
      EXPECT_EQ(ExifOrientation(Tiff(big_endian, {kMake, orientation}, 21)), value);
    }
  }
}

TEST(ExifTest, WhatIsWrongIsUpright) {
  EXPECT_EQ(ExifOrientation({}), 1);
  EXPECT_EQ(ExifOrientation(Tiff(true, {})), 1);
  EXPECT_EQ(ExifOrientation(Tiff(true, {kMake})), 1);
  EXPECT_EQ(ExifOrientation(Tiff(true, {Orientation(0)})), 1);
  EXPECT_EQ(ExifOrientation(Tiff(true, {Orientation(9)})), 1);
  EXPECT_EQ(ExifOrientation(Tiff(false, {Orientation(65535)})), 1);
  EXPECT_EQ(ExifOrientation(Tiff(true, {{0x0112, 4, 1, 6}})), 1);  // a LONG
  EXPECT_EQ(ExifOrientation(Tiff(true, {{0x0112, 3, 2, 6}})), 1);  // two of them
  EXPECT_EQ(ExifOrientation(Tiff(false, {Orientation(6)}, 0xffffffff)), 1);
  EXPECT_EQ(ExifOrientation(Tiff(false, {Orientation(6)}, 0xfffffff0)), 1);
  for (const size_t changed : {0, 1, 2, 3}) {  // the header
    FileBytes tiff = Tiff(true, {Orientation(6)});
    tiff[changed] = std::byte{0x7f};
    EXPECT_EQ(ExifOrientation(tiff), 1);
  }
  FileBytes many = Tiff(true, {kMake, kMake});
  many[8] = many[9] = std::byte{0xff};  // 65535 entries
  EXPECT_EQ(ExifOrientation(many), 1);
}

// The buffer ends where the bytes do, which the sanitizers see.
TEST(ExifTest, EveryCutIsRead) {
  const FileBytes tiff = Tiff(false, {kMake, Orientation(6)}, 11);
  const size_t value_end = 11 + 2 + 12 + 8 + 2;
  for (size_t size = 0; size <= tiff.size(); ++size) {
    const FileBytes cut(tiff.begin(), tiff.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(ExifOrientation(cut), size >= value_end ? 6 : 1) << size;
  }
}

FileBytes WithExif(const FileBytes& jpeg, const FileBytes& tiff) {
  FileBytes segment = {std::byte{0xff}, std::byte{0xe1}};
  const size_t length = tiff.size() + 8;
  segment.push_back(static_cast<std::byte>(length >> 8));
  segment.push_back(static_cast<std::byte>(length));
  for (const char c : {'E', 'x', 'i', 'f', '\0', '\0'}) segment.push_back(static_cast<std::byte>(c));
  segment.insert(segment.end(), tiff.begin(), tiff.end());
  FileBytes file = jpeg;
  file.insert(file.begin() + 2, segment.begin(), segment.end());
  return file;
}

// Where the pixel that stands at (y, x) upright lies in a file of height × width, by EXIF's definition: which side of
// the upright image the file's first row and first column are.
std::pair<int64_t, int64_t> InFile(int orientation, int64_t y, int64_t x, int64_t height, int64_t width) {
  switch (orientation) {
    case 1:
      return {y, x};  // row 0 at the top, column 0 at the left
    case 2:
      return {y, width - 1 - x};  // top, right
    case 3:
      return {height - 1 - y, width - 1 - x};  // bottom, right
    case 4:
      return {height - 1 - y, x};  // bottom, left
    case 5:
      return {x, y};  // left, top
    case 6:
      return {height - 1 - x, y};  // right, top
    case 7:
      return {height - 1 - x, width - 1 - y};  // right, bottom
    default:
      return {x, width - 1 - y};  // left, bottom
  }
}

TEST(ExifTest, ImagesStandUpright) {
  const GoldenImages golden;
  for (const std::string name : {"420.jpg", "grey.jpg"}) {
    const DecodedImage plain = golden.Pixels(name + ".rgb");
    for (int orientation = 1; orientation <= 8; ++orientation) {
      SCOPED_TRACE(orientation);
      const FileBytes file =
          WithExif(golden.Bytes(name), Tiff(true, {Orientation(static_cast<uint32_t>(orientation))}));
      ExpectSameImage(DecodeImage(file, "x", {.apply_orientation = false}), plain);
      const DecodedImage upright = DecodeImage(file, "x");
      ASSERT_EQ(upright.height, orientation >= 5 ? plain.width : plain.height);
      ASSERT_EQ(upright.width, orientation >= 5 ? plain.height : plain.width);
      int64_t wrong = 0;
      for (int64_t y = 0; y < upright.height; ++y) {
        for (int64_t x = 0; x < upright.width; ++x) {
          const auto [fy, fx] = InFile(orientation, y, x, plain.height, plain.width);
          const uint8_t* const got = &upright.pixels[static_cast<size_t>((y * upright.width + x) * 3)];
          const uint8_t* const want = &plain.pixels[static_cast<size_t>((fy * plain.width + fx) * 3)];
          wrong += !std::equal(got, got + 3, want);
        }
      }
      EXPECT_EQ(wrong, 0);
    }
  }
}

TEST(ExifTest, GreyImagesStandUprightToo) {
  const GoldenImages golden;
  const FileBytes file = WithExif(golden.Bytes("420.jpg"), Tiff(false, {Orientation(6)}));
  const DecodedImage grey = DecodeImage(file, "x", {.channels = 1});
  const DecodedImage plain = golden.Pixels("420.jpg.grey");
  EXPECT_EQ(grey.height, plain.width);
  EXPECT_EQ(grey.pixels[0], plain.pixels[static_cast<size_t>((plain.height - 1) * plain.width)]);
}

TEST(ExifTest, BrokenExifIsIgnored) {
  const GoldenImages golden;
  const FileBytes file = WithExif(golden.Bytes("420.jpg"), Tiff(false, {Orientation(77)}));
  ExpectSameImage(DecodeImage(file, "x"), golden.Pixels("420.jpg.rgb"));
  ExpectSameImage(DecodeImage(WithExif(golden.Bytes("420.jpg"), {}), "x"), golden.Pixels("420.jpg.rgb"));
}

TEST(ExifTest, PngHasItToo) {
  const GoldenImages golden;
  const FileBytes tiff = Tiff(true, {Orientation(3)});
  FileBytes chunk;
  const auto put = [&](uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) chunk.push_back(static_cast<std::byte>(value >> shift));
  };
  put(static_cast<uint32_t>(tiff.size()));
  put(0x65584966);  // eXIf
  chunk.insert(chunk.end(), tiff.begin(), tiff.end());
  uint32_t crc = ~0u;  // PNG's
  for (size_t i = 4; i < chunk.size(); ++i) {
    crc ^= std::to_integer<uint32_t>(chunk[i]);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320u : 0u);
  }
  put(~crc);
  FileBytes file = golden.Bytes("rgb.png");
  file.insert(file.begin() + 33, chunk.begin(), chunk.end());  // behind the header
  const DecodedImage plain = golden.Pixels("rgb.png.rgb");
  const DecodedImage turned = DecodeImage(file, "x");
  ASSERT_EQ(turned.pixels.size(), plain.pixels.size());
  EXPECT_TRUE(std::equal(turned.pixels.begin(), turned.pixels.begin() + 3, plain.pixels.end() - 3));
  ExpectSameImage(DecodeImage(file, "x", {.apply_orientation = false}), plain);
}

}  // namespace
}  // namespace hwynn
