// The transforms of Winograd's algorithm on tiles, vectorised over channels: those along an axis are applied to the
// columns of a tile and then to the rows of the result.

#if defined(HWYNN_KERNELS_CONV2D_WINOGRAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_CONV2D_WINOGRAD_INL_H_
#undef HWYNN_KERNELS_CONV2D_WINOGRAD_INL_H_
#else
#define HWYNN_KERNELS_CONV2D_WINOGRAD_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "hwynn/kernels/conv2d/winograd_axis-inl.h"
#include "hwynn/kernels/conv2d/winograd_kernels.h"
#include "hwynn/kernels/simd/epilogue-inl.h"
#include "hwynn/kernels/simd/gemm_tile-inl.h"
#include "hwynn/kernels/simd/gradient_sums-inl.h"
#include "hwynn/kernels/simd/tail-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

// Down the columns of a matrix, then along the rows of the result: load(i, j) gives an element, store(i, row)
// takes a row. What lies between goes through memory: 36 vectors don't fit the registers anyway. All of it is unrolled:
// a tile then takes no longer than its additions, a third less than with loops over columns and rows.
template <class Down, class Across, class D, class Load, class Store>
HWY_INLINE void TransformMatrix(D d, const Load& load, Store&& store) {
  using V = hn::Vec<D>;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  HWY_ALIGN float between[Down::kTo * Across::kFrom * kLanes];
  HWY_UNROLL(6) for (int j = 0; j < Across::kFrom; ++j) {
    V x[Down::kFrom];
    V y[Down::kTo];
    HWY_UNROLL(6) for (int i = 0; i < Down::kFrom; ++i) x[i] = load(i, j);
    Down()(d, x, y);
    HWY_UNROLL(6) for (int i = 0; i < Down::kTo; ++i) hn::Store(y[i], d, between + (i * Across::kFrom + j) * kLanes);
  }
  HWY_UNROLL(6) for (int i = 0; i < Down::kTo; ++i) {
    V x[Across::kFrom];
    V y[Across::kTo];
    HWY_UNROLL(6)
    for (int j = 0; j < Across::kFrom; ++j) x[j] = hn::Load(d, between + (i * Across::kFrom + j) * kLanes);
    Across()(d, x, y);
    store(i, y);
  }
}

// What a patch's values go through when nothing happens to them.
struct NoPrologue {
  template <class V>
  HWY_INLINE V Prologue(V x) const {
    return x;
  }
};

// The rows of a patch.
class PatchRows {
 public:
  HWY_INLINE PatchRows(const WinogradPatch<const float>& patch, int rows)
      : zeros_(patch.zeros), W_(patch.W), pixel_(patch.pixel) {
    for (int i = 0; i < rows; ++i) {
      const int64_t y = patch.y + i;
      row_[i] = y >= 0 && y < patch.H ? patch.data + (patch.image + y * W_ * pixel_) : zeros_;
    }
  }

  // Pixel (i, x), x counted in the image, in the channels from c on, after the prologue; 0 outside the image.
  template <class D, class Access, class Norm>
  HWY_INLINE hn::Vec<D> Load(D d, const Access& access, const Norm& norm, int i, int64_t x, int64_t c) const {
    if (static_cast<uint64_t>(x) >= static_cast<uint64_t>(W_)) return hn::Zero(d);
    const hn::Vec<D> value = access.Load(d, row_[i] + (x * pixel_ + c));
    if constexpr (std::is_same_v<Norm, NoPrologue>) return value;
    return row_[i] == zeros_ ? hn::Zero(d) : norm.Prologue(value);
  }

 private:
  const float* row_[6];
  const float* zeros_;
  int64_t W_, pixel_;
};

// The pixels of a tile whose first column is x, in the channels from c on, to points.
template <class Down, class Across, int kInputs, class D, class Access, class Norm>
HWY_INLINE void PatchToPoints(D d, const Access& access, const Norm& norm, const PatchRows& from, int64_t x, int64_t c,
                              float* HWY_RESTRICT to, int64_t stride) {
  TransformMatrix<Down, Across>(
      d, [&](int i, int j) HWY_ATTR { return from.Load(d, access, norm, i, x + j, c); },
      [=](int i, const hn::Vec<D>* y) HWY_ATTR {
        HWY_UNROLL(6) for (int j = 0; j < Across::kTo; ++j) access.Store(y[j], d, to + (i * kInputs + j) * stride);
      });
}

