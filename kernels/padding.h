#ifndef HWYNN_KERNELS_PADDING_H_
#define HWYNN_KERNELS_PADDING_H_

// Flax's padding rules for convolutions and pools.

#include <array>
#include <cstddef>
#include <cstdint>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// SAME: output = ⌈input/stride⌉, an odd pixel of padding at the end. VALID: none. Explicit: as given; where it is
/// negative, so many rows or columns are cropped.
/// PyTorch's symmetric padding at stride 2 differs from SAME: there use Explicit.
struct Padding {
  enum class Kind { kSame, kValid, kExplicit };
  Kind kind = Kind::kSame;
  std::array<int64_t, 4> pixels = {0, 0, 0, 0};  // top, bottom, left, right; kExplicit only

  static constexpr Padding Same() { return {Kind::kSame, {}}; }
  static constexpr Padding Valid() { return {Kind::kValid, {}}; }
  static constexpr Padding Explicit(int64_t top, int64_t bottom, int64_t left, int64_t right) {
    return {Kind::kExplicit, {top, bottom, left, right}};
  }
  /// The same number of pixels on all sides, as PyTorch's `padding=p`.
  static constexpr Padding Symmetric(int64_t p) { return Explicit(p, p, p, p); }
  friend bool operator==(const Padding&, const Padding&) = default;
};

/// One axis of a window op, resolved.
struct WindowAxis {
  int64_t output;  // ⌊(input + before + after − extent) / stride⌋ + 1, may be ≤ 0 when the window doesn't fit
  int64_t before;
  int64_t after;
};

/// `axis` is 0 for height, 1 for width. extent = (window − 1)·dilation + 1.
/// SAME: total = max((⌈input/stride⌉ − 1)·stride + extent − input, 0), before = ⌊total/2⌋.
constexpr WindowAxis ResolveAxis(const Padding& padding, int axis, int64_t input, int64_t window, int64_t stride,
                                 int64_t dilation) {
  const int64_t extent = (window - 1) * dilation + 1;
  if (padding.kind == Padding::Kind::kSame) {
    const int64_t output = (input + stride - 1) / stride;
    const int64_t needed = (output - 1) * stride + extent - input;
    const int64_t total = needed > 0 ? needed : 0;
    return {output, total / 2, total - total / 2};
  }
  const bool given = padding.kind == Padding::Kind::kExplicit;
  const int64_t before = given ? padding.pixels[2 * static_cast<size_t>(axis)] : 0;
  const int64_t after = given ? padding.pixels[2 * static_cast<size_t>(axis) + 1] : 0;
  const int64_t room = input + before + after - extent;
  return {room < 0 ? 0 : room / stride + 1, before, after};
}

}  // namespace hwynn

#endif  // HWYNN_KERNELS_PADDING_H_
