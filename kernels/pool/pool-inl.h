// Rows of pools, vectorised over channels: a window's taps are rows of C floats, and each of up to four vectors of
// channels runs over them with its result in a register.

#if defined(HWYNN_KERNELS_POOL_POOL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_POOL_POOL_INL_H_
#undef HWYNN_KERNELS_POOL_POOL_INL_H_
#else
#define HWYNN_KERNELS_POOL_POOL_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "hwynn/kernels/pool/pool_geometry.h"
#include "hwynn/kernels/simd/tail-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Four independent chains hide the latency of compare and blend; more gain nothing.
inline constexpr int kPoolVectors = 4;

// Calls body.Run<vectors>(access, d, first channel) on all channels: four vectors at a time, then one, then the tail.
template <class D, class Body>
HWY_INLINE void ForChannels(D d, int64_t channels, const Body& body) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t c = 0;
  for (; c + kPoolVectors * lanes <= channels; c += kPoolVectors * lanes) {
    body.template Run<kPoolVectors>(Whole<D>(), d, c);
  }
  for (; c + lanes <= channels; c += lanes) body.template Run<1>(Whole<D>(), d, c);
  const TailTag<D> dt;
  for (; c < channels; c += static_cast<int64_t>(hn::Lanes(dt))) {
    body.template Run<1>(Tail<TailTag<D>>(dt, channels - c), dt, c);
  }
}

// The taps of one window: `rows` × `columns` pixels inside the image, none when either is ≤ 0, the first at offset 0.
struct WindowTaps {
  int64_t rows, columns;
  int64_t row_stride, pixel_stride;
};

// The larger value; NaN once there was one.
struct MaxReduce {
  template <class D>
  HWY_INLINE hn::Vec<D> Start(D d) const {
    return hn::Set(d, -std::numeric_limits<float>::infinity());
  }
  template <class V>
  HWY_INLINE V Add(V acc, V x) const {
    return hn::IfThenElse(hn::Or(hn::Gt(x, acc), hn::IsNaN(x)), x, acc);
  }
  template <class D, class V>
  HWY_INLINE V Finish(D, V acc) const {
    return acc;
  }
};

// The sum, divided by the window's size.
struct AverageReduce {
  template <class D>
  HWY_INLINE hn::Vec<D> Start(D d) const {
    return hn::Zero(d);
  }
  template <class V>
  HWY_INLINE V Add(V acc, V x) const {
    return hn::Add(acc, x);
  }
  template <class D, class V>
  HWY_INLINE V Finish(D d, V acc) const {
    return hn::Div(acc, hn::Set(d, size));
  }
  float size;
};

template <class Reduce>
struct ReduceWindow {
  template <int kVectors, class Access, class D>
  HWY_INLINE void Run(const Access& access, D d, int64_t c) const {
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    hn::Vec<D> acc[kVectors];
    for (auto& a : acc) a = reduce.Start(d);
    for (int64_t ky = 0; ky < taps.rows; ++ky) {
      const float* HWY_RESTRICT x = input + ky * taps.row_stride + c;
      for (int64_t kx = 0; kx < taps.columns; ++kx, x += taps.pixel_stride) {
        for (int v = 0; v < kVectors; ++v) acc[v] = reduce.Add(acc[v], access.Load(d, x + v * lanes));
      }
    }
    for (int v = 0; v < kVectors; ++v) access.Store(reduce.Finish(d, acc[v]), d, output + c + v * lanes);
  }

  Reduce reduce;
  WindowTaps taps;
  const float* input;
  float* output;
};

// What reduces the window of an output.
struct MaxReduces {
  using Reduce = MaxReduce;
  HWY_INLINE MaxReduce Of(int64_t /*oy*/, int64_t /*ox*/) const { return {}; }
};
struct EqualAverageReduces {
  using Reduce = AverageReduce;
  HWY_INLINE AverageReduce Of(int64_t /*oy*/, int64_t /*ox*/) const { return reduce; }
  AverageReduce reduce;
};
struct AverageReduces {
  using Reduce = AverageReduce;
  HWY_INLINE AverageReduce Of(int64_t oy, int64_t ox) const { return {areas.heights[oy] * areas.widths[ox]}; }
  PoolAreas areas;
};