template <class Variant, int kDown, int kAcross>
void WinogradInput(const WinogradPatch<const float>& from, const Normalization& prologue, int64_t channels,
                   const WinogradPoints<float>& to) noexcept {
  using Down = typename Variant::template Input<kDown>;
  using Across = typename Variant::template Input<kAcross>;
  constexpr int kInputs = Variant::kOutputs + 2;
  const PatchRows rows(from, Down::kFrom);
  for (int64_t t = 0; t < from.tiles; ++t) {
    const int64_t x = from.x + t * Variant::kOutputs;
    float* points = to.data + t * to.pitch;
    if (prologue.empty()) {
      ForChannels(channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
        PatchToPoints<Down, Across, kInputs>(d, access, NoPrologue(), rows, x, c, points + c, to.stride);
      });
    } else {
      ForChannels(channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
        const ChannelNorm<decltype(d)> norm(d, access, prologue, c);
        PatchToPoints<Down, Across, kInputs>(d, access, norm, rows, x, c, points + c, to.stride);
      });
    }
  }
}

template <class Variant, int kDown, int kAcross>
void WinogradGradient(const WinogradPatch<const float>& from, int64_t channels,
                      const WinogradPoints<float>& to) noexcept {
  using Down = WinogradAxisGradient<kDown>;
  using Across = WinogradAxisGradient<kAcross>;
  constexpr int kInputs = Variant::kOutputs + 2;
  const PatchRows rows(from, Down::kFrom);
  for (int64_t t = 0; t < from.tiles; ++t) {
    const int64_t x = from.x + t * Variant::kOutputs;
    float* points = to.data + t * to.pitch;
    ForChannels(channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
      PatchToPoints<Down, Across, kInputs>(d, access, NoPrologue(), rows, x, c, points + c, to.stride);
    });
  }
}

// Takes the rows of the outputs of a run's tile in the channels from c on; its first column is x. A copy of the outputs
// goes to `rows`, unless that is null.
template <class D, class Access, int kAcross>
class OutputRows {
 public:
  using V = hn::Vec<D>;
  HWY_INLINE OutputRows(D d, const Access& access, const TileEpilogue& epilogue, float* rows, bool stream,
                        const WinogradPatch<float>& to, int64_t x, int64_t c)
      : access_(access),
        norm_(d, access, epilogue.norm, c),
        at_(to.image + (to.y * to.W + x) * to.pixel + c),
        outputs_(to.data + at_),
        residual_(epilogue.residual),
        row_(to.W * to.pixel),
        pixel_(to.pixel),
        rows_(to.H - to.y),
        columns_(std::min<int64_t>(kAcross, to.W - x)),
        copy_(rows),
        stream_(stream) {}

  HWY_INLINE void operator()(int i, V* y) const {
    if (i >= rows_) return;
    const D d;
    const int64_t row = i * row_;
    norm_.template Epilogue<kAcross>([&](int j) HWY_ATTR -> V& { return y[j]; }, residual_ != nullptr,
                                     [&](int j) HWY_ATTR {
                                       const int64_t at = at_ + row + j * pixel_;
                                       return Exists(j) ? access_.Load(d, residual_ + at) : hn::Zero(d);
                                     });
    if (copy_ != nullptr) {
      HWY_UNROLL(4) for (int j = 0; j < kAcross; ++j) {
        if (Exists(j)) access_.Store(y[j], d, copy_ + (i * columns_ + j) * StatisticsRows::kPitch);
      }
    }
    if (stream_) {
      HWY_UNROLL(4) for (int j = 0; j < kAcross; ++j) {
        if (Exists(j)) hn::Stream(y[j], d, outputs_ + row + j * pixel_);
      }
    } else {
      HWY_UNROLL(4) for (int j = 0; j < kAcross; ++j) {
        if (Exists(j)) access_.Store(y[j], d, outputs_ + row + j * pixel_);
      }
    }
  }

 private:
  // Only where one output is left over has a tile more than there are.
  HWY_INLINE bool Exists(int j) const { return kAcross > kMinWinogradOutputs || j < columns_; }

  const Access access_;
  const ChannelNorm<D> norm_;
  const int64_t at_;
  float* const outputs_;
  const float* const residual_;
  const int64_t row_, pixel_, rows_, columns_;
  float* const copy_;
  const bool stream_;
};

template <class Variant, int kDown, int kAcross>
void WinogradOutput(const WinogradPoints<const float>& from, int64_t channels, const TileEpilogue& epilogue,
                    StatisticsRows* statistics, bool stream, const WinogradPatch<float>& to) noexcept {
  constexpr int kInputs = Variant::kOutputs + 2;
  const bool copies = statistics != nullptr && statistics->copies();
  for (int64_t t = 0; t < to.tiles; ++t) {
    const int64_t x = to.x + t * Variant::kOutputs;
    ForChannels(channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
      const OutputRows<decltype(d), std::decay_t<decltype(access)>, kAcross> rows(
          d, access, epilogue, copies ? statistics->Next() + c : nullptr, stream, to, x, c);
      const float* points = from.data + (t * from.pitch + c);
      TransformMatrix<WinogradAxisOutput<kDown>, WinogradAxisOutput<kAcross>>(
          d, [&](int i, int j) HWY_ATTR { return access.Load(d, points + (i * kInputs + j) * from.stride); }, rows);
    });
    if (statistics == nullptr) continue;
    const int64_t rows = std::min<int64_t>(kDown, to.H - to.y);
    const int64_t columns = std::min<int64_t>(kAcross, to.W - x);
    for (int64_t i = 0; !copies && i < rows; ++i) {
      const float* row = to.data + (to.image + ((to.y + i) * to.W + x) * to.pixel);
      for (int64_t j = 0; j < columns; ++j) statistics->Put(i * columns + j, row + j * to.pixel);
    }
    statistics->Advance(rows * columns);
  }
}

