// The transforms of Winograd's F(4×4,3×3), Toom-Cook with the points 0, 1, −1, ½, −2, ∞. Their products stay small:
// rms errors are 2.7 times a direct convolution's, against 4 times with the usual 0, ±1, ±2, ∞ (docs/numerics.md).
// y = Aᵀ[(G·w·Gᵀ) ⊙ (Bᵀ·d·B)]A; Lavin & Gray, "Fast algorithms for convolutional neural networks" (2015).

#if defined(HWYNN_KERNELS_WINOGRAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_WINOGRAD_INL_H_
#undef HWYNN_KERNELS_WINOGRAD_INL_H_
#else
#define HWYNN_KERNELS_WINOGRAD_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "hwynn/kernels/channel_vectors-inl.h"
#include "hwynn/kernels/winograd.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

// Each transform is a map from N to M vectors, applied to the columns of a matrix and then to the rows of the result.

struct InputTransform {  // Bᵀ, the coefficients of Π_{j≠i}(x − point_j)
  static constexpr int kFrom = 6, kTo = 6;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    const V p = hn::Sub(x[3], x[1]);
    const V q = hn::Sub(x[4], x[2]);
    y[0] = hn::Add(hn::MulAdd(hn::Set(d, 1.5f), p, q), hn::Sub(x[0], x[2]));
    y[1] = hn::Add(hn::MulAdd(hn::Set(d, 0.5f), x[2], x[4]), hn::MulSub(hn::Set(d, 2.5f), x[3], x[1]));
    y[2] = hn::Add(hn::NegMulAdd(hn::Set(d, 2.5f), x[2], x[4]), hn::MulAdd(hn::Set(d, 0.5f), x[3], x[1]));
    y[3] = hn::MulAdd(hn::Set(d, 2.0f), p, q);
    y[4] = hn::NegMulAdd(hn::Set(d, 0.5f), p, q);
    y[5] = hn::Add(hn::MulAdd(hn::Set(d, 1.5f), q, hn::Sub(x[5], x[3])), hn::Sub(x[1], x[3]));
  }
};

struct OutputTransform {  // Aᵀ, powers of the points
  static constexpr int kFrom = 6, kTo = 4;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT m, V* HWY_RESTRICT y) const {
    const V sum = hn::Add(m[1], m[2]);
    const V difference = hn::Sub(m[1], m[2]);
    y[0] = hn::Add(hn::Add(m[0], sum), hn::Add(m[3], m[4]));
    y[1] = hn::NegMulAdd(hn::Set(d, 2.0f), m[4], hn::MulAdd(hn::Set(d, 0.5f), m[3], difference));
    y[2] = hn::MulAdd(hn::Set(d, 4.0f), m[4], hn::MulAdd(hn::Set(d, 0.25f), m[3], sum));
    y[3] = hn::Add(hn::NegMulAdd(hn::Set(d, 8.0f), m[4], hn::MulAdd(hn::Set(d, 0.125f), m[3], difference)), m[5]);
  }
};

struct GradientTransform {  // A
  static constexpr int kFrom = 4, kTo = 6;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    const V even = hn::Add(x[0], x[2]);
    const V odd = hn::Add(x[1], x[3]);
    y[0] = x[0];
    y[1] = hn::Add(even, odd);
    y[2] = hn::Sub(even, odd);
    y[3] = hn::MulAdd(hn::Set(d, 0.125f), x[3],
                      hn::MulAdd(hn::Set(d, 0.25f), x[2], hn::MulAdd(hn::Set(d, 0.5f), x[1], x[0])));
    y[4] = hn::NegMulAdd(hn::Set(d, 8.0f), x[3],
                         hn::MulAdd(hn::Set(d, 4.0f), x[2], hn::NegMulAdd(hn::Set(d, 2.0f), x[1], x[0])));
    y[5] = x[3];
  }
};

// G: powers of the points over N_i = Π_{j≠i}(point_i − point_j) = 1, 3, −3, −15/16, 15, 1.
inline constexpr float kThird = 1.0f / 3.0f;
inline constexpr float kHalfPoint = -16.0f / 15.0f;
inline constexpr float kMinusTwoPoint = 1.0f / 15.0f;

struct FilterTransform {
  static constexpr int kFrom = 3, kTo = 6;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT w, V* HWY_RESTRICT u) const {
    const V even = hn::Add(w[0], w[2]);
    u[0] = w[0];
    u[1] = hn::Mul(hn::Set(d, kThird), hn::Add(even, w[1]));
    u[2] = hn::Mul(hn::Set(d, -kThird), hn::Sub(even, w[1]));
    u[3] =
        hn::Mul(hn::Set(d, kHalfPoint), hn::MulAdd(hn::Set(d, 0.25f), w[2], hn::MulAdd(hn::Set(d, 0.5f), w[1], w[0])));
    u[4] = hn::Mul(hn::Set(d, kMinusTwoPoint),
                   hn::MulAdd(hn::Set(d, 4.0f), w[2], hn::NegMulAdd(hn::Set(d, 2.0f), w[1], w[0])));
    u[5] = w[2];
  }
};

