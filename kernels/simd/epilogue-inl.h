// The one prologue and the one epilogue: of register tiles, of Winograd's transforms and of depthwise convolution; with
// the arithmetic of BatchNorm's own pass (normalize-inl.h), so that a fused BatchNorm has its bits. Per-target include
// guard.
#if defined(HWYNN_KERNELS_SIMD_EPILOGUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_SIMD_EPILOGUE_INL_H_
#undef HWYNN_KERNELS_SIMD_EPILOGUE_INL_H_
#else
#define HWYNN_KERNELS_SIMD_EPILOGUE_INL_H_
#endif

#include <hwy/highway.h>

#include "hwynn/kernels/simd/epilogue.h"
#include "hwynn/kernels/simd/normalize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// A Normalization in one vector of channels, from c on: the prologue of an input, the epilogue of an output.
template <class D>
class ChannelNorm {
 public:
  using V = hn::Vec<D>;

  template <class Access>
  HWY_INLINE ChannelNorm(D d, const Access& access, const Normalization& norm, int64_t c)
      : affine_(norm.mul != nullptr),
        relu_(norm.relu),
        mean_(affine_ ? access.Load(d, norm.mean + c) : hn::Zero(d)),
        mul_(affine_ ? access.Load(d, norm.mul + c) : hn::Zero(d)),
        bias_(affine_ ? access.Load(d, norm.bias + c) : hn::Zero(d)),
        upper_(hn::Set(d, norm.upper)) {}

  HWY_INLINE V Prologue(V x) const {
    if (affine_) x = Normalized(hn::Sub(x, mean_), mul_, bias_);
    return relu_ ? Clip(D(), x, upper_) : x;
  }

  /// Of kCount sums, value(0) …, with residual(i) loading what is added to value(i) if there is a residual. What is
  /// wanted is asked for once for all of them: as many branches as values would take longer than the arithmetic.
  template <int kCount, class Value, class Residual>
  HWY_INLINE void Epilogue(const Value& value, bool has_residual, const Residual& residual) const {
    if (affine_) {
      HWY_UNROLL(14) for (int i = 0; i < kCount; ++i) value(i) = Normalized(hn::Sub(value(i), mean_), mul_, bias_);
    }
    if (has_residual) {
      HWY_UNROLL(14) for (int i = 0; i < kCount; ++i) value(i) = hn::Add(value(i), residual(i));
    }
    if (relu_) {
      HWY_UNROLL(14) for (int i = 0; i < kCount; ++i) value(i) = Clip(D(), value(i), upper_);
    }
  }

 private:
  const bool affine_, relu_;
  const V mean_, mul_, bias_, upper_;
};

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_SIMD_EPILOGUE_INL_H_