// Takes the rows of a tile of a gradient, as OutputRows does.
template <class D, class Access, int kAcross>
class GradientOutputRows {
 public:
  using V = hn::Vec<D>;
  HWY_INLINE GradientOutputRows(D d, const Access& access, const WinogradGradientEpilogue& epilogue,
                                const WinogradPatch<float>& to, int64_t x, int64_t c)
      : access_(access),
        channel_(d, access, *epilogue.sums, c),
        outputs_(to.data + to.image + (to.y * to.W + x) * to.pixel + c),
        z_(epilogue.sums->InputOf(outputs_)),
        y_(epilogue.sums->OutputOf(outputs_)),
        row_(to.W * to.pixel),
        pixel_(to.pixel),
        rows_(to.H - to.y),
        columns_(std::min<int64_t>(kAcross, to.W - x)),
        accumulate_(epilogue.accumulate),
        stream_(epilogue.stream) {}

  HWY_INLINE void operator()(int i, V* grad) {
    if (i >= rows_) return;
    const D d;
    float* const to = outputs_ + i * row_;
    const float* const z = z_ + i * row_;
    const float* const y = y_ + (y_ != nullptr ? i * row_ : 0);
    const auto exists = [&](int j) HWY_ATTR { return kAcross > kMinWinogradOutputs || j < columns_; };
    if (accumulate_) {
      HWY_UNROLL(4) for (int j = 0; j < kAcross; ++j) {
        if (exists(j)) grad[j] = hn::Add(grad[j], access_.Load(d, to + j * pixel_));
      }
    }
    channel_.template Add<kAcross>(
        exists, [&](int j) HWY_ATTR -> V& { return grad[j]; },
        [&](int j) HWY_ATTR { return access_.Load(d, z + j * pixel_); }, y != nullptr,
        [&](int j) HWY_ATTR { return access_.Load(d, y + j * pixel_); });
    if (stream_) {
      HWY_UNROLL(4) for (int j = 0; j < kAcross; ++j) {
        if (exists(j)) hn::Stream(grad[j], d, to + j * pixel_);
      }
    } else {
      HWY_UNROLL(4) for (int j = 0; j < kAcross; ++j) {
        if (exists(j)) access_.Store(grad[j], d, to + j * pixel_);
      }
    }
  }

  HWY_INLINE void Close() const { channel_.Close(); }

 private:
  const Access access_;
  ChannelGradient<D, Access> channel_;
  float* const outputs_;
  const float* const z_;
  const float* const y_;
  const int64_t row_, pixel_, rows_, columns_;
  const bool accumulate_, stream_;
};

template <class Variant, int kDown, int kAcross>
void WinogradOutputGradient(const WinogradPoints<const float>& from, int64_t channels,
                            const WinogradGradientEpilogue& epilogue, const WinogradPatch<float>& to) noexcept {
  constexpr int kInputs = Variant::kOutputs + 2;
  for (int64_t t = 0; t < to.tiles; ++t) {
    const int64_t x = to.x + t * Variant::kOutputs;
    epilogue.sums->Take(std::min<int64_t>(kDown, to.H - to.y) * std::min<int64_t>(kAcross, to.W - x));
    ForChannels(channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
      GradientOutputRows<decltype(d), std::decay_t<decltype(access)>, kAcross> rows(d, access, epilogue, to, x, c);
      const float* points = from.data + (t * from.pitch + c);
      TransformMatrix<WinogradAxisOutput<kDown>, WinogradAxisOutput<kAcross>>(
          d, [&](int i, int j) HWY_ATTR { return access.Load(d, points + (i * kInputs + j) * from.stride); }, rows);
      rows.Close();
    });
  }
}

template <class Variant>
void WinogradFilter(const float* taps, int64_t tap_stride, int64_t channels, float* to, int64_t stride) noexcept {
  using Axis = typename Variant::Filter;
  const PatchRows patch({taps, 0, 3, 3, tap_stride, 0, 0, 1, nullptr}, Axis::kFrom);
  ForChannels(channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
    PatchToPoints<Axis, Axis, Axis::kTo>(d, access, NoPrologue(), patch, 0, c, to + c, stride);
  });
}

