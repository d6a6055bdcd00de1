#ifndef HWYNN_IMAGES_CODECS_EXIF_H_
#define HWYNN_IMAGES_CODECS_EXIF_H_

#include <cstddef>
#include <span>

namespace hwynn {

/// How the camera was held, of EXIF 2.3's tag 0x0112: 1 … 8, where 1 is upright. `tiff` is what EXIF holds, a TIFF
/// header and the directory behind it. Whatever can't be read, or says something else, is 1: broken EXIF is no reason
/// to refuse an image.
int ExifOrientation(std::span<const std::byte> tiff);

}  // namespace hwynn

#endif  // HWYNN_IMAGES_CODECS_EXIF_H_
