#ifndef HWYNN_KERNELS_CONV2D_PRODUCT_H_
#define HWYNN_KERNELS_CONV2D_PRODUCT_H_

// Not for users: forward and backward-input as implicit matrix products C[pixel, o] = Σ_{tap, c} A[pixel, tap,
// c]·B[tap, c, o], and B, the packed filter: [group][panel][tap][c][panel columns]; the last panel of a group may be
// narrower, and its columns beyond the group's outputs are 0.

#include <cstdint>
#include <vector>

#include "hwynn/kernels/conv2d/statistics.h"
#include "hwynn/kernels/conv2d/window.h"

namespace hwynn {

/// C of one product: where grid position (gy, gx) of image n goes.
struct Destination {
  float* data;  // [N,H,W,C]
  int64_t H, W, C;
  int64_t step_h, step_w, offset_h, offset_w;
  int64_t Offset(int64_t n, int64_t gy, int64_t gx) const {
    return ((n * H + gy * step_h + offset_h) * W + gx * step_w + offset_w) * C;
  }
};

/// All pointers are borrowed.
struct Product {
  Source source;
  Destination destination;
  std::vector<Tap> taps;  // in the order of B's rows
  int64_t groups, group_in, group_out;
  const Normalization* prologue = nullptr;
  const TileEpilogue* epilogue = nullptr;
  OutputStatistics* statistics = nullptr;
  bool accumulate = false;  // C += instead of C =
  // Also write zeros to the pixels of C between the grid's, a cell of step_h × step_w from each: no tap reaches them.
  bool clear_cells = false;
};

Product ForwardProduct(const Conv2dGeometry& g, const float* input, float* output);

/// One product a phase of the stride: input row iy = gy·stride + phase meets output row oy = (iy + pad − ky·dilation)/
/// stride where that divides. Without taps where the stride goes beyond the filter: these inputs reached no output.
std::vector<Product> BackwardInputProducts(const Conv2dGeometry& g, const float* grad_output, float* grad_input);

/// Floats of B for all groups.
int64_t PackedFloats(const Product& product, const GemmTiles& tiles);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_PRODUCT_H_
