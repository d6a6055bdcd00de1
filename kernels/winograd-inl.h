// The transforms of Winograd's F(m×m,3×3): y = Aᵀ[(G·w·Gᵀ) ⊙ (Bᵀ·d·B)]A, Toom-Cook at m + 2 points; Lavin & Gray, "Fast
// algorithms for convolutional neural networks" (2015).

#if defined(HWYNN_KERNELS_WINOGRAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_WINOGRAD_INL_H_
#undef HWYNN_KERNELS_WINOGRAD_INL_H_
#else
#define HWYNN_KERNELS_WINOGRAD_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "hwynn/kernels/channel_vectors-inl.h"
#include "hwynn/kernels/tail-inl.h"
#include "hwynn/kernels/winograd.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

// Each transform below maps kFrom vectors to kTo along one axis of a tile. The points are 0, 1, ∞, −1, ½, −2 in this
// order; a tile with 2 or 3 outputs along the axis takes the first 4 or 5. Their products stay small: with all six, rms
// errors are 2.7 times a direct convolution's, against 4 times with the usual 0, ±1, ±2, ∞ (docs/numerics.md).
//
// Row i of Bᵀ holds the coefficients of Π_{j≠i}(x − point_j), row ∞ those of the product over all; row i of G the
// powers of the point over N_i = Π_{j≠i}(point_i − point_j). All tiles of a variant share G, whose N_i span all its
// points; so a tile that leaves points out has (point_i − point_left_out) as factors in Bᵀ. Aᵀ: powers of the points.

template <int kOutputs>
struct WinogradAxisOutput;  // Aᵀ

template <int kOutputs>
struct WinogradAxisGradient;  // A

template <>
struct WinogradAxisOutput<2> {
  static constexpr int kFrom = 4, kTo = 2;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D, const V* HWY_RESTRICT m, V* HWY_RESTRICT y) const {
    y[0] = hn::Add(hn::Add(m[1], m[3]), m[0]);
    y[1] = hn::Add(hn::Sub(m[1], m[3]), m[2]);
  }
};

template <>
struct WinogradAxisOutput<3> {
  static constexpr int kFrom = 5, kTo = 3;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT m, V* HWY_RESTRICT y) const {
    const V sum = hn::Add(m[1], m[3]);
    y[0] = hn::Add(hn::Add(m[0], m[4]), sum);
    y[1] = hn::MulAdd(hn::Set(d, 0.5f), m[4], hn::Sub(m[1], m[3]));
    y[2] = hn::MulAdd(hn::Set(d, 0.25f), m[4], hn::Add(sum, m[2]));
  }
};

template <>
struct WinogradAxisOutput<4> {
  static constexpr int kFrom = 6, kTo = 4;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT m, V* HWY_RESTRICT y) const {
    const V sum = hn::Add(m[1], m[3]);
    const V difference = hn::Sub(m[1], m[3]);
    y[0] = hn::Add(hn::Add(m[0], sum), hn::Add(m[4], m[5]));
    y[1] = hn::NegMulAdd(hn::Set(d, 2.0f), m[5], hn::MulAdd(hn::Set(d, 0.5f), m[4], difference));
    y[2] = hn::MulAdd(hn::Set(d, 4.0f), m[5], hn::MulAdd(hn::Set(d, 0.25f), m[4], sum));
    y[3] = hn::NegMulAdd(hn::Set(d, 8.0f), m[5], hn::MulAdd(hn::Set(d, 0.125f), m[4], hn::Add(difference, m[2])));
  }
};

template <>
struct WinogradAxisGradient<2> {
  static constexpr int kFrom = 2, kTo = 4;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    y[0] = x[0];
    y[1] = hn::Add(x[0], x[1]);
    y[2] = x[1];
    y[3] = hn::Sub(x[0], x[1]);
  }
};

template <>
struct WinogradAxisGradient<3> {
  static constexpr int kFrom = 3, kTo = 5;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    const V even = hn::Add(x[0], x[2]);
    y[0] = x[0];
    y[1] = hn::Add(even, x[1]);
    y[2] = x[2];
    y[3] = hn::Sub(even, x[1]);
    y[4] = hn::MulAdd(hn::Set(d, 0.25f), x[2], hn::MulAdd(hn::Set(d, 0.5f), x[1], x[0]));
  }
};

