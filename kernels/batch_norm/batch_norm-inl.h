// Vector code of batch_norm.h: the passes that write; per-target include guard. The sums are in channel_sums-inl.h.
#if defined(HWYNN_KERNELS_BATCH_NORM_BATCH_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_BATCH_NORM_BATCH_NORM_INL_H_
#undef HWYNN_KERNELS_BATCH_NORM_BATCH_NORM_INL_H_
#else
#define HWYNN_KERNELS_BATCH_NORM_BATCH_NORM_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "hwynn/kernels/batch_norm/batch_norm_task.h"
#include "hwynn/kernels/simd/flat-inl.h"
#include "hwynn/kernels/simd/normalize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <bool kResidual, bool kResidualNorm, bool kRelu, bool kStream>
struct NormalizeOp : NormalizeTask {
  template <class D>
  HWY_INLINE void operator()(D d, int64_t i, int64_t p) const {
    auto y = Norm(d, Get(d, input + i), norm, p);
    if constexpr (kResidual) {
      auto added = Get(d, residual + i);
      if constexpr (kResidualNorm) added = Norm(d, added, residual_norm, p);
      y = hn::Add(y, added);
    }
    if constexpr (kRelu) y = Clip(d, y, hn::Set(d, upper));
    Put<kStream>(y, d, output + i);
  }

 private:
  template <class D>
  static HWY_INLINE hn::Vec<D> Norm(D d, hn::Vec<D> x, const NormTables& tables, int64_t p) {
    return Normalized(hn::Sub(x, hn::LoadU(d, tables.mean + p)), hn::LoadU(d, tables.mul + p),
                      hn::LoadU(d, tables.bias + p));
  }
};

template <bool kStatistics, bool kReluOfOutput, bool kReluOfInput, bool kStream>
struct BackwardOp : BackwardTask {
  template <class D>
  HWY_INLINE void operator()(D d, int64_t i, int64_t p) const {
    auto g = Get(d, grad_output + i);
    const auto factor = hn::LoadU(d, mul + p);
    auto centered = hn::Zero(d);
    if constexpr (kStatistics || kReluOfInput) centered = hn::Sub(Get(d, input + i), hn::LoadU(d, mean + p));
    if constexpr (kReluOfOutput) g = ClipGradient(d, Get(d, output + i), hn::Set(d, last), g);
    if constexpr (kReluOfInput) {
      g = ClipGradient(d, Normalized(centered, factor, hn::LoadU(d, bias + p)), hn::Set(d, last), g);
    }
    if constexpr (kStatistics) {
      const auto indirect = hn::MulAdd(centered, hn::LoadU(d, of_centered + p), hn::LoadU(d, constant + p));
      Put<kStream>(hn::MulAdd(g, factor, indirect), d, grad_input + i);
    } else {
      Put<kStream>(hn::Mul(g, factor), d, grad_input + i);
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_BATCH_NORM_BATCH_NORM_INL_H_
