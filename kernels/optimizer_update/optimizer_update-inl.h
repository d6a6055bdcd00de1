// Parameter updates and sums of squares over a run of elements.

#if defined(HWYNN_KERNELS_OPTIMIZER_UPDATE_OPTIMIZER_UPDATE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_OPTIMIZER_UPDATE_OPTIMIZER_UPDATE_INL_H_
#undef HWYNN_KERNELS_OPTIMIZER_UPDATE_OPTIMIZER_UPDATE_INL_H_
#else
#define HWYNN_KERNELS_OPTIMIZER_UPDATE_OPTIMIZER_UPDATE_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "hwynn/kernels/optimizer_update.h"
#include "hwynn/kernels/simd/tail-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Calls body.Run(access, d, i) on the elements begin … end − 1: whole vectors, then the tail with the same operations,
// so that an element's result doesn't depend on where the run was cut.
template <class D, class Body>
HWY_INLINE void ForElements(D d, int64_t begin, int64_t end, const Body& body) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes) body.Run(Whole<D>(), d, i);
  const TailTag<D> dt;
  for (; i < end; i += static_cast<int64_t>(hn::Lanes(dt))) body.Run(Tail<TailTag<D>>(dt, end - i), dt, i);
}

template <bool kMomentum, bool kNesterov>
struct SgdBody {
  template <class Access, class D>
  HWY_INLINE void Run(const Access& access, D d, int64_t i) const {
    const auto p = access.Load(d, param + i);
    const auto g = hn::MulAdd(hn::Set(d, decay), p, hn::Mul(hn::Set(d, grad_scale), access.Load(d, grad + i)));
    auto direction = g;
    if constexpr (kMomentum) {
      const auto t = hn::MulAdd(hn::Set(d, momentum), access.Load(d, trace + i), g);
      access.Store(t, d, trace + i);
      direction = kNesterov ? hn::MulAdd(hn::Set(d, momentum), t, g) : t;
    }
    access.Store(hn::NegMulAdd(hn::Set(d, learning_rate), direction, p), d, param + i);
  }

  float learning_rate, momentum, decay, grad_scale;
  float* HWY_RESTRICT param;
  const float* HWY_RESTRICT grad;
  float* HWY_RESTRICT trace;
};

// The constants of one AdamUpdate, each rounded once.
struct AdamBody {
  template <class Access, class D>
  HWY_INLINE void Run(const Access& access, D d, int64_t i) const {
    const auto p = access.Load(d, param + i);
    const auto g = hn::MulAdd(hn::Set(d, l2), p, hn::Mul(hn::Set(d, grad_scale), access.Load(d, grad + i)));
    const auto m = hn::MulAdd(hn::Set(d, one_minus_b1), g, hn::Mul(hn::Set(d, b1), access.Load(d, mu + i)));
    const auto v = hn::MulAdd(hn::Set(d, one_minus_b2), hn::Mul(g, g), hn::Mul(hn::Set(d, b2), access.Load(d, nu + i)));
    access.Store(m, d, mu + i);
    access.Store(v, d, nu + i);
    const auto m_hat = hn::Div(m, hn::Set(d, correction1));
    const auto v_hat = hn::Div(v, hn::Set(d, correction2));
    const auto root = hn::Sqrt(hn::Add(v_hat, hn::Set(d, epsilon_root)));
    const auto adam = hn::Div(m_hat, hn::Add(root, hn::Set(d, epsilon)));
    const auto direction = hn::MulAdd(hn::Set(d, decoupled_decay), p, adam);
    access.Store(hn::NegMulAdd(hn::Set(d, learning_rate), direction, p), d, param + i);
  }

  float learning_rate, grad_scale, l2, decoupled_decay;
  float b1, one_minus_b1, b2, one_minus_b2;
  float correction1, correction2, epsilon, epsilon_root;
  float* HWY_RESTRICT param;
  const float* HWY_RESTRICT grad;
  float* HWY_RESTRICT mu;
  float* HWY_RESTRICT nu;
};

// Σ x², element i in the partial sum i mod 16, those added as a tree. Squares of floats are exact in double, so every
// instruction set gets the same bits, with a fused multiply-add or without.
template <class D64>
HWY_INLINE double SumOfSquaresRun(D64 d, const float* x, int64_t count) {
  constexpr int64_t kPartials = 16;
  constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(D64()));
  static_assert(kPartials % kLanes == 0, "the partial sums are whole vectors");
  constexpr int64_t kVectors = kPartials / kLanes;
  const hn::Rebind<float, D64> df;
  hn::Vec<D64> sum[kVectors];
  for (auto& s : sum) s = hn::Zero(d);
  const auto add = [&](const float* from) HWY_ATTR {
    for (int64_t v = 0; v < kVectors; ++v) {
      const auto wide = hn::PromoteTo(d, hn::LoadU(df, from + v * kLanes));
      sum[v] = hn::MulAdd(wide, wide, sum[v]);
    }
  };
  int64_t i = 0;
  for (; i + kPartials <= count; i += kPartials) add(x + i);
  if (i < count) {
    float rest[kPartials] = {};
    std::memcpy(rest, x + i, static_cast<size_t>(count - i) * sizeof(float));
    add(rest);
  }
  double partial[kPartials];
  for (int64_t v = 0; v < kVectors; ++v) hn::StoreU(sum[v], d, partial + v * kLanes);
  for (int64_t width = kPartials / 2; width > 0; width /= 2) {
    for (int64_t k = 0; k < width; ++k) partial[k] += partial[k + width];
  }
  return partial[0];
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_OPTIMIZER_UPDATE_OPTIMIZER_UPDATE_INL_H_
