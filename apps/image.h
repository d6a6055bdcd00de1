#ifndef HWYNN_APPS_IMAGE_H_
#define HWYNN_APPS_IMAGE_H_

#include <cstdint>
#include <string>

#include "hwynn/core/tensor.h"

namespace hwynn::apps {

/// Larger images are refused before their memory is asked for: a few bytes of PNG can claim 2³¹ × 2³¹ pixels. 16.8
/// million are more than cameras' usual pictures have, and take 250 MB as they are read.
inline constexpr int64_t kMaxPngPixels = int64_t{1} << 24;

/// A PNG file as [H,W,C] in 0 … 1, with 1 channel (Rec. 601 luma) or 3. Transparency is ignored. Throws
/// std::runtime_error with path and reason, for an image of more than kMaxPngPixels too.
Tensor ReadPng(const std::string& path, int64_t channels);

/// The image [H,W,C] in another size: the mean over each target pixel's area, which for enlarging is the nearest pixel
/// blended at the borders.
Tensor Resize(const Tensor& image, int64_t height, int64_t width);

}  // namespace hwynn::apps

#endif  // HWYNN_APPS_IMAGE_H_