template <class Variant>
void WinogradFilterGradient(const float* from, int64_t stride, int64_t channels, float* taps,
                            int64_t tap_stride) noexcept {
  using Axis = typename Variant::FilterGradient;
  const PatchRows patch({from, 0, Axis::kFrom, Axis::kFrom, stride, 0, 0, 1, nullptr}, Axis::kFrom);
  ForChannels(channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
    PatchToPoints<Axis, Axis, Axis::kTo>(d, access, NoPrologue(), patch, 0, c, taps + c, tap_stride);
  });
}

template <class Variant, int kDown, int kAcross>
void SetWinogradTransforms(WinogradTransforms& transforms) {
  transforms.input(kDown, kAcross) = WinogradInput<Variant, kDown, kAcross>;
  transforms.output(kDown, kAcross) = WinogradOutput<Variant, kDown, kAcross>;
  transforms.output_gradient(kDown, kAcross) = WinogradOutputGradient<Variant, kDown, kAcross>;
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

// A whole register tile of rows at each point. With every distance within it a constant, addresses are two pointers and
// displacements, and nothing is left but the products.
template <int kChannels, int kVectors, int kRows>
void WinogradNarrowForward(WinogradNarrowArgs& args) noexcept {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const float* a = args.a;
  const float* HWY_RESTRICT b = args.b;
  float* c = args.c;
  for (int64_t left = args.points; left > 0; --left) {
    for (int64_t i = 0; i < args.fetches; ++i) args.fetch[i].Fetch(kRows);
    hn::Vec<decltype(d)> acc[kRows][kVectors];
    ZeroTile(d, acc);
    HWY_UNROLL(16) for (int k = 0; k < kChannels; ++k) {
      OuterProduct(
          d, [&](int i) HWY_ATTR { return a + i * kChannels + k; }, b + k * kVectors * lanes, acc);
    }
    HWY_UNROLL(14) for (int i = 0; i < kRows; ++i) {
      HWY_UNROLL(2) for (int j = 0; j < kVectors; ++j) hn::StoreU(acc[i][j], d, c + (i * kVectors + j) * lanes);
    }
    a += args.a_stride;
    b += args.b_stride;
    c += args.c_stride;
  }
}

// Eight channels at a time, or four where registers are few: they divide theirs.
template <int kChannels, int kVectors>
void WinogradNarrowGradient(WinogradNarrowArgs& args) noexcept {
  constexpr int kRows = TileRows(kVectors) >= 8 ? 8 : 4;
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const float* HWY_RESTRICT a = args.a;
  const float* HWY_RESTRICT b = args.b;
  float* HWY_RESTRICT c = args.c;
  for (int64_t left = args.points; left > 0; --left) {
    for (int64_t i = 0; i < args.fetches; ++i) args.fetch[i].Fetch(args.tiles);
    for (int channel = 0; channel < kChannels; channel += kRows) {
      hn::Vec<decltype(d)> acc[kRows][kVectors];
      ZeroTile(d, acc);
      const float* at = a + channel;
      const float* bt = b;
      for (int64_t tile = 0; tile < args.tiles; ++tile, at += kChannels, bt += kVectors * lanes) {
        OuterProduct(
            d, [&](int i) HWY_ATTR { return at + i; }, bt, acc);
      }
      float* sums = c + channel * kVectors * lanes;
      if (args.accumulate) {
        HWY_UNROLL(8) for (int i = 0; i < kRows; ++i) {
          HWY_UNROLL(2) for (int j = 0; j < kVectors; ++j) {
            acc[i][j] = hn::Add(acc[i][j], hn::LoadU(d, sums + (i * kVectors + j) * lanes));
          }
        }
      }
      HWY_UNROLL(8) for (int i = 0; i < kRows; ++i) {
        HWY_UNROLL(2) for (int j = 0; j < kVectors; ++j) hn::StoreU(acc[i][j], d, sums + (i * kVectors + j) * lanes);
      }
    }
    a += args.a_stride;
    b += args.b_stride;
    c += args.c_stride;
  }
}

template <int kChannels, int kVectors, int... kRows>
WinogradNarrow MakeWinogradNarrow(std::integer_sequence<int, kRows...>) {
  return {sizeof...(kRows),
          {WinogradNarrowForward<kChannels, kVectors, kRows + 1>...},
          WinogradNarrowGradient<kChannels, kVectors>};
}

template <int kChannels, int kVectors>
WinogradNarrow MakeWinogradNarrow() {
  return MakeWinogradNarrow<kChannels, kVectors>(std::make_integer_sequence<int, TileRows(kVectors)>());
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_CONV2D_WINOGRAD_INL_H_
