// The transforms of Winograd's algorithm on tiles, vectorised over channels: those along an axis are applied to the
// columns of a tile and then to the rows of the result.

#if defined(HWYNN_KERNELS_WINOGRAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_WINOGRAD_INL_H_
#undef HWYNN_KERNELS_WINOGRAD_INL_H_
#else
#define HWYNN_KERNELS_WINOGRAD_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "hwynn/kernels/channel_vectors-inl.h"
#include "hwynn/kernels/gemm_tile-inl.h"
#include "hwynn/kernels/tail-inl.h"
#include "hwynn/kernels/winograd.h"
#include "hwynn/kernels/winograd_axis-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

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

// Products of few channels: a[tile][kChannels]·b[kChannels][kVectors·L], a whole register tile of rows at a time. With
// every distance a constant, addresses are two pointers and displacements, and nothing is left but the products.
template <int kChannels, int kVectors>
void WinogradNarrowProduct(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, int64_t row_tiles,
                           float* c) noexcept {
  const hn::ScalableTag<float> d;
  constexpr int kRows = TileRows(kVectors);
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t tile = 0; tile < row_tiles; ++tile, a += kRows * kChannels, c += kRows * kVectors * lanes) {
    hn::Vec<decltype(d)> acc[kRows][kVectors];
    ZeroTile(d, acc);
    HWY_UNROLL(16) for (int k = 0; k < kChannels; ++k) {
      OuterProduct(
          d, [&](int i) HWY_ATTR { return a + i * kChannels + k; }, b + k * kVectors * lanes, acc);
    }
    HWY_UNROLL(14) for (int i = 0; i < kRows; ++i) {
      HWY_UNROLL(2) for (int j = 0; j < kVectors; ++j) hn::StoreU(acc[i][j], d, c + (i * kVectors + j) * lanes);
    }
  }
}

inline WinogradNarrow NarrowProduct(int64_t channels, int64_t columns) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>()));
  if (channels == 16 && columns == lanes) return {TileRows(1), WinogradNarrowProduct<16, 1>};
  if (channels == 16 && columns == 2 * lanes) return {TileRows(2), WinogradNarrowProduct<16, 2>};
  if (channels == 32 && columns == 2 * lanes) return {TileRows(2), WinogradNarrowProduct<32, 2>};
  return {};
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_WINOGRAD_INL_H_