struct FilterGradientTransform {  // Gᵀ
  static constexpr int kFrom = 6, kTo = 3;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT u, V* HWY_RESTRICT w) const {
    const V one = hn::Mul(hn::Set(d, kThird), u[1]);
    const V minus_one = hn::Mul(hn::Set(d, -kThird), u[2]);
    const V half = hn::Mul(hn::Set(d, kHalfPoint), u[3]);
    const V minus_two = hn::Mul(hn::Set(d, kMinusTwoPoint), u[4]);
    const V sum = hn::Add(one, minus_one);
    w[0] = hn::Add(hn::Add(u[0], sum), hn::Add(half, minus_two));
    w[1] = hn::NegMulAdd(hn::Set(d, 2.0f), minus_two, hn::MulAdd(hn::Set(d, 0.5f), half, hn::Sub(one, minus_one)));
    w[2] = hn::Add(hn::MulAdd(hn::Set(d, 4.0f), minus_two, hn::MulAdd(hn::Set(d, 0.25f), half, sum)), u[5]);
  }
};

// load(i) gives element i of a kFrom × kFrom matrix, store(i, v) takes element i of the kTo × kTo result.
template <class Transform, class D, class Load, class Store>
HWY_INLINE void TransformMatrix(D d, const Transform& transform, const Load& load, const Store& store) {
  constexpr int kFrom = Transform::kFrom;
  constexpr int kTo = Transform::kTo;
  using V = hn::Vec<D>;
  V columns[kTo][kFrom];
  HWY_UNROLL(6) for (int j = 0; j < kFrom; ++j) {
    V x[kFrom];
    V y[kTo];
    HWY_UNROLL(6) for (int i = 0; i < kFrom; ++i) x[i] = load(i * kFrom + j);
    transform(d, x, y);
    HWY_UNROLL(6) for (int i = 0; i < kTo; ++i) columns[i][j] = y[i];
  }
  HWY_UNROLL(6) for (int i = 0; i < kTo; ++i) {
    V y[kTo];
    transform(d, columns[i], y);
    HWY_UNROLL(6) for (int j = 0; j < kTo; ++j) store(i * kTo + j, y[j]);
  }
}

// A transform between arrays whose elements are found by from(i) and to(i).
template <class Transform, class From, class To>
HWY_INLINE void TransformChannels(const Transform& transform, int64_t channels, const From& from, const To& to) {
  const hn::ScalableTag<float> d;
  ForChannels(channels, static_cast<int64_t>(hn::Lanes(d)), [&](int64_t c, int64_t n) HWY_ATTR {
    TransformMatrix(
        d, transform, [&](int i) HWY_ATTR { return LoadUpTo(d, from(i) + c, n); },
        [&](int i, hn::Vec<decltype(d)> v) HWY_ATTR { StoreUpTo(d, v, to(i) + c, n); });
  });
}

void WinogradInput(const float* const* pixels, int64_t channels, float* to, int64_t stride) {
  TransformChannels(
      InputTransform(), channels, [&](int i) { return pixels[i]; }, [&](int p) { return to + p * stride; });
}

void WinogradGradient(const float* const* pixels, int64_t channels, float* to, int64_t stride) {
  TransformChannels(
      GradientTransform(), channels, [&](int i) { return pixels[i]; }, [&](int p) { return to + p * stride; });
}

void WinogradFilter(const float* taps, int64_t tap_stride, int64_t channels, float* to, int64_t stride) {
  TransformChannels(
      FilterTransform(), channels, [&](int k) { return taps + k * tap_stride; },
      [&](int p) { return to + p * stride; });
}

void WinogradFilterGradient(const float* from, int64_t stride, int64_t channels, float* taps, int64_t tap_stride) {
  TransformChannels(
      FilterGradientTransform(), channels, [&](int p) { return from + p * stride; },
      [&](int k) { return taps + k * tap_stride; });
}

void WinogradOutput(const float* from, int64_t stride, int64_t channels, const TileEpilogue& epilogue,
                    const float* const* residuals, float* const* outputs) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  ForChannels(channels, static_cast<int64_t>(hn::Lanes(d)), [&](int64_t c, int64_t n) HWY_ATTR {
    const V scale = epilogue.scale != nullptr ? LoadUpTo(d, epilogue.scale + c, n) : hn::Set(d, 1.0f);
    const V bias = epilogue.bias != nullptr ? LoadUpTo(d, epilogue.bias + c, n) : hn::Zero(d);
    const bool affine = epilogue.scale != nullptr || epilogue.bias != nullptr;
    TransformMatrix(
        d, OutputTransform(), [&](int p) HWY_ATTR { return LoadUpTo(d, from + p * stride + c, n); },
        [&](int i, V v) HWY_ATTR {
          if (outputs[i] == nullptr) return;
          if (affine) v = hn::MulAdd(v, scale, bias);
          if (residuals != nullptr) v = hn::Add(v, LoadUpTo(d, residuals[i] + c, n));
          if (epilogue.relu) v = Relu(v);
          StoreUpTo(d, v, outputs[i] + c, n);
        });
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_WINOGRAD_INL_H_
