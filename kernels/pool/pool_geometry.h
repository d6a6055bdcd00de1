#ifndef HWYNN_KERNELS_POOL_POOL_GEOMETRY_H_
#define HWYNN_KERNELS_POOL_POOL_GEOMETRY_H_

// What a pool's row loops need to know: a PoolParams resolved against an input shape. Not for users.

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace hwynn {

/// One axis: window o is made of the pixels o·stride − before + k·dilation, k < window, as far as they lie in
/// first … last − 1.
struct PoolAxis {
  int64_t input, output;
  int64_t window, stride, dilation;
  int64_t before;       // padding; cropped pixels if negative
  int64_t first, last;  // pixels that no crop takes away
  int64_t padded_end;   // one behind the last pixel, or the padding behind it

  /// The taps of a window that lie inside: the pixel of the first, and how many; ≤ 0 when it is all padding.
  struct Taps {
    int64_t begin, count;
  };
  const Taps* taps = nullptr;  // [output], what FindTaps has: divisions once an axis, not once a pixel

  /// The windows that hold a pixel: begin, begin + step, …; none when the count is ≤ 0.
  struct Windows {
    int64_t begin, count, step;
  };
  const Windows* windows = nullptr;  // [input], what FindWindows has

  int64_t Start(int64_t o) const { return o * stride - before; }

  /// Taps from a pixel on that lie less than `distance` behind it; ≤ 0 if there are none.
  int64_t TapsWithin(int64_t distance) const { return (distance + dilation - 1) / dilation; }

  Taps FindTaps(int64_t o) const {
    const int64_t start = Start(o);
    const int64_t outside = start < first ? TapsWithin(first - start) : 0;
    return {start + outside * dilation, std::min(window, TapsWithin(last - start)) - outside};
  }

  /// The first window whose last tap lies at a pixel or behind it.
  int64_t FirstReaching(int64_t pixel) const {
    const int64_t beyond = pixel + before - (window - 1) * dilation;
    return beyond <= 0 ? 0 : (beyond - 1) / stride + 1;
  }

  Windows FindWindows(int64_t pixel) const {
    if (pixel < first || pixel >= last) return {0, 0, 1};
    const int64_t end = std::min(output, (pixel + before) / stride + 1);
    int64_t begin = FirstReaching(pixel);
    while (begin < end && (pixel - Start(begin)) % dilation != 0) ++begin;
    const int64_t step = dilation / std::gcd(stride, dilation);
    return {begin, (end - begin + step - 1) / step, step};
  }
};

struct PoolGeometry {
  int64_t n, c;
  PoolAxis y, x;

  int64_t InputRow() const { return x.input * c; }
  int64_t OutputRow() const { return x.output * c; }
};

/// What the windows of an average are divided by: heights[oy]·widths[ox].
struct PoolAreas {
  const float* heights;
  const float* widths;
  bool equal;  // all of them
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_POOL_POOL_GEOMETRY_H_
