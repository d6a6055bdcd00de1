// Depthwise convolution: bound by memory, so its form is plain. Channels are the vectors, taps outside the image are
// left out.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/conv2d_depthwise.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d_algorithms.h"
#include "hwynn/kernels/conv2d_chunks.h"
#include "hwynn/kernels/depthwise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

void DepthwisePixelOnTarget(const DepthwiseTerm* terms, int64_t num_terms, const float* x, const float* w,
                            int64_t channels, const TileEpilogue& epilogue, float* output) {
  DepthwisePixel(hn::ScalableTag<float>(), terms, num_terms, x, w, channels, epilogue, output);
}

void DepthwiseTapGradientOnTarget(const float* x, int64_t x_stride, const float* dy, int64_t pixels, int64_t channels,
                                  float* sums) {
  DepthwiseTapGradient(hn::ScalableTag<float>(), x, x_stride, dy, pixels, channels, sums);
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
namespace {

HWY_EXPORT(DepthwisePixelOnTarget);
HWY_EXPORT(DepthwiseTapGradientOnTarget);

constexpr int64_t kMaxTerms = 256;

// Images × row ranges of at most this many chunks: partial sums of the filter's gradient.
constexpr int64_t kMaxChunks = 32;

}  // namespace

const char* DepthwiseDeclines(const Conv2dGeometry& g) {
  if (g.groups != g.IC || g.OC != g.IC || g.IC == 1) return "not one filter a channel (groups = IC = OC)";
  return g.KH * g.KW > kMaxTerms ? "a filter of more than 256 taps" : nullptr;
}

int64_t DepthwisePackedFloats(Conv2dPass /*pass*/, const Conv2dGeometry& g) { return g.KH * g.KW * g.IC; }

void DepthwisePackFilter(Conv2dPass /*pass*/, const Conv2dGeometry& g, const float* filter, float* packed) {
  std::copy_n(filter, g.KH * g.KW * g.IC, packed);
}

void DepthwiseForward(const Conv2dGeometry& g, const float* input, const float* filter, float* output,
                      const Workspace& /*workspace*/, const Conv2dOptions& options) {
  const Conv2dEpilogue& wanted = options.epilogue;
  ParallelFor(g.N * g.OH, [&](int64_t row) {
    const int64_t n = row / g.OH;
    const int64_t oy = row % g.OH;
    TileEpilogue epilogue{wanted.scale.size() != 0 ? wanted.scale.data() : nullptr,
                          wanted.bias.size() != 0 ? wanted.bias.data() : nullptr, nullptr, wanted.relu};
    DepthwiseTerm terms[kMaxTerms];
    for (int64_t ox = 0; ox < g.OW; ++ox) {
      int64_t count = 0;
      for (int64_t ky = 0; ky < g.KH; ++ky) {
        const int64_t iy = oy * g.stride_h - g.pad_top + ky * g.dilation_h;
        if (iy < 0 || iy >= g.IH) continue;
        for (int64_t kx = 0; kx < g.KW; ++kx) {
          const int64_t ix = ox * g.stride_w - g.pad_left + kx * g.dilation_w;
          if (ix < 0 || ix >= g.IW) continue;
          terms[count++] = {((n * g.IH + iy) * g.IW + ix) * g.IC, (ky * g.KW + kx) * g.IC};
        }
      }
      const int64_t to = (row * g.OW + ox) * g.OC;
      if (wanted.residual.size() != 0) epilogue.residual = wanted.residual.data() + to;
      HWY_DYNAMIC_DISPATCH(DepthwisePixelOnTarget)(terms, count, input, filter, g.IC, epilogue, output + to);
    }
  });
}

void DepthwiseBackwardInput(const Conv2dGeometry& g, const float* grad_output, const float* filter, float* grad_input,
                            const Workspace& /*workspace*/, const Conv2dOptions& options) {
  ParallelFor(g.N * g.IH, [&](int64_t row) {
    const int64_t n = row / g.IH;
    const int64_t iy = row % g.IH;
    DepthwiseTerm terms[kMaxTerms];
    for (int64_t ix = 0; ix < g.IW; ++ix) {
      int64_t count = 0;
      for (int64_t ky = 0; ky < g.KH; ++ky) {
        const int64_t y = iy + g.pad_top - ky * g.dilation_h;
        if (y < 0 || y % g.stride_h != 0 || y / g.stride_h >= g.OH) continue;
        for (int64_t kx = 0; kx < g.KW; ++kx) {
          const int64_t x = ix + g.pad_left - kx * g.dilation_w;
          if (x < 0 || x % g.stride_w != 0 || x / g.stride_w >= g.OW) continue;
          terms[count++] = {((n * g.OH + y / g.stride_h) * g.OW + x / g.stride_w) * g.OC, (ky * g.KW + kx) * g.IC};
        }
      }
      float* to = grad_input + (row * g.IW + ix) * g.IC;
      HWY_DYNAMIC_DISPATCH(DepthwisePixelOnTarget)
      (terms, count, grad_output, filter, g.IC, {.residual = options.accumulate ? to : nullptr}, to);
    }
  });
}

void DepthwiseBackwardFilter(const Conv2dGeometry& g, const float* input, const float* grad_output, float* grad_filter,
                             const Workspace& workspace) {
  const EvenSplit chunks(g.N * g.OH, std::max<int64_t>(1, (g.N * g.OH + kMaxChunks - 1) / kMaxChunks));
  const int64_t filter_floats = g.KH * g.KW * g.IC;
  ChunkedGradient gradient(chunks.count, filter_floats, grad_filter, workspace);
  ParallelFor(chunks.count, [&](int64_t chunk) {
    float* sums = gradient.Chunk(chunk);
    std::fill_n(sums, filter_floats, 0.0f);
    for (int64_t row = chunks.Begin(chunk); row < chunks.End(chunk); ++row) {
      const int64_t n = row / g.OH;
      const int64_t oy = row % g.OH;
      for (int64_t ky = 0; ky < g.KH; ++ky) {
        const int64_t iy = oy * g.stride_h - g.pad_top + ky * g.dilation_h;
        if (iy < 0 || iy >= g.IH) continue;
        for (int64_t kx = 0; kx < g.KW; ++kx) {
          // Outputs ox whose input ix = ox·stride + shift lies inside the row.
          const int64_t shift = kx * g.dilation_w - g.pad_left;
          const int64_t first = shift < 0 ? (-shift + g.stride_w - 1) / g.stride_w : 0;
          const int64_t end = shift < g.IW ? std::min(g.OW, (g.IW - 1 - shift) / g.stride_w + 1) : 0;
          if (first >= end) continue;
          HWY_DYNAMIC_DISPATCH(DepthwiseTapGradientOnTarget)
          (input + ((n * g.IH + iy) * g.IW + first * g.stride_w + shift) * g.IC, g.stride_w * g.IC,
           grad_output + (row * g.OW + first) * g.OC, end - first, g.IC, sums + (ky * g.KW + kx) * g.IC);
        }
      }
    }
  });
  gradient.Add();
}

}  // namespace hwynn
#endif  // HWY_ONCE
