#ifndef HWYNN_IMAGES_CODECS_CODEC_H_
#define HWYNN_IMAGES_CODECS_CODEC_H_

// What the decoders of one format give to DecodeImage.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "hwynn/images/decoded_image.h"

namespace hwynn {

/// Neither side of an image may be longer, whatever the other one is: kernels/resize takes no more.
inline constexpr int64_t kMaxImageSide = int64_t{1} << 20;

struct CodecImage {
  DecodedImage image;   // as the file has it; of 1 channel only where the file is grey, for a JPEG
  int orientation = 1;  // of its EXIF data
};

/// Both throw std::runtime_error with path and reason; std::bad_alloc where the format's library has no memory.
CodecImage DecodePng(std::span<const std::byte> file, const std::string& path, int64_t max_pixels);
CodecImage DecodeJpeg(std::span<const std::byte> file, const std::string& path, int64_t max_pixels);

/// Throws std::runtime_error unless an image of such sides may be decoded.
void CheckImageSize(const std::string& path, int64_t height, int64_t width, int64_t max_pixels);

}  // namespace hwynn

#endif  // HWYNN_IMAGES_CODECS_CODEC_H_