template <>
struct WinogradAxisGradient<4> {
  static constexpr int kFrom = 4, kTo = 6;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    const V even = hn::Add(x[0], x[2]);
    const V odd = hn::Add(x[1], x[3]);
    y[0] = x[0];
    y[1] = hn::Add(even, odd);
    y[2] = x[3];
    y[3] = hn::Sub(even, odd);
    y[4] = hn::MulAdd(hn::Set(d, 0.125f), x[3],
                      hn::MulAdd(hn::Set(d, 0.25f), x[2], hn::MulAdd(hn::Set(d, 0.5f), x[1], x[0])));
    y[5] = hn::NegMulAdd(hn::Set(d, 8.0f), x[3],
                         hn::MulAdd(hn::Set(d, 4.0f), x[2], hn::NegMulAdd(hn::Set(d, 2.0f), x[1], x[0])));
  }
};

// All six points. N = 1, 3, 1, −3, −15/16, 15.
struct WinogradF4 {
  static constexpr int kOutputs = 4;

  template <int kTileOutputs>
  struct Input;  // Bᵀ

  struct Filter {  // G
    static constexpr int kFrom = 3, kTo = 6;
    template <class D, class V = hn::Vec<D>>
    HWY_INLINE void operator()(D d, const V* HWY_RESTRICT w, V* HWY_RESTRICT u) const {
      const V even = hn::Add(w[0], w[2]);
      u[0] = w[0];
      u[1] = hn::Mul(hn::Set(d, kThird), hn::Add(even, w[1]));
      u[2] = w[2];
      u[3] = hn::Mul(hn::Set(d, -kThird), hn::Sub(even, w[1]));
      u[4] = hn::Mul(hn::Set(d, kHalf), hn::MulAdd(hn::Set(d, 0.25f), w[2], hn::MulAdd(hn::Set(d, 0.5f), w[1], w[0])));
      u[5] = hn::Mul(hn::Set(d, kMinusTwo),
                     hn::MulAdd(hn::Set(d, 4.0f), w[2], hn::NegMulAdd(hn::Set(d, 2.0f), w[1], w[0])));
    }
  };

  struct FilterGradient {  // Gᵀ
    static constexpr int kFrom = 6, kTo = 3;
    template <class D, class V = hn::Vec<D>>
    HWY_INLINE void operator()(D d, const V* HWY_RESTRICT u, V* HWY_RESTRICT w) const {
      const V one = hn::Mul(hn::Set(d, kThird), u[1]);
      const V minus_one = hn::Mul(hn::Set(d, -kThird), u[3]);
      const V half = hn::Mul(hn::Set(d, kHalf), u[4]);
      const V minus_two = hn::Mul(hn::Set(d, kMinusTwo), u[5]);
      const V sum = hn::Add(one, minus_one);
      w[0] = hn::Add(hn::Add(u[0], sum), hn::Add(half, minus_two));
      w[1] = hn::NegMulAdd(hn::Set(d, 2.0f), minus_two, hn::MulAdd(hn::Set(d, 0.5f), half, hn::Sub(one, minus_one)));
      w[2] = hn::Add(hn::MulAdd(hn::Set(d, 4.0f), minus_two, hn::MulAdd(hn::Set(d, 0.25f), half, sum)), u[2]);
    }
  };

 private:
  // 1/N of the points.
  static constexpr float kThird = 1.0f / 3.0f;
  static constexpr float kHalf = -16.0f / 15.0f;
  static constexpr float kMinusTwo = 1.0f / 15.0f;
};

template <>
struct WinogradF4::Input<2> {
  static constexpr int kFrom = 4, kTo = 4;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    const V factor = hn::Set(d, 1.5f);
    y[0] = hn::Sub(x[0], x[2]);
    y[1] = hn::Mul(factor, hn::Add(x[1], x[2]));
    y[2] = hn::Sub(x[3], x[1]);
    y[3] = hn::Mul(factor, hn::Sub(x[1], x[2]));
  }
};

template <>
struct WinogradF4::Input<3> {
  static constexpr int kFrom = 5, kTo = 5;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    const V p = hn::Sub(x[3], x[1]);
    const V q = hn::Sub(x[2], x[1]);
    y[0] = hn::MulAdd(hn::Set(d, 2.0f), p, hn::Sub(x[0], x[2]));
    y[1] = hn::MulAdd(hn::Set(d, 3.0f), x[3], hn::Mul(hn::Set(d, 1.5f), q));
    y[2] = hn::NegMulAdd(hn::Set(d, 0.5f), p, hn::Sub(x[4], x[2]));
    y[3] = hn::NegMulAdd(hn::Set(d, 1.5f), x[2], hn::MulAdd(hn::Set(d, 0.5f), x[1], x[3]));
    y[4] = hn::Mul(hn::Set(d, 2.5f), p);
  }
};

