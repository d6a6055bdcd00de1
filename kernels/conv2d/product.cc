#include "hwynn/kernels/conv2d/product.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d/algorithms.h"

namespace hwynn {
namespace {

// One panel of one tap of B: `columns` of the group's outputs from `column` on, rows `width` floats apart at `to`.
struct PackTask {
  const Tap& tap;
  int64_t group, column, columns, width;
  float* to;
};

// Packs B; pack(task) fills group_in rows, each padded with zeros to its width.
template <class Pack>
void PackPanels(const Product& product, const GemmTiles& tiles, float* packed, const Pack& pack) {
  const auto taps = static_cast<int64_t>(product.taps.size());
  const int64_t panels = CeilDiv(product.group_out, tiles.panel());
  ParallelFor(product.groups * panels * taps, [&](int64_t task) {
    const int64_t t = task % taps;
    const int64_t column = task / taps % panels * tiles.panel();
    const int64_t group = task / taps / panels;
    const int64_t columns = std::min(tiles.panel(), product.group_out - column);
    const int64_t width = tiles.PanelVectors(columns) * tiles.lanes;
    float* to = packed + (group * tiles.PaddedColumns(product.group_out) + column) * taps * product.group_in +
                t * product.group_in * width;
    pack(PackTask{product.taps[static_cast<size_t>(t)], group, column, columns, width, to});
  });
}

void PackForward(const Product& product, const Conv2dGeometry& g, const float* filter, const GemmTiles& tiles,
                 float* packed) {
  PackPanels(product, tiles, packed, [&](const PackTask& task) {
    const float* from = filter + (task.tap.ky * g.KW + task.tap.kx) * product.group_in * g.OC +
                        task.group * product.group_out + task.column;
    float* to = task.to;
    for (int64_t c = 0; c < product.group_in; ++c, from += g.OC, to += task.width) {
      std::memcpy(to, from, static_cast<size_t>(task.columns) * sizeof(float));
      std::fill(to + task.columns, to + task.width, 0.0f);
    }
  });
}

// Backward-input's B[tap, o, c] is the filter transposed.
void PackBackwardInput(const Product& product, const Conv2dGeometry& g, const float* filter, const GemmTiles& tiles,
                       float* packed) {
  PackPanels(product, tiles, packed, [&](const PackTask& task) {
    const float* from = filter + ((task.tap.ky * g.KW + task.tap.kx) * g.group_ic() + task.column) * g.OC +
                        task.group * product.group_in;
    // 16 floats of a filter row, one cache line, at a time.
    for (int64_t o0 = 0; o0 < product.group_in; o0 += 16) {
      const int64_t o1 = std::min(o0 + 16, product.group_in);
      for (int64_t c = 0; c < task.columns; ++c) {
        for (int64_t o = o0; o < o1; ++o) task.to[o * task.width + c] = from[c * g.OC + o];
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
  if (product.source.N * product.source.H == 1) to = {to.data, 1, product.source.W, to.C, 1, 1, 0, 0};
}

}  // namespace

Product ForwardProduct(const Conv2dGeometry& g, const float* input, float* output) {
  Product product{.source = {input, g.N, g.IH, g.IW, g.IC, g.OH, g.OW, g.stride_h, g.stride_w},
                  .destination = {output, g.OH, g.OW, g.OC, 1, 1, 0, 0},
                  .taps = {},
                  .groups = g.groups,
                  .group_in = g.group_ic(),
                  .group_out = g.group_oc()};
  for (int64_t ky = 0; ky < g.KH; ++ky) {
    for (int64_t kx = 0; kx < g.KW; ++kx) {
      product.taps.push_back({ky * g.dilation_h - g.pad_top, kx * g.dilation_w - g.pad_left, ky, kx});
    }
  }
  if (IsOneTap(g)) Flatten(product);
  return product;
}

std::vector<Product> BackwardInputProducts(const Conv2dGeometry& g, const float* grad_output, float* grad_input) {
  std::vector<Product> products;
  for (int64_t phase_h = 0; phase_h < std::min(g.stride_h, g.IH); ++phase_h) {
    for (int64_t phase_w = 0; phase_w < std::min(g.stride_w, g.IW); ++phase_w) {
      const int64_t grid_h = CeilDiv(g.IH - phase_h, g.stride_h);
      const int64_t grid_w = CeilDiv(g.IW - phase_w, g.stride_w);
      Product product{.source = {grad_output, g.N, g.OH, g.OW, g.OC, grid_h, grid_w, 1, 1},
                      .destination = {grad_input, g.IH, g.IW, g.IC, g.stride_h, g.stride_w, phase_h, phase_w},
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
          if (x % g.stride_w == 0) product.taps.push_back({y / g.stride_h, x / g.stride_w, ky, kx});
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

int64_t PackedFloats(const Product& product, const GemmTiles& tiles) {
  return product.groups * static_cast<int64_t>(product.taps.size()) * product.group_in *
         tiles.PaddedColumns(product.group_out);
}

int64_t DirectPackedFloats(Conv2dPass pass, const Conv2dGeometry& g) {
  const GemmTiles& tiles = CurrentGemmTiles();
  if (pass == Conv2dPass::kForward) return PackedFloats(ForwardProduct(g, nullptr, nullptr), tiles);
  int64_t floats = 0;
  for (const Product& product : BackwardInputProducts(g, nullptr, nullptr)) floats += PackedFloats(product, tiles);
  return floats;
}

void DirectPackFilter(Conv2dPass pass, const Conv2dGeometry& g, const float* filter, float* packed) {
  const GemmTiles& tiles = CurrentGemmTiles();
  if (pass == Conv2dPass::kForward) {
    PackForward(ForwardProduct(g, nullptr, nullptr), g, filter, tiles, packed);
    return;
  }
  for (const Product& product : BackwardInputProducts(g, nullptr, nullptr)) {
    PackBackwardInput(product, g, filter, tiles, packed);
    packed += PackedFloats(product, tiles);
  }
}

}  // namespace hwynn