// Output rows row_begin … row_end − 1 of one image.
template <class Reduces, class D>
HWY_INLINE void PoolForwardRows(D d, const Reduces& reduces, const PoolGeometry& g, int64_t row_begin, int64_t row_end,
                                const float* input, float* output) {
  // Copies: a store might change what a reference refers to, for all that the compiler knows.
  const PoolAxis::Taps* x_taps = g.x.taps;
  const int64_t channels = g.c, outputs = g.x.output, input_row = g.InputRow(), output_row = g.OutputRow();
  const int64_t row_stride = input_row * g.y.dilation, pixel_stride = channels * g.x.dilation;
  for (int64_t oy = row_begin; oy < row_end; ++oy) {
    const PoolAxis::Taps y = g.y.taps[oy];
    const float* from = input + y.begin * input_row;
    float* to = output + oy * output_row;
    for (int64_t ox = 0; ox < outputs; ++ox, to += channels) {
      const PoolAxis::Taps x = x_taps[ox];
      const WindowTaps taps = {y.count, x.count, row_stride, pixel_stride};
      ForChannels(d, channels,
                  ReduceWindow<typename Reduces::Reduce>{reduces.Of(oy, ox), taps, from + x.begin * channels, to});
    }
  }
}

// Adds a window's gradient to those of its taps in its rows owned_begin … owned_end − 1. All
// taps are looked at, since an earlier one may be the maximum.
struct MaxScatter {
  template <int kVectors, class Access, class D>
  HWY_INLINE void Run(const Access& access, D d, int64_t c) const {
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    hn::Vec<D> maximum[kVectors];
    hn::Vec<D> gradient[kVectors];  // zero once it has been given away
    for (int v = 0; v < kVectors; ++v) {
      maximum[v] = access.Load(d, output + c + v * lanes);
      gradient[v] = access.Load(d, grad_output + c + v * lanes);
    }
    for (int64_t ky = 0; ky < owned_end; ++ky) {
      const bool owned = ky >= owned_begin;
      for (int64_t kx = 0; kx < taps.columns; ++kx) {
        const int64_t at = ky * taps.row_stride + kx * taps.pixel_stride + c;
        for (int v = 0; v < kVectors; ++v) {
          const auto hit = hn::Eq(access.Load(d, input + at + v * lanes), maximum[v]);
          if (owned) {
            float* HWY_RESTRICT to = grad_input + at + v * lanes;
            access.Store(hn::Add(access.Load(d, to), hn::IfThenElseZero(hit, gradient[v])), d, to);
          }
          gradient[v] = hn::IfThenZeroElse(hit, gradient[v]);
        }
      }
    }
  }

  WindowTaps taps;
  int64_t owned_begin, owned_end;
  const float* input;
  const float* output;
  const float* grad_output;
  float* grad_input;
};

// The sum of the shares that a pixel has of the windows holding it, where these differ in size.
struct SumShares {
  template <int kVectors, class Access, class D>
  HWY_INLINE void Run(const Access& access, D d, int64_t c) const {
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    hn::Vec<D> acc[kVectors];
    for (auto& a : acc) a = hn::Zero(d);
    for (int64_t j = 0; j < y.count; ++j) {
      for (int64_t i = 0; i < x.count; ++i) {
        const int64_t oy = y.begin + j * y.step;
        const int64_t ox = x.begin + i * x.step;
        const float* g = grad_output + oy * output_row + ox * channels + c;
        const auto area = hn::Set(d, areas.heights[oy] * areas.widths[ox]);
        for (int v = 0; v < kVectors; ++v) acc[v] = hn::Add(acc[v], hn::Div(access.Load(d, g + v * lanes), area));
      }
    }
    for (int v = 0; v < kVectors; ++v) access.Store(acc[v], d, grad_input + c + v * lanes);
  }

  PoolAxis::Windows y, x;
  PoolAreas areas;
  int64_t output_row, channels;
  const float* grad_output;
  float* grad_input;
};

// Average pooling's gradient of the pixels of rows row_begin … row_end − 1: as in the forward pass a rectangle is
// summed up and divided by the window's size, the rectangle of the windows that hold the pixel.
template <bool kEqualAreas, class D>
HWY_INLINE void AverageBackwardPixels(D d, const PoolGeometry& g, const PoolAreas& areas, int64_t row_begin,
                                      int64_t row_end, const float* grad_output, float* grad_input) {
  const AverageReduce reduce = {areas.heights[0] * areas.widths[0]};
  const PoolAxis::Windows* x_windows = g.x.windows;
  const int64_t channels = g.c, pixels = g.x.input, input_row = g.InputRow(), output_row = g.OutputRow();
  for (int64_t iy = row_begin; iy < row_end; ++iy) {
    const PoolAxis::Windows y = g.y.windows[iy];
    const float* from = grad_output + y.begin * output_row;
    float* to = grad_input + iy * input_row;
    for (int64_t ix = 0; ix < pixels; ++ix, to += channels) {
      const PoolAxis::Windows x = x_windows[ix];
      if constexpr (kEqualAreas) {
        const WindowTaps windows = {y.count, x.count, output_row * y.step, channels * x.step};
        ForChannels(d, channels, ReduceWindow<AverageReduce>{reduce, windows, from + x.begin * channels, to});
      } else {
        ForChannels(d, channels, SumShares{y, x, areas, output_row, channels, grad_output, to});
      }
    }
  }
}