template <>
struct WinogradF4::Input<4> {
  static constexpr int kFrom = 6, kTo = 6;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D d, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    const V p = hn::Sub(x[3], x[1]);
    const V q = hn::Sub(x[4], x[2]);
    y[0] = hn::MulAdd(hn::Set(d, 1.5f), p, hn::Add(q, hn::Sub(x[0], x[2])));
    y[1] = hn::MulAdd(hn::Set(d, 2.5f), x[3], hn::MulAdd(hn::Set(d, 0.5f), x[2], hn::Sub(x[4], x[1])));
    y[2] = hn::MulAdd(hn::Set(d, 1.5f), q, hn::Sub(hn::Sub(x[5], x[3]), p));
    y[3] = hn::NegMulAdd(hn::Set(d, 2.5f), x[2], hn::MulAdd(hn::Set(d, 0.5f), x[3], hn::Add(x[4], x[1])));
    y[4] = hn::MulAdd(hn::Set(d, 2.0f), p, q);
    y[5] = hn::NegMulAdd(hn::Set(d, 0.5f), p, q);
  }
};

// The first four points. N = −1, 2, 1, 2; the sign of the first is in Bᵀ. Rounds less than a direct sum.
struct WinogradF2 {
  static constexpr int kOutputs = 2;

  template <int kTileOutputs>
  struct Input;

  struct Filter {
    static constexpr int kFrom = 3, kTo = 4;
    template <class D, class V = hn::Vec<D>>
    HWY_INLINE void operator()(D d, const V* HWY_RESTRICT w, V* HWY_RESTRICT u) const {
      const V half = hn::Set(d, 0.5f);
      const V even = hn::Add(w[0], w[2]);
      u[0] = w[0];
      u[1] = hn::Mul(half, hn::Add(even, w[1]));
      u[2] = w[2];
      u[3] = hn::Mul(half, hn::Sub(even, w[1]));
    }
  };

  struct FilterGradient {
    static constexpr int kFrom = 4, kTo = 3;
    template <class D, class V = hn::Vec<D>>
    HWY_INLINE void operator()(D d, const V* HWY_RESTRICT u, V* HWY_RESTRICT w) const {
      const V half = hn::Set(d, 0.5f);
      const V sum = hn::Mul(half, hn::Add(u[1], u[3]));
      w[0] = hn::Add(u[0], sum);
      w[1] = hn::Mul(half, hn::Sub(u[1], u[3]));
      w[2] = hn::Add(sum, u[2]);
    }
  };
};

template <>
struct WinogradF2::Input<2> {
  static constexpr int kFrom = 4, kTo = 4;
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE void operator()(D, const V* HWY_RESTRICT x, V* HWY_RESTRICT y) const {
    y[0] = hn::Sub(x[0], x[2]);
    y[1] = hn::Add(x[1], x[2]);
    y[2] = hn::Sub(x[3], x[1]);
    y[3] = hn::Sub(x[2], x[1]);
  }
};

// Down the columns of a matrix, then along the rows of the result: load(i, j) gives an element, store(i, j, v) takes
// one. What lies between goes through memory: 36 vectors don't fit the registers anyway, and the loops stay short.
template <class Down, class Across, class D, class Load, class Store>
HWY_INLINE void TransformMatrix(D d, const Load& load, const Store& store) {
  using V = hn::Vec<D>;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  HWY_ALIGN float between[Down::kTo * Across::kFrom * kLanes];
  for (int j = 0; j < Across::kFrom; ++j) {
    V x[Down::kFrom];
    V y[Down::kTo];
    HWY_UNROLL(6) for (int i = 0; i < Down::kFrom; ++i) x[i] = load(i, j);
    Down()(d, x, y);
    HWY_UNROLL(6) for (int i = 0; i < Down::kTo; ++i) hn::Store(y[i], d, between + (i * Across::kFrom + j) * kLanes);
  }
  for (int i = 0; i < Down::kTo; ++i) {
    V x[Across::kFrom];
    V y[Across::kTo];
    HWY_UNROLL(6)
    for (int j = 0; j < Across::kFrom; ++j) x[j] = hn::Load(d, between + (i * Across::kFrom + j) * kLanes);
    Across()(d, x, y);
    HWY_UNROLL(6) for (int j = 0; j < Across::kTo; ++j) store(i, j, y[j]);
  }
}

