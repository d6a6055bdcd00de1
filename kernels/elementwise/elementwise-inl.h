// Vector code of elementwise.h; per-target include guard.
#if defined(HWYNN_KERNELS_ELEMENTWISE_ELEMENTWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_ELEMENTWISE_ELEMENTWISE_INL_H_
#undef HWYNN_KERNELS_ELEMENTWISE_ELEMENTWISE_INL_H_
#else
#define HWYNN_KERNELS_ELEMENTWISE_ELEMENTWISE_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "hwynn/kernels/simd/flat-inl.h"
#include "hwynn/kernels/simd/normalize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <bool kUpper, bool kStream>
struct ReluForwardOp : ElementwiseTask {
  template <class D>
  HWY_INLINE void operator()(D d, int64_t i, int64_t /*p*/) const {
    auto y = Relu(d, Get(d, a + i));
    if constexpr (kUpper) y = AtMost(hn::Set(d, upper), y);
    Put<kStream>(y, d, output + i);
  }
};

template <bool kUpper, bool kStream>
struct ReluBackwardOp : ElementwiseTask {
  template <class D>
  HWY_INLINE void operator()(D d, int64_t i, int64_t /*p*/) const {
    const auto y = Get(d, a + i);
    const auto grad = Get(d, b + i);
    Put<kStream>(kUpper ? ClipGradient(d, y, hn::Set(d, last), grad) : ReluGradient(d, y, grad), d, output + i);
  }
};

template <bool kRelu, bool kStream>
struct AddOp : ElementwiseTask {
  template <class D>
  HWY_INLINE void operator()(D d, int64_t i, int64_t /*p*/) const {
    auto sum = hn::Add(Get(d, a + i), Get(d, b + i));
    if constexpr (kRelu) sum = Relu(d, sum);
    Put<kStream>(sum, d, output + i);
  }
};

template <bool kStream>
struct MaskScaleOp : ElementwiseTask {
  template <class D>
  HWY_INLINE void operator()(D d, int64_t i, int64_t /*p*/) const {
    const hn::Rebind<uint8_t, D> d_bytes;
    const hn::Rebind<int32_t, D> d_ints;
    const auto bytes = hn::PromoteTo(d_ints, hn::LoadU(d_bytes, keep + i));
    const auto kept = hn::RebindMask(d, hn::Gt(bytes, hn::Zero(d_ints)));
    Put<kStream>(hn::IfThenElseZero(kept, hn::Mul(Get(d, a + i), hn::Set(d, scale))), d, output + i);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_ELEMENTWISE_ELEMENTWISE_INL_H_
