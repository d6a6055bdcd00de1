// Vector code of depthwise convolution: neighbouring pixels, vectors of channels.

#if defined(HWYNN_KERNELS_CONV2D_DEPTHWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_CONV2D_DEPTHWISE_INL_H_
#undef HWYNN_KERNELS_CONV2D_DEPTHWISE_INL_H_
#else
#define HWYNN_KERNELS_CONV2D_DEPTHWISE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "hwynn/kernels/conv2d/depthwise.h"
#include "hwynn/kernels/simd/epilogue-inl.h"
#include "hwynn/kernels/simd/tail-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

// Pixels of so many rows, whose sums are in registers at once: most values that they meet, they share. The fewer come
// from the second-level cache, the better: 4 × 4 pixels meet 36 values of a 3×3 filter's inputs, 1 × 8 pixels 30.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64  // 32 vector registers
inline constexpr int kDepthwiseRows = 4;
#else
inline constexpr int kDepthwiseRows = 2;
#endif
inline constexpr int kDepthwisePixels = 4;
// Sums of the filter's gradient that are in registers at once: a 3×3 filter.
inline constexpr int kDepthwiseTaps = 9;
inline constexpr int64_t kDepthwiseGradientPixels = 16;

// Outputs of pixels [p, p + kPixels) of kRows rows: Σ over terms of x·w, with an epilogue unless kPlain.
// Strides are copied, so that no store makes the compiler read them again.
template <int kRows, int kPixels, bool kPlain, class D, class Access>
HWY_INLINE void DepthwiseTile(D d, const Access& access, const DepthwiseArgs& args, int64_t p, int64_t c) {
  using V = hn::Vec<D>;
  const int64_t x_stride = args.x_stride;
  const float* w = args.w + c;
  const float* x[kRows];
  V sums[kRows][kPixels];
  HWY_UNROLL(4) for (int r = 0; r < kRows; ++r) {
    x[r] = args.x + r * args.x_row_stride + p * x_stride + c;
    HWY_UNROLL(4) for (int i = 0; i < kPixels; ++i) sums[r][i] = hn::Zero(d);
  }
  const DepthwiseTerm* const end = args.terms + args.num_terms;
  for (const DepthwiseTerm* term = args.terms; term != end; ++term) {
    const V weight = access.Load(d, w + term->w);
    HWY_UNROLL(4) for (int r = 0; r < kRows; ++r) {
      const float* from = x[r] + term->x;
      HWY_UNROLL(4) for (int i = 0; i < kPixels; ++i) {
        sums[r][i] = hn::MulAdd(access.Load(d, from + i * x_stride), weight, sums[r][i]);
      }
    }
  }
  const int64_t output_stride = args.output_stride;
  const bool stream = args.stream;
  HWY_UNROLL(4) for (int r = 0; r < kRows; ++r) {
    float* output = args.output + r * args.output_row_stride + p * output_stride + c;
    if constexpr (!kPlain) {
      const ChannelNorm<D> norm(d, access, args.epilogue->norm, c);
      const float* residual = args.epilogue->residual;
      norm.template Epilogue<kPixels>(
          [&](int i) HWY_ATTR -> V& { return sums[r][i]; }, residual != nullptr,
          [&](int i) HWY_ATTR { return access.Load(d, residual + (output - args.output) + i * output_stride); });
    }
    if (stream) {
      HWY_UNROLL(4) for (int i = 0; i < kPixels; ++i) hn::Stream(sums[r][i], d, output + i * output_stride);
    } else {
      HWY_UNROLL(4) for (int i = 0; i < kPixels; ++i) access.Store(sums[r][i], d, output + i * output_stride);
    }
  }
}

// Tiles of kPixels from pixel p on, then of half as many for the rest.
template <int kRows, int kPixels, bool kPlain>
HWY_INLINE void DepthwiseTiles(const DepthwiseArgs& args, int64_t p) {
  for (; p + kPixels <= args.pixels; p += kPixels) {
    ForChannels(args.channels, [&](const auto& access, auto d, int64_t c) HWY_ATTR {
      DepthwiseTile<kRows, kPixels, kPlain>(d, access, args, p, c);
      if (args.prefetch->active()) args.prefetch->Fetch(kRows * kPixels);
    });
  }
  if constexpr (kPixels > 1) DepthwiseTiles<kRows, kPixels / 2, kPlain>(args, p);
}

template <bool kPlain>
HWY_INLINE void DepthwiseTiles(const DepthwiseArgs& args) {
  if (args.rows == kDepthwiseRows) {
    DepthwiseTiles<kDepthwiseRows, kDepthwisePixels, kPlain>(args, 0);
  } else {
    DepthwiseTiles<1, kDepthwisePixels, kPlain>(args, 0);
  }
}

// w[term] += Σ over rows and pixels [p0, p1) of x·grad_output, for kTaps terms.
template <int kTaps, class D, class Access>
HWY_INLINE void DepthwiseGradientTaps(D d, const Access& access, const DepthwiseGradientArgs& args,
                                      const DepthwiseTerm* terms, int64_t p0, int64_t p1, int64_t c) {
  const int64_t x_stride = args.x_stride;
  const int64_t grad_stride = args.channels;
  const float* x[kTaps];
  hn::Vec<D> sums[kTaps];
  HWY_UNROLL(9) for (int k = 0; k < kTaps; ++k) {
    x[k] = args.x + terms[k].x + p0 * x_stride + c;
    sums[k] = access.Load(d, args.w + terms[k].w + c);
  }
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* grad = args.grad_output + r * args.grad_row_stride + p0 * grad_stride + c;
    int64_t at = r * args.x_row_stride;
    for (int64_t p = p0; p < p1; ++p, at += x_stride, grad += grad_stride) {
      const hn::Vec<D> g = access.Load(d, grad);
      HWY_UNROLL(9) for (int k = 0; k < kTaps; ++k) sums[k] = hn::MulAdd(access.Load(d, x[k] + at), g, sums[k]);
    }
  }
  HWY_UNROLL(9) for (int k = 0; k < kTaps; ++k) access.Store(sums[k], d, args.w + terms[k].w + c);
}

// The same for the last `left` terms, at most kTaps.
template <int kTaps, class D, class Access>
HWY_INLINE void DepthwiseGradientRest(D d, const Access& access, const DepthwiseGradientArgs& args,
                                      const DepthwiseTerm* terms, int64_t left, int64_t p0, int64_t p1, int64_t c) {
  if (left == kTaps) {
    DepthwiseGradientTaps<kTaps>(d, access, args, terms, p0, p1, c);
  } else if constexpr (kTaps > 1) {
    DepthwiseGradientRest<kTaps - 1>(d, access, args, terms, left, p0, p1, c);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_CONV2D_DEPTHWISE_INL_H_
