// The mask and the sums of a gradient (gradient_sums.h) in vectors of channels. Per-target include guard.
#if defined(HWYNN_KERNELS_SIMD_GRADIENT_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_SIMD_GRADIENT_SUMS_INL_H_
#undef HWYNN_KERNELS_SIMD_GRADIENT_SUMS_INL_H_
#else
#define HWYNN_KERNELS_SIMD_GRADIENT_SUMS_INL_H_
#endif

#include <hwy/highway.h>

#include <limits>

#include "hwynn/kernels/simd/gradient_sums.h"
#include "hwynn/kernels/simd/normalize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// One vector of channels, from c of those of `sums` on. Rows that it adds come before all others that are added to the
/// same channels until Close().
template <class D, class Access>
class ChannelGradient {
 public:
  using V = hn::Vec<D>;

  HWY_INLINE ChannelGradient(D d, const Access& access, GradientSums& sums, int64_t c)
      : access_(access),
        relu_(sums.norm().relu),
        limited_(sums.last() != std::numeric_limits<float>::infinity()),
        mean_(access.Load(d, sums.norm().mean + c)),
        mul_(access.Load(d, sums.norm().mul + c)),
        bias_(access.Load(d, sums.norm().bias + c)),
        last_(hn::Set(d, sums.last())),
        grad_at_(sums.block_grad() + c),
        centered_at_(sums.block_centered() + c),
        grad_sum_(access.Load(d, grad_at_)),
        centered_sum_(access.Load(d, centered_at_)) {}

  /// Masks grad(i), i < kCount, in this order, and adds it up, where exists(i); input(i) loads its z, output(i) its y
  /// if there `has_output`. What is wanted is asked for once for all of them.
  template <int kCount, class Exists, class Grad, class Input, class Output>
  HWY_INLINE void Add(const Exists& exists, const Grad& grad, const Input& input, bool has_output,
                      const Output& output) {
    const D d;
    V centered[kCount];
    HWY_UNROLL(4) for (int i = 0; i < kCount; ++i) { centered[i] = exists(i) ? hn::Sub(input(i), mean_) : hn::Zero(d); }
    if (relu_) {
      V y[kCount];
      if (has_output) {
        HWY_UNROLL(4) for (int i = 0; i < kCount; ++i) y[i] = exists(i) ? output(i) : hn::Zero(d);
      } else {
        HWY_UNROLL(4) for (int i = 0; i < kCount; ++i) y[i] = Normalized(centered[i], mul_, bias_);
      }
      if (limited_) {
        HWY_UNROLL(4) for (int i = 0; i < kCount; ++i) grad(i) = ClipGradient(d, y[i], last_, grad(i));
      } else {
        HWY_UNROLL(4) for (int i = 0; i < kCount; ++i) grad(i) = ReluGradient(d, y[i], grad(i));
      }
    }
    HWY_UNROLL(4) for (int i = 0; i < kCount; ++i) {
      if (!exists(i)) continue;
      grad_sum_ = hn::Add(grad_sum_, grad(i));
      centered_sum_ = hn::MulAdd(grad(i), centered[i], centered_sum_);
    }
  }

  HWY_INLINE void Close() const {
    const D d;
    access_.Store(grad_sum_, d, grad_at_);
    access_.Store(centered_sum_, d, centered_at_);
  }

 private:
  const Access access_;
  const bool relu_, limited_;
  const V mean_, mul_, bias_, last_;
  float* const grad_at_;
  float* const centered_at_;
  V grad_sum_, centered_sum_;
};

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_SIMD_GRADIENT_SUMS_INL_H_
