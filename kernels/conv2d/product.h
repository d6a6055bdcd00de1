#ifndef HWYNN_KERNELS_CONV2D_PRODUCT_H_
#define HWYNN_KERNELS_CONV2D_PRODUCT_H_

// Not for users: forward and backward-input as implicit matrix products C[pixel, o] = Σ_{tap, c} A[pixel, tap,
// c]·B[tap, c, o]. B is the packed filter: its rows are taps × channels, of all taps, whichever of them a product
// meets.

#include <cstdint>
#include <vector>

#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/window.h"
#include "hwynn/kernels/simd/panels.h"

namespace hwynn {

/// C of one product: where grid position (gy, gx) of image n goes.
struct Destination {
  int64_t N, H, W, C;
  int64_t step_h, step_w, offset_h, offset_w;
  int64_t Offset(int64_t n, int64_t gy, int64_t gx) const {
    return ((n * H + gy * step_h + offset_h) * W + gx * step_w + offset_w) * C;
  }
};

struct Product {
  Source source;
  Destination destination;
  std::vector<Tap> taps;  // in the order of B's rows
  int64_t groups, group_in, group_out;
  // Also write zeros to the pixels of C between the grid's, a cell of step_h × step_w from each: no tap reaches them.
  bool clear_cells = false;
};

Product ForwardProduct(const Conv2dGeometry& g);

/// One product a phase of the stride: input row iy = gy·stride + phase meets output row oy = (iy + pad − ky·dilation)/
/// stride where that divides. Without taps where the stride goes beyond the filter: these inputs reached no output.
std::vector<Product> BackwardInputProducts(const Conv2dGeometry& g);

/// The panels of a packed filter.
PackedPanels DirectPanels(const Conv2dFilterForm& form, const GemmTiles& tiles);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_PRODUCT_H_
