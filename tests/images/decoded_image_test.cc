#include "hwynn/images/decoded_image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "hwynn/tests/images/golden_images.h"
#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;
using testing::ExpectSameImage;
using testing::GoldenImages;
using testing::TempFolder;

using FileBytes = std::vector<std::byte>;

TEST(DecodedImageTest, ReadsWhatPillowReads) {
  const GoldenImages golden;
  int64_t files = 0;
  for (const std::string& name : golden.Names()) {
    if (name == "cmyk.jpg") continue;
    SCOPED_TRACE(name);
    ExpectSameImage(DecodeImage(golden.Bytes(name), name), golden.Pixels(name + ".rgb"));
    ExpectSameImage(DecodeImage(golden.Bytes(name), name, {.channels = 1}), golden.Pixels(name + ".grey"));
    ++files;
  }
  EXPECT_EQ(files, 19);
}

TEST(DecodedImageTest, FilesAreToldApartByContent) {
  const GoldenImages golden;
  const TempFolder folder;
  const auto as_bytes = [&](const std::string& name) {
    const FileBytes bytes = golden.Bytes(name);
    const auto* const first = reinterpret_cast<const uint8_t*>(bytes.data());
    return testing::Bytes(first, first + bytes.size());
  };
  ExpectSameImage(ReadImage(folder.Write("a.png", as_bytes("420.jpg"))), golden.Pixels("420.jpg.rgb"));
  ExpectSameImage(ReadImage(folder.Write("b", as_bytes("rgb.png"))), golden.Pixels("rgb.png.rgb"));
  ExpectError([&] { ReadImage(folder / "nothing.png"); }, {"nothing.png"});
  ExpectError([&] { ReadImage(folder.path()); }, {folder.path()});
  ExpectError(
      [&] {
        ReadImage(folder.Write("gif", {'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0}));
      },
      {"gif: is neither a PNG nor a JPEG image"});
  ExpectError([&] { ReadImage(folder.Write("empty.jpg", {})); }, {"empty.jpg: is an empty file"});
  ExpectError([&] { ReadImage(folder.Write("page.jpg", {'<', 'h', 't', 'm', 'l', '>'})); }, {"web page"});
}

TEST(DecodedImageTest, ColoursForPrintingAreRefusedByName) {
  const GoldenImages golden;
  ExpectError([&] { DecodeImage(golden.Bytes("cmyk.jpg"), "print.jpg"); }, {"print.jpg: is a JPEG in CMYK"});
}

TEST(DecodedImageTest, OtherChannelsThanGreyAndColourAreRefused) {
  const GoldenImages golden;
  for (const int64_t channels : {0, 2, 4}) {
    EXPECT_THROW(DecodeImage(golden.Bytes("rgb.png"), "x", {.channels = channels}), std::invalid_argument);
  }
}

TEST(DecodedImageTest, ImagesOfTooManyPixelsAreRefused) {
  const GoldenImages golden;
  for (const std::string name : {"rgb.png", "420.jpg", "progressive.jpg"}) {
    const DecodedImage image = golden.Pixels(name + ".rgb");
    const int64_t pixels = image.height * image.width;
    ExpectSameImage(DecodeImage(golden.Bytes(name), name, {.max_pixels = pixels}), image);
    ExpectError([&] { DecodeImage(golden.Bytes(name), name, {.max_pixels = pixels - 1}); },
                {name, "pixels are more than " + std::to_string(pixels - 1)});
  }
}

// A JPEG's frame header: 0xff 0xc0 (or 0xc2), length, precision, height, width.
size_t FrameHeader(const FileBytes& jpeg) {
  for (size_t i = 2; i + 9 < jpeg.size();) {
    const int marker = std::to_integer<int>(jpeg[i + 1]);
    if (marker == 0xc0 || marker == 0xc2) return i;
    i += 2 + std::to_integer<size_t>(jpeg[i + 2]) * 256 + std::to_integer<size_t>(jpeg[i + 3]);
  }
  throw std::logic_error("no frame header");
}

// 4096 × 4096 pixels are fewer than max_pixels, but their memory isn't asked for.
TEST(DecodedImageTest, AFileThatClaimsMoreThanItCanHoldIsRefused) {
  const GoldenImages golden;
  for (const std::string name : {"420.jpg", "progressive.jpg", "grey.jpg", "grey_progressive.jpg"}) {
    FileBytes file = golden.Bytes(name);
    const size_t header = FrameHeader(file);
    for (const size_t at : {header + 5, header + 7}) {
      file[at] = std::byte{16};
      file[at + 1] = std::byte{0};
    }
    ExpectError([&] { DecodeImage(file, name); }, {name, "4096x4096 pixels are more than a file of"});
  }
}

// Each cut gives one sentence, or the whole image where nothing of it was lost.
TEST(DecodedImageTest, FilesThatEndTooEarlyAreErrors) {
  const GoldenImages golden;
  for (const std::string& name : golden.Names()) {
    if (name == "cmyk.jpg") continue;
    SCOPED_TRACE(name);
    const FileBytes file = golden.Bytes(name);
    const DecodedImage whole = golden.Pixels(name + ".rgb");
    size_t errors = 0;
    for (size_t size = 0; size < file.size(); ++size) {
      try {
        const DecodedImage image = DecodeImage({file.data(), size}, name);
        EXPECT_TRUE(image.pixels == whole.pixels) << "cut at " << size << " of " << file.size();
      } catch (const std::runtime_error& error) {
        EXPECT_EQ(std::string(error.what()).find(name), 0u) << error.what();
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
        ++errors;
      }
    }
    EXPECT_GE(errors + 17, file.size()) << "only what follows the pixels may be missing";
  }
}

TEST(DecodedImageTest, AJpegWithoutItsEndMarkerIsWhole) {
  const GoldenImages golden;
  const FileBytes file = golden.Bytes("444.jpg");
  ExpectSameImage(DecodeImage({file.data(), file.size() - 2}, "x"), golden.Pixels("444.jpg.rgb"));
  const FileBytes scans = golden.Bytes("progressive.jpg");
  ExpectError([&] { DecodeImage({scans.data(), scans.size() - 2}, "x"); }, {"x: the file ends before its image does"});
}

// Decoders run on damaged data: an error or an image, whatever is changed.
TEST(DecodedImageTest, ChangedBytesGiveOneSentenceOrAnImage) {
  const GoldenImages golden;
  for (const std::string& name : golden.Names()) {
    SCOPED_TRACE(name);
    for (size_t i = 0; i < golden.Bytes(name).size(); i += 5) {
      FileBytes file = golden.Bytes(name);
      file[i] ^= std::byte{0x55};
      try {
        const DecodedImage image = DecodeImage(file, name, {.max_pixels = 1 << 20});
        EXPECT_EQ(image.height * image.width * 3, std::ssize(image.pixels));
      } catch (const std::runtime_error& error) {
        EXPECT_EQ(std::string(error.what()).find(name), 0u) << error.what();
      }
    }
  }
}

// Each scan of a few bytes may go over all blocks.
TEST(DecodedImageTest, TooManyScansAreRefused) {
  const GoldenImages golden;
  FileBytes file = golden.Bytes("two_scans.jpg");
  size_t last = file.size() - 2;
  while (file[last] != std::byte{0xff} || file[last + 1] != std::byte{0xda}) --last;
  const FileBytes scan(file.begin() + static_cast<std::ptrdiff_t>(last), file.end() - 2);
  const auto with_scans = [&](int count) {
    FileBytes more = file;
    for (int i = 2; i < count; ++i) more.insert(more.end() - 2, scan.begin(), scan.end());
    return more;
  };
  ExpectSameImage(DecodeImage(with_scans(64), "x"), golden.Pixels("two_scans.jpg.rgb"));
  ExpectError([&] { DecodeImage(with_scans(65), "x"); }, {"x: the image has more than 64 scans"});
}

}  // namespace
}  // namespace hwynn