// Calls body(access, d, c) for all channels: whole vectors, then what is left over.
template <class Body>
HWY_INLINE void ForChannelVectors(int64_t channels, const Body& body) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t c = 0;
  for (; c + lanes <= channels; c += lanes) body(Whole<decltype(d)>(), d, c);
  const TailTag<decltype(d)> t;
  for (; c < channels; c += static_cast<int64_t>(hn::Lanes(t))) body(Tail<decltype(t)>(t, channels - c), t, c);
}

// The pixels of a patch in the channels from c on, to points; op(v) is what happens to a loaded value on its way.
template <class Down, class Across, int kInputs, bool kInside, class D, class Access, class Op>
HWY_INLINE void PatchToPoints(D d, const Access& access, const WinogradPatch<const float>& from, int64_t c,
                              const Op& op, float* HWY_RESTRICT to, int64_t stride) {
  const int64_t offset = from.offset + c;
  TransformMatrix<Down, Across>(
      d,
      [&](int i, int j) HWY_ATTR {
        if (!kInside && (i < from.i0 || i >= from.i1 || j < from.j0 || j >= from.j1)) return hn::Zero(d);
        return op(access.Load(d, from.data + (offset + j * from.pixel + i * from.row)));
      },
      [&](int i, int j, hn::Vec<D> v) HWY_ATTR { access.Store(v, d, to + (i * kInputs + j) * stride + c); });
}

template <class Down, class Across>
bool Inside(const WinogradPatch<const float>& patch) {
  return patch.i0 == 0 && patch.i1 >= Down::kFrom && patch.j0 == 0 && patch.j1 >= Across::kFrom;
}

struct Same {
  template <class V>
  HWY_INLINE V operator()(V v) const {
    return v;
  }
};

template <class V>
struct Normalise {
  HWY_INLINE V operator()(V v) const {
    v = hn::MulAdd(v, scale, shift);
    return relu ? Relu(v) : v;
  }
  V scale, shift;
  bool relu;
};

template <class Variant, int kDown, int kAcross>
void WinogradInput(const WinogradPatch<const float>& from, const WinogradPrologue& prologue, int64_t channels,
                   float* to, int64_t stride) noexcept {
  using Down = typename Variant::template Input<kDown>;
  using Across = typename Variant::template Input<kAcross>;
  constexpr int kInputs = Variant::kOutputs + 2;
  const bool inside = Inside<Down, Across>(from);
  ForChannelVectors(channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
    if (prologue.scale != nullptr) {
      const Normalise<hn::Vec<decltype(d)>> normalise{access.Load(d, prologue.scale + c),
                                                      access.Load(d, prologue.shift + c), prologue.relu};
      PatchToPoints<Down, Across, kInputs, false>(d, access, from, c, normalise, to, stride);
    } else if (inside) {
      PatchToPoints<Down, Across, kInputs, true>(d, access, from, c, Same(), to, stride);
    } else {
      PatchToPoints<Down, Across, kInputs, false>(d, access, from, c, Same(), to, stride);
    }
  });
}

template <class Variant, int kDown, int kAcross>
void WinogradGradient(const WinogradPatch<const float>& from, int64_t channels, float* to, int64_t stride) noexcept {
  using Down = WinogradAxisGradient<kDown>;
  using Across = WinogradAxisGradient<kAcross>;
  constexpr int kInputs = Variant::kOutputs + 2;
  const bool inside = Inside<Down, Across>(from);
  ForChannelVectors(channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
    if (inside) {
      PatchToPoints<Down, Across, kInputs, true>(d, access, from, c, Same(), to, stride);
    } else {
      PatchToPoints<Down, Across, kInputs, false>(d, access, from, c, Same(), to, stride);
    }
  });
}

