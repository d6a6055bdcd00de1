// Where Winograd's algorithms can be used, where they pay, and how they pack a filter: transformed, in panels.

#include <algorithm>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/winograd_tiles.h"
#include "hwynn/kernels/simd/panels.h"

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

// Channels × outputs of a filter that is to be rotated, as [tap][kPackRows][pitch]. A line of the filter holds 16
// channels.
void Rotate(const WinogradFilterView& filter, Range c, Range o, int64_t pitch, float* to) {
  for (int64_t tap = 0; tap < 9; ++tap, to += kPackRows * pitch) {
    const float* from = filter.data + ((8 - tap) * filter.O + o.begin) * filter.C + c.begin;
    for (int64_t row = 0; row < o.size(); ++row, from += filter.C) {
      for (int64_t i = 0; i < c.size(); ++i) to[i * pitch + row] = from[i];
    }
  }
}

// A filter as its pass sees it.
WinogradFilterView ViewOf(const Conv2dFilterForm& form, const float* filter) {
  const bool rotated = form.pass == Conv2dPass::kBackwardInput;
  return {filter, form.filter[rotated ? 3 : 2], form.filter[rotated ? 2 : 3], rotated};
}

// Between the points of some rows of a panel.
int64_t PackStride(const WinogradFilterView& filter) {
  return WinogradStride(EvenSplit(filter.C, kPackRows).Largest(), CurrentGemmTiles().panel());
}

// Of one point.
PackedPanels PointPanels(const WinogradFilterView& filter) { return {CurrentGemmTiles(), filter.C, filter.O}; }

}  // namespace

int64_t WinogradTapFloats() { return 9 * kPackRows * CurrentGemmTiles().panel(); }

void TransformWinogradPanel(const WinogradTransforms& transforms, const WinogradFilterView& filter, Range c, int64_t o0,
                            WinogradPanel to) {
  const GemmTiles& gemm = CurrentGemmTiles();
  const int64_t o1 = std::min(filter.O, o0 + gemm.panel());
  const int64_t width = gemm.PaddedColumns(o1 - o0);
  if (o1 - o0 < width) {
    const int64_t points = transforms.inputs * transforms.inputs;
    for (int64_t point = 0; point < points; ++point) std::fill_n(to.data + point * to.stride, c.size() * width, 0.0f);
  }
  const float* from = filter.data + c.begin * filter.O + o0;
  int64_t row = filter.O;
  int64_t tap_stride = filter.C * filter.O;
  if (filter.rotated) {
    row = width;
    tap_stride = kPackRows * width;
  }
  for (int64_t i = c.begin; i < c.end; ++i, to.data += width) {
    if (filter.rotated && (i - c.begin) % kPackRows == 0) {
      Rotate(filter, {i, std::min(i + kPackRows, c.end)}, {o0, o1}, width, to.taps);
      from = to.taps;
    }
    transforms.filter(from, tap_stride, o1 - o0, to.data, to.stride);
    from += row;
  }
}

const char* WinogradDeclines(const Conv2dGeometry& g) {
  if (g.KH != 3 || g.KW != 3 || g.stride_h != 1 || g.stride_w != 1 || g.dilation_h != 1 || g.dilation_w != 1) {
    return "not a 3x3 filter with stride and dilation 1";
  }
  if (g.groups != 1) return "groups";
  if (std::max({g.pad_top, g.pad_left, g.pad_bottom, g.pad_right}) > 2) return "padding beyond the filter";
  if (std::min({g.pad_top, g.pad_left, g.pad_bottom, g.pad_right}) < 0) return "negative padding";
  return nullptr;
}

// At batch 1 the 512-channel layers on 7×7 have four tiles for 38 MB of filter: better with smaller tiles.
const char* WinogradDoesNotPay(const Conv2dGeometry& g, int64_t m) {
  if (const char* reason = WinogradDeclines(g)) return reason;
  const double cost = WinogradCost(g, m);
  if (cost >= DirectCost(g)) return "the transforms and the larger filter cost more than they save";
  if (m == 4 && cost >= WinogradCost(g, 2)) return "smaller tiles cost less";
  return nullptr;
}

int64_t WinogradPackedFloats(const Conv2dFilterForm& form) {
  return (form.m + 2) * (form.m + 2) * PointPanels(ViewOf(form, nullptr)).floats();
}

int64_t WinogradPackScratchBytes(const Conv2dFilterForm& form) {
  return Scratch::Bytes<float>((form.m + 2) * (form.m + 2) * PackStride(ViewOf(form, nullptr))) +
         Scratch::Bytes<float>(WinogradTapFloats());
}

// Through a scratch array: the points of one (c, o) are megabytes apart, often a power of two.
void WinogradPackFilter(const Conv2dFilterForm& form, const float* filter, float* packed) {
  const WinogradTransforms& transforms = CurrentWinogradTransforms(form.m);
  const WinogradFilterView view = ViewOf(form, filter);
  const PackedPanels panels = PointPanels(view);
  const int64_t points = transforms.inputs * transforms.inputs;
  const EvenSplit rows(view.C, kPackRows);
  const int64_t stride = PackStride(view);
  ParallelForWithScratch(
      panels.count() * rows.count, WinogradPackScratchBytes(form), [&](int64_t task, Scratch scratch) {
        const int64_t panel = task / rows.count;
        const Range c{rows.Begin(task % rows.count), rows.End(task % rows.count)};
        auto* transformed = scratch.Take<float>(points * stride);
        auto* taps = scratch.Take<float>(WinogradTapFloats());
        TransformWinogradPanel(transforms, view, c, panels.Begin(panel), {transformed, stride, taps});
        for (int64_t point = 0; point < points; ++point) {
          std::copy_n(transformed + point * stride, c.size() * panels.Width(panel),
                      packed + point * panels.floats() + panels.Offset(0, panel, c.begin));
        }
      });
}

}  // namespace hwynn
