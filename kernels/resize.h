#ifndef HWYNN_KERNELS_RESIZE_H_
#define HWYNN_KERNELS_RESIZE_H_

// Resizing of images of bytes, with the bits that Pillow's Image.resize has: an image that is made smaller is filtered
// first, over all pixels that a pixel of the result covers. From 13.0 on Pillow takes the columns first for some
// images, among them those made smaller that are more than about twice as high as wide: a byte may then differ by one
// level, rarely by more.
//
// Along an axis of n source and m result pixels let s = n/m, f = max(s, 1) and r = the filter's radius·f. Result pixel
// i sees the source pixels j from ⌊c − r + ½⌋ to ⌊c + r + ½⌋ − 1 that exist, c = (i + ½)·s, with weights
// filter((j + ½ − c)/f), divided by their sum and rounded to a whole number of 2⁻²² (halves away from 0):
//
//   kBilinear (radius 1): 1 − |x|
//   kBicubic  (radius 2): 1.5|x|³ − 2.5x² + 1 up to 1, −0.5|x|³ + 2.5x² − 4|x| + 2 up to 2
//
// A pass gives (Σ weight·pixel + 2²¹) >> 22, held in 0 … 255. The first pass goes along the rows, its bytes go into the
// second, along the columns.

#include <cstdint>
#include <span>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

enum class Interpolation { kBilinear, kBicubic };

/// Pixels of `channels` bytes each; pixel (y,x) begins at data[y·row_stride + x·channels]. So a part of an image is one
/// too: what lies around it isn't looked at.
struct ByteImageView {
  const uint8_t* data = nullptr;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  int64_t row_stride = 0;
};

/// The result's size, and the part of it that is wanted: a crop costs what it shows.
struct ResizeParams {
  Interpolation interpolation = Interpolation::kBilinear;
  int64_t height = 0;
  int64_t width = 0;
  int64_t window_top = 0;
  int64_t window_left = 0;
  int64_t window_height = 0;
  int64_t window_width = 0;

  /// All of the result.
  static ResizeParams Whole(int64_t height, int64_t width, Interpolation interpolation = Interpolation::kBilinear) {
    return {.interpolation = interpolation,
            .height = height,
            .width = width,
            .window_height = height,
            .window_width = width};
  }
};

/// Writes the window of the resized image, [window_height, window_width, channels] without gaps.
///
/// Reads only the rows and columns that the window needs. Aliasing: `output` overlaps nothing of the input. Throws
/// std::invalid_argument, before anything is written, for an empty image, sides of more than 2²⁰ pixels (of the
/// result: 2³¹ − 1), more than 1024 channels, a side that is to shrink to less than 1/2¹⁵, rows that overlap, a window
/// that isn't inside the result, or another size of `output`. Determinism:
/// integers, so the same bits on every target and for any number of threads; the weights are computed in double with
/// +, −, ·, ÷ alone. Threads: images of more than some hundred thousand bytes are cut into parts.
void ResizeImage(const ResizeParams& params, const ByteImageView& input, std::span<uint8_t> output);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_RESIZE_H_
