#ifndef HWYNN_KERNELS_POOL_POOL_GEOMETRY_H_
#define HWYNN_KERNELS_POOL_POOL_GEOMETRY_H_

// What a pool's row loops need to know: a PoolParams resolved against an input shape. Not for users.

#include <algorithm>
#include <cstdint>

namespace hwynn {

struct PoolGeometry {
  int64_t n, ih, iw, oh, ow, c;
  int64_t kh, kw, sh, sw;
  int64_t top, left;  // padding before

  int64_t InputRow() const { return iw * c; }
  int64_t OutputRow() const { return ow * c; }
};

/// The part of a window that lies inside the image along one axis: pixels begin … end − 1, empty when it is all
/// padding.
struct WindowSpan {
  WindowSpan(int64_t output, int64_t stride, int64_t before, int64_t window, int64_t input)
      : begin(std::max<int64_t>(0, output * stride - before)),
        end(std::min<int64_t>(input, output * stride - before + window)) {}
  int64_t begin, end;
};

/// The inverse: the windows begin … end − 1 that hold a pixel.
struct HoldingWindows {
  HoldingWindows(int64_t pixel, int64_t stride, int64_t before, int64_t window, int64_t output)
      : begin(pixel + before < window ? 0 : (pixel + before - window) / stride + 1),
        end(std::min<int64_t>(output, (pixel + before) / stride + 1)) {}
  int64_t begin, end;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_POOL_POOL_GEOMETRY_H_