// Max pooling's gradient of rows row_begin … row_end − 1 of one image, and no others: walks the windows that touch them
// in row-major order, so that a pixel's sum has the same order wherever rows are cut. Rows are cleared just before the
// first window that reaches them, while they come into cache.
template <class D>
HWY_INLINE void MaxBackwardWindows(D d, const PoolGeometry& g, int64_t row_begin, int64_t row_end, const float* input,
                                   const float* output, const float* grad_output, float* grad_input) {
  int64_t cleared = row_begin;
  const auto clear_to = [&](int64_t row) {
    if (row <= cleared) return;
    std::fill(grad_input + cleared * g.InputRow(), grad_input + row * g.InputRow(), 0.0f);
    cleared = row;
  };
  for (int64_t oy = g.y.FirstReaching(row_begin); oy < g.y.output && g.y.Start(oy) < row_end; ++oy) {
    const PoolAxis::Taps y = g.y.taps[oy];
    const int64_t owned_begin = y.begin < row_begin ? g.y.TapsWithin(row_begin - y.begin) : 0;
    const int64_t owned_end = std::min(y.count, g.y.TapsWithin(row_end - y.begin));
    if (owned_begin >= owned_end) continue;
    clear_to(y.begin + (owned_end - 1) * g.y.dilation + 1);
    for (int64_t ox = 0; ox < g.x.output; ++ox) {
      const PoolAxis::Taps x = g.x.taps[ox];
      const int64_t in_at = y.begin * g.InputRow() + x.begin * g.c;
      const int64_t out_at = oy * g.OutputRow() + ox * g.c;
      ForChannels(d, g.c,
                  MaxScatter{.taps = {y.count, x.count, g.InputRow() * g.y.dilation, g.c * g.x.dilation},
                             .owned_begin = owned_begin,
                             .owned_end = owned_end,
                             .input = input + in_at,
                             .output = output + out_at,
                             .grad_output = grad_output + out_at,
                             .grad_input = grad_input + in_at});
    }
  }
  clear_to(row_end);
}

// mean[c] = Σ_p input[p·stride + c]·(1/pixels), in f32 sums of up to 64 pixels that are then added up: the error grows
// with 64 + pixels/64 roundings.
struct MeanOverPixels {
  template <int kVectors, class Access, class D>
  HWY_INLINE void Run(const Access& access, D d, int64_t c) const {
    constexpr int64_t kBlock = 64;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    hn::Vec<D> total[kVectors];
    for (auto& t : total) t = hn::Zero(d);
    for (int64_t begin = 0; begin < pixels; begin += kBlock) {
      hn::Vec<D> sum[kVectors];
      for (auto& s : sum) s = hn::Zero(d);
      const int64_t end = std::min(pixels, begin + kBlock);
      for (int64_t p = begin; p < end; ++p) {
        for (int v = 0; v < kVectors; ++v) {
          sum[v] = hn::Add(sum[v], access.Load(d, input + p * stride + c + v * lanes));
        }
      }
      for (int v = 0; v < kVectors; ++v) total[v] = hn::Add(total[v], sum[v]);
    }
    // A product with the rounded reciprocal, as in JAX's mean.
    const auto reciprocal = hn::Set(d, 1.0f / static_cast<float>(pixels));
    for (int v = 0; v < kVectors; ++v) access.Store(hn::Mul(total[v], reciprocal), d, mean + c + v * lanes);
  }

  int64_t pixels, stride;
  const float* input;
  float* mean;
};

// output[p·stride + c] = gradient[c]·(1/pixels) for all pixels.
struct SpreadOverPixels {
  template <int kVectors, class Access, class D>
  HWY_INLINE void Run(const Access& access, D d, int64_t c) const {
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    const auto reciprocal = hn::Set(d, 1.0f / static_cast<float>(pixels));
    hn::Vec<D> share[kVectors];
    for (int v = 0; v < kVectors; ++v) share[v] = hn::Mul(access.Load(d, gradient + c + v * lanes), reciprocal);
    for (int64_t p = 0; p < pixels; ++p) {
      for (int v = 0; v < kVectors; ++v) access.Store(share[v], d, output + p * stride + c + v * lanes);
    }
  }

  int64_t pixels, stride;
  const float* gradient;
  float* output;
};

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_POOL_POOL_INL_H_
