#ifndef HWYNN_KERNELS_SIMD_EPILOGUE_H_
#define HWYNN_KERNELS_SIMD_EPILOGUE_H_

// What happens to values on their way into a kernel and out of it; epilogue-inl.h does it.

#include <cmath>
#include <cstdint>
#include <limits>

namespace hwynn {

/// The largest value that a ReLU with this upper end lets a gradient pass at; without one that is infinity.
inline float LastBelow(float upper) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return upper == kInfinity ? kInfinity : std::nextafter(upper, -kInfinity);
}

/// Per channel y = (x − mean)·mul + bias as BatchNormNormalize computes it; then, with relu, y is clipped to [0,
/// upper].
struct Normalization {
  // [channels] each, all three or none: null, x stays as it is.
  const float* mean = nullptr;
  const float* mul = nullptr;
  const float* bias = nullptr;
  bool relu = false;
  float upper = std::numeric_limits<float>::infinity();

  bool empty() const { return mul == nullptr && !relu; }
  /// The same for the channels from c on.
  Normalization From(int64_t c) const {
    return mul == nullptr ? *this : Normalization{mean + c, mul + c, bias + c, relu, upper};
  }
};

/// Of sums: normalised, + residual, then clipped. The residual is addressed like the output.
struct TileEpilogue {
  Normalization norm;
  const float* residual = nullptr;

  bool empty() const { return norm.empty() && residual == nullptr; }
  /// The same for the channels from c on.
  TileEpilogue From(int64_t c) const { return {norm.From(c), residual != nullptr ? residual + c : nullptr}; }
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_SIMD_EPILOGUE_H_