template <class Variant, int kDown, int kAcross>
void WinogradOutput(const float* from, int64_t stride, int64_t channels, const TileEpilogue& epilogue, bool stream,
                    const WinogradPatch<float>& to) noexcept {
  constexpr int kInputs = Variant::kOutputs + 2;
  const bool affine = epilogue.scale != nullptr || epilogue.bias != nullptr;
  ForChannelVectors(channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
    using V = hn::Vec<decltype(d)>;
    const V scale = epilogue.scale != nullptr ? access.Load(d, epilogue.scale + c) : hn::Set(d, 1.0f);
    const V bias = epilogue.bias != nullptr ? access.Load(d, epilogue.bias + c) : hn::Zero(d);
    float* shifts = epilogue.statistics != nullptr ? epilogue.statistics + c : nullptr;
    V shift = hn::Zero(d);
    V sum = hn::Zero(d);
    V square = hn::Zero(d);
    if (shifts != nullptr && !epilogue.first_statistics) shift = access.Load(d, shifts);
    TransformMatrix<WinogradAxisOutput<kDown>, WinogradAxisOutput<kAcross>>(
        d, [&](int i, int j) HWY_ATTR { return access.Load(d, from + (i * kInputs + j) * stride + c); },
        [&](int i, int j, V v) HWY_ATTR {
          if (i >= to.i1 || j >= to.j1) return;
          const int64_t offset = to.offset + i * to.row + j * to.pixel + c;
          if (affine) v = hn::MulAdd(v, scale, bias);
          if (epilogue.residual != nullptr) v = hn::Add(v, access.Load(d, epilogue.residual + offset));
          if (epilogue.relu) v = Relu(v);
          if (shifts != nullptr) {
            if (epilogue.first_statistics && i == 0 && j == 0) shift = v;
            const V centered = hn::Sub(v, shift);
            sum = hn::Add(sum, centered);
            square = hn::MulAdd(centered, centered, square);
          }
          if (stream) {
            hn::Stream(v, d, to.data + offset);
          } else {
            access.Store(v, d, to.data + offset);
          }
        });
    if (shifts == nullptr) return;
    float* sums = shifts + epilogue.statistics_stride;
    float* squares = sums + epilogue.statistics_stride;
    if (epilogue.first_statistics) {
      access.Store(shift, d, shifts);
    } else {
      sum = hn::Add(sum, access.Load(d, sums));
      square = hn::Add(square, access.Load(d, squares));
    }
    access.Store(sum, d, sums);
    access.Store(square, d, squares);
  });
}

template <class Variant>
void WinogradFilter(const float* taps, int64_t tap_stride, int64_t channels, float* to, int64_t stride) noexcept {
  using Axis = typename Variant::Filter;
  const WinogradPatch<const float> patch{taps, 0, 3 * tap_stride, tap_stride, 0, 3, 0, 3};
  ForChannelVectors(channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
    PatchToPoints<Axis, Axis, Axis::kTo, true>(d, access, patch, c, Same(), to, stride);
  });
}

template <class Variant>
void WinogradFilterGradient(const float* from, int64_t stride, int64_t channels, float* taps,
                            int64_t tap_stride) noexcept {
  using Axis = typename Variant::FilterGradient;
  const WinogradPatch<const float> patch{from, 0, Axis::kFrom * stride, stride, 0, Axis::kFrom, 0, Axis::kFrom};
  ForChannelVectors(channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
    PatchToPoints<Axis, Axis, Axis::kTo, true>(d, access, patch, c, Same(), taps, tap_stride);
  });
}

template <class Variant, int kDown, int kAcross>
void SetWinogradTransforms(WinogradTransforms& transforms) {
  transforms.input(kDown, kAcross) = WinogradInput<Variant, kDown, kAcross>;
  transforms.output(kDown, kAcross) = WinogradOutput<Variant, kDown, kAcross>;
  transforms.gradient(kDown, kAcross) = WinogradGradient<Variant, kDown, kAcross>;
  if constexpr (kAcross > kMinWinogradOutputs) {
    SetWinogradTransforms<Variant, kDown, kAcross - 1>(transforms);
  } else if constexpr (kDown > kMinWinogradOutputs) {
    SetWinogradTransforms<Variant, kDown - 1, Variant::kOutputs>(transforms);
  }
}

template <class Variant>
WinogradTransforms MakeWinogradTransforms() {
  WinogradTransforms transforms{};
  transforms.outputs = Variant::kOutputs;
  transforms.inputs = Variant::kOutputs + 2;
  transforms.filter = WinogradFilter<Variant>;
  transforms.filter_gradient = WinogradFilterGradient<Variant>;
  SetWinogradTransforms<Variant, Variant::kOutputs, Variant::kOutputs>(transforms);
  return transforms;
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_WINOGRAD_INL_H_
