// Where Winograd's algorithms can be used, where they pay, and how they pack a filter: transformed, in panels.

#include <algorithm>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/winograd_tiles.h"

namespace hwynn {
namespace {

// What a convolution costs, in multiplications. Besides its products, as measured on one core:
// * A float of the filter takes as long to come from beyond the second-level cache as about 15 products.
// * Each point's sums are started and stored by themselves, for as much as 16 steps of the sum.
// * A transform takes about 10 multiplications' time a point and channel, more than half of it loads and stores.
constexpr double kProductsPerFloat = 15;
constexpr double kProductsPerSum = 16;
constexpr double kProductsPerTransform = 10;

double DirectCost(const Conv2dGeometry& g) {
  return 9 * static_cast<double>(g.IC * g.OC) * (static_cast<double>(g.N * g.OH * g.OW) + kProductsPerFloat);
}

double WinogradCost(const Conv2dGeometry& g, int64_t m) {
  const WinogradTiles tiles{g.N, g.IH, g.IW, g.OH, g.OW, g.pad_top, g.pad_left, m};
  const auto points = static_cast<double>(g.N * tiles.Points(g.OH) * tiles.Points(g.OW));
  const auto C = static_cast<double>(g.IC);
  const auto O = static_cast<double>(g.OC);
  const auto filter = static_cast<double>((m + 2) * (m + 2)) * C * O;
  return points * ((C + kProductsPerSum) * O + kProductsPerTransform * (C + O)) + kProductsPerFloat * filter;
}

constexpr int64_t kPackRows = 16;

// Channels [c0, c1) × outputs [o0, o1) of a turned filter, as [tap][kPackRows][pitch]. A line of the filter holds 16
// channels.
void Turn(const WinogradFilterView& filter, int64_t c0, int64_t c1, int64_t o0, int64_t o1, int64_t pitch, float* to) {
  for (int64_t tap = 0; tap < 9; ++tap, to += kPackRows * pitch) {
    const float* from = filter.data + ((8 - tap) * filter.O + o0) * filter.C + c0;
    for (int64_t o = 0; o < o1 - o0; ++o, from += filter.C) {
      for (int64_t c = 0; c < c1 - c0; ++c) to[c * pitch + o] = from[c];
    }
  }
}

// [point][panel][c][panel columns], padded with zeros.
void PackFilter(const WinogradTransforms& transforms, const WinogradFilterView& filter, float* packed) {
  const GemmTiles& gemm = CurrentGemmTiles();
  const int64_t C = filter.C;
  const int64_t O = filter.O;
  const int64_t points = transforms.inputs * transforms.inputs;
  const int64_t pitch = gemm.PaddedColumns(O);
  const int64_t panels = CeilDiv(O, gemm.panel());
  const EvenSplit rows(C, kPackRows);
  // Through a scratch array: the points of one (c, o) are megabytes apart, often a power of two.
  const int64_t stride = WinogradStride(rows.Largest(), gemm.panel());
  ParallelForWithScratch(
      panels * rows.count, Scratch::Bytes<float>(points * stride) + Scratch::Bytes<float>(WinogradTapFloats(filter)),
      [&](int64_t task, Scratch scratch) {
        auto* transformed = scratch.Take<float>(points * stride);
        auto* taps = scratch.Take<float>(WinogradTapFloats(filter));
        const int64_t c0 = rows.Begin(task % rows.count);
        const int64_t c1 = rows.End(task % rows.count);
        const int64_t o0 = task / rows.count * gemm.panel();
        const int64_t width = gemm.PanelVectors(O - o0) * gemm.lanes;
        TransformWinogradPanel(transforms, filter, c0, c1, o0, transformed, stride, taps);
        for (int64_t point = 0; point < points; ++point) {
          std::copy_n(transformed + point * stride, (c1 - c0) * width, packed + (point * pitch + o0) * C + c0 * width);
        }
      });
}

}  // namespace

int64_t WinogradTapFloats(const WinogradFilterView& filter) {
  return filter.turned ? 9 * kPackRows * CurrentGemmTiles().panel() : 0;
}

void TransformWinogradPanel(const WinogradTransforms& transforms, const WinogradFilterView& filter, int64_t c0,
                            int64_t c1, int64_t o0, float* to, int64_t stride, float* taps) {
  const GemmTiles& gemm = CurrentGemmTiles();
  const int64_t o1 = std::min(filter.O, o0 + gemm.panel());
  const int64_t width = gemm.PanelVectors(filter.O - o0) * gemm.lanes;
  if (o1 - o0 < width) {
    const int64_t points = transforms.inputs * transforms.inputs;
    for (int64_t point = 0; point < points; ++point) std::fill_n(to + point * stride, (c1 - c0) * width, 0.0f);
  }
  const float* from = filter.data + c0 * filter.O + o0;
  int64_t row = filter.O;
  int64_t tap_stride = filter.C * filter.O;
  if (filter.turned) {
    from = taps;
    row = width;
    tap_stride = kPackRows * width;
  }
  for (int64_t c = 0; c < c1 - c0; ++c, to += width) {
    if (filter.turned && c % kPackRows == 0) {
      Turn(filter, c0 + c, std::min(c0 + c + kPackRows, c1), o0, o1, width, taps);
      from = taps;
    }
    transforms.filter(from, tap_stride, o1 - o0, to, stride);
    from += row;
  }
}

const char* WinogradDeclines(const Conv2dGeometry& g) {
  if (g.KH != 3 || g.KW != 3 || g.stride_h != 1 || g.stride_w != 1 || g.dilation_h != 1 || g.dilation_w != 1) {
    return "not a 3x3 filter with stride and dilation 1";
  }
  if (g.groups != 1) return "groups";
  if (g.pad_top > 2 || g.pad_left > 2 || g.pad_bottom > 2 || g.pad_right > 2) return "padding beyond the filter";
  return nullptr;
}

// At batch 1 the 512-channel layers on 7×7 have four tiles for 38 MB of filter: better with smaller tiles.
template <int kOutputs>
const char* WinogradDoesNotPay(const Conv2dGeometry& g) {
  if (const char* reason = WinogradDeclines(g)) return reason;
  const double cost = WinogradCost(g, kOutputs);
  if (cost >= DirectCost(g)) return "the transforms and the larger filter cost more than they save";
  if (kOutputs == 4 && cost >= WinogradCost(g, 2)) return "smaller tiles cost less";
  return nullptr;
}

template <int kOutputs>
int64_t WinogradPackedFloats(Conv2dPass pass, const Conv2dGeometry& g) {
  constexpr int64_t kPoints = (kOutputs + 2) * (kOutputs + 2);
  const bool forward = pass == Conv2dPass::kForward;
  return kPoints * (forward ? g.IC : g.OC) * CurrentGemmTiles().PaddedColumns(forward ? g.OC : g.IC);
}

template <int kOutputs>
void WinogradPackFilter(Conv2dPass pass, const Conv2dGeometry& g, const float* filter, float* packed) {
  const bool forward = pass == Conv2dPass::kForward;
  PackFilter(CurrentWinogradTransforms(kOutputs), {filter, forward ? g.IC : g.OC, forward ? g.OC : g.IC, !forward},
             packed);
}

template const char* WinogradDoesNotPay<2>(const Conv2dGeometry&);
template const char* WinogradDoesNotPay<4>(const Conv2dGeometry&);
template int64_t WinogradPackedFloats<2>(Conv2dPass, const Conv2dGeometry&);
template int64_t WinogradPackedFloats<4>(Conv2dPass, const Conv2dGeometry&);
template void WinogradPackFilter<2>(Conv2dPass, const Conv2dGeometry&, const float*, float*);
template void WinogradPackFilter<4>(Conv2dPass, const Conv2dGeometry&, const float*, float*);

}  // namespace hwynn
