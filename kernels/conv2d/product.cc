#include "hwynn/kernels/conv2d/product.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "hwynn/core/parallel.h"

namespace hwynn {
namespace {

// The rows of one tap in one panel of B.
struct PackTask {
  int64_t group, tap, column, columns, width;
  float* to;
};

// Packs B; pack(task) fills the rows of a tap, `group_in` of them, each padded with zeros to its width.
template <class Pack>
void PackPanels(const PackedPanels& panels, int64_t taps, float* packed, const Pack& pack) {
  const int64_t group_in = panels.rows() / taps;
  ParallelFor(panels.groups() * panels.count() * taps, [&](int64_t task) {
    const int64_t tap = task % taps;
    const int64_t panel = task / taps % panels.count();
    const int64_t group = task / taps / panels.count();
    pack(PackTask{.group = group,
                  .tap = tap,
                  .column = panels.Begin(panel),
                  .columns = panels.Columns(panel),
                  .width = panels.Width(panel),
                  .to = packed + panels.Offset(group, panel, tap * group_in)});
  });
}

void PackForward(const Conv2dFilterForm& form, const PackedPanels& panels, const float* filter, float* packed) {
  const int64_t IC = form.filter[2];
  const int64_t OC = form.filter[3];
  PackPanels(panels, form.taps(), packed, [&](const PackTask& task) {
    const float* from = filter + task.tap * IC * OC + task.group * panels.columns() + task.column;
    float* to = task.to;
    for (int64_t c = 0; c < IC; ++c, from += OC, to += task.width) {
      std::memcpy(to, from, static_cast<size_t>(task.columns) * sizeof(float));
      std::fill(to + task.columns, to + task.width, 0.0f);
    }
  });
}

// Backward-input's B[tap, o, c] is the filter rotated: transposed, last tap first.
void PackBackwardInput(const Conv2dFilterForm& form, const PackedPanels& panels, const float* filter, float* packed) {
  const int64_t IC = form.filter[2];
  const int64_t OC = form.filter[3];
  const int64_t group_in = OC / form.groups;
  PackPanels(panels, form.taps(), packed, [&](const PackTask& task) {
    const int64_t tap = form.taps() - 1 - task.tap;
    const float* from = filter + (tap * IC + task.column) * OC + task.group * group_in;
    // 16 floats of a filter row, one cache line, at a time.
    for (int64_t o0 = 0; o0 < group_in; o0 += 16) {
      const int64_t o1 = std::min(o0 + 16, group_in);
      for (int64_t c = 0; c < task.columns; ++c) {
        for (int64_t o = o0; o < o1; ++o) task.to[o * task.width + c] = from[c * OC + o];
      }
      for (int64_t o = o0; o < o1; ++o) {
        std::fill(task.to + o * task.width + task.columns, task.to + (o + 1) * task.width, 0.0f);
      }
    }
  });
}

// The source, and the output if the source became one long row: a plain matrix product.
void Flatten(Product& product) {
  product.source = OneTapSource(product.source);
  Destination& to = product.destination;
  if (product.source.N * product.source.H == 1) to = {1, 1, product.source.W, to.C, 1, 1, 0, 0};
}

}  // namespace

Product ForwardProduct(const Conv2dGeometry& g) {
  Product product{.source = {g.N, g.IH, g.IW, g.IC, g.OH, g.OW, g.stride_h, g.stride_w},
                  .destination = {g.N, g.OH, g.OW, g.OC, 1, 1, 0, 0},
                  .taps = ForwardTaps(g),
                  .groups = g.groups,
                  .group_in = g.group_ic(),
                  .group_out = g.group_oc()};
  if (IsOneTap(g)) Flatten(product);
  return product;
}

std::vector<Product> BackwardInputProducts(const Conv2dGeometry& g) {
  std::vector<Product> products;
  for (int64_t phase_h = 0; phase_h < std::min(g.stride_h, g.IH); ++phase_h) {
    for (int64_t phase_w = 0; phase_w < std::min(g.stride_w, g.IW); ++phase_w) {
      const int64_t grid_h = CeilDiv(g.IH - phase_h, g.stride_h);
      const int64_t grid_w = CeilDiv(g.IW - phase_w, g.stride_w);
      Product product{.source = {g.N, g.OH, g.OW, g.OC, grid_h, grid_w, 1, 1},
                      .destination = {g.N, g.IH, g.IW, g.IC, g.stride_h, g.stride_w, phase_h, phase_w},
                      .taps = {},
                      .groups = g.groups,
                      .group_in = g.group_oc(),
                      .group_out = g.group_ic()};
      // Last tap first: then the source's offsets ascend, and neighbouring taps touch.
      for (int64_t ky = g.KH - 1; ky >= 0; --ky) {
        const int64_t y = phase_h + g.pad_top - ky * g.dilation_h;
        if (y % g.stride_h != 0) continue;
        for (int64_t kx = g.KW - 1; kx >= 0; --kx) {
          const int64_t x = phase_w + g.pad_left - kx * g.dilation_w;
          const int64_t row = (g.KH - 1 - ky) * g.KW + g.KW - 1 - kx;
          if (x % g.stride_w == 0) product.taps.push_back({y / g.stride_h, x / g.stride_w, row});
        }
      }
      if (IsOneTap(g)) {  // all other phases are zeros
        product.clear_cells = g.stride_h * g.stride_w > 1;
        if (!product.clear_cells) Flatten(product);
        return {std::move(product)};
      }
      products.push_back(std::move(product));
    }
  }
  return products;
}

PackedPanels DirectPanels(const Conv2dFilterForm& form, const GemmTiles& tiles) {
  const int64_t ic = form.filter[2];
  const int64_t oc = form.filter[3] / form.groups;
  const bool forward = form.pass == Conv2dPass::kForward;
  return {tiles, form.taps() * (forward ? ic : oc), forward ? oc : ic, form.groups};
}

int64_t DirectPackedFloats(const Conv2dFilterForm& form) { return DirectPanels(form, CurrentGemmTiles()).floats(); }

void DirectPackFilter(const Conv2dFilterForm& form, const float* filter, float* packed) {
  const PackedPanels panels = DirectPanels(form, CurrentGemmTiles());
  if (form.pass == Conv2dPass::kForward) {
    PackForward(form, panels, filter, packed);
  } else {
    PackBackwardInput(form, panels, filter, packed);
  }
}

}  // namespace hwynn
