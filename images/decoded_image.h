#ifndef HWYNN_IMAGES_DECODED_IMAGE_H_
#define HWYNN_IMAGES_DECODED_IMAGE_H_

// Photographs as bytes: reading PNG and JPEG files.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// An image in memory: rows of pixels of `channels` bytes each, grey (1) or RGB (3), as files hold them (sRGB, 0 …
/// 255).
struct DecodedImage {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 3;
  std::vector<uint8_t> pixels{};  // height·width·channels
};

struct DecodeOptions {
  /// 1 or 3: what the image is made. Grey is Rec. 601's luma, as Pillow computes it; transparency is dropped.
  int64_t channels = 3;
  /// Images of more pixels are refused before their memory is asked for: a few bytes can claim 2³¹ × 2³¹.
  int64_t max_pixels = int64_t{1} << 26;
  /// Turns the image as its EXIF data says, so that it stands upright.
  bool apply_orientation = true;
};

/// Decodes a PNG or JPEG file, told apart by content: grey, RGB, palette, alpha, 1 … 16 bits, interlaced, progressive.
/// `path` stands in error texts alone. Throws std::invalid_argument for channels other than 1 and 3; std::runtime_error
/// with path and reason for other files, CMYK, more than max_pixels, and files that are damaged or end too early.
/// Determinism: libjpeg's accurate integer DCT, so the same bytes wherever libjpeg-turbo runs.
DecodedImage DecodeImage(std::span<const std::byte> file, const std::string& path, const DecodeOptions& options = {});

/// DecodeImage of the file at `path`.
DecodedImage ReadImage(const std::string& path, const DecodeOptions& options = {});

}  // namespace hwynn

#endif  // HWYNN_IMAGES_DECODED_IMAGE_H_
