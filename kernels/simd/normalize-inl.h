// Normalising a vector, and where a gradient passes the ReLU behind it: forward and backward passes must agree on
// that bit by bit, so they share this code. Per-target include guard.
#if defined(HWYNN_KERNELS_SIMD_NORMALIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_SIMD_NORMALIZE_INL_H_
#undef HWYNN_KERNELS_SIMD_NORMALIZE_INL_H_
#else
#define HWYNN_KERNELS_SIMD_NORMALIZE_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// (x − mean)·mul + bias of `centered` = x − mean. The mean is subtracted before anything else:
/// x·mul + (bias − mean·mul) would lose |mean|/std of the accuracy.
template <class V>
HWY_INLINE V Normalized(V centered, V mul, V bias) {
  return hn::MulAdd(centered, mul, bias);
}

/// max(y, 0) and min(y, upper); NaN and −0 stay what they are. x86 has instructions that give the second operand then;
/// elsewhere Highway leaves open what they give.
template <class D>
HWY_INLINE hn::Vec<D> Relu(D d, hn::Vec<D> y) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_SSE4
  return hn::Max(hn::Zero(d), y);
#else
  return hn::IfThenZeroElse(hn::Lt(y, hn::Zero(d)), y);
#endif
}
template <class V>
HWY_INLINE V AtMost(V upper, V y) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_SSE4
  return hn::Min(upper, y);
#else
  return hn::IfThenElse(hn::Gt(y, upper), upper, y);
#endif
}

/// y clipped to [0, upper].
template <class D>
HWY_INLINE hn::Vec<D> Clip(D d, hn::Vec<D> y, hn::Vec<D> upper) {
  return AtMost(upper, Relu(d, y));
}

/// The gradient through max(0, y): `grad` where y > 0, else 0. y may be what the maximum gave.
template <class D>
HWY_INLINE hn::Vec<D> ReluGradient(D d, hn::Vec<D> y, hn::Vec<D> grad) {
  return hn::IfThenElseZero(hn::Gt(y, hn::Zero(d)), grad);
}

/// The gradient through Clip: `grad` where 0 < y ≤ last, else 0, with last = LastBelow(upper) (epilogue.h).
template <class D>
HWY_INLINE hn::Vec<D> ClipGradient(D d, hn::Vec<D> y, hn::Vec<D> last, hn::Vec<D> grad) {
  return hn::IfThenElseZero(hn::And(hn::Gt(y, hn::Zero(d)), hn::Le(y, last)), grad);
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_SIMD_NORMALIZE_INL_H_
