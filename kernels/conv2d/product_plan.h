#ifndef HWYNN_KERNELS_CONV2D_PRODUCT_PLAN_H_
#define HWYNN_KERNELS_CONV2D_PRODUCT_PLAN_H_

// Not for users: how an implicit matrix product (product.h) is cut and done. A is never built: a tile's rows are pixels
// that meet the same taps, mostly neighbours in one image row and so a constant distance apart in the source, and for
// each filter row the taps and channels are one contiguous run.

#include <cstdint>
#include <vector>

#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/gradient_parts.h"
#include "hwynn/kernels/conv2d/product.h"
#include "hwynn/kernels/conv2d/runs.h"
#include "hwynn/kernels/conv2d/statistics.h"

namespace hwynn {

/// What a call brings to one product.
struct ProductCall {
  const float* source;
  const float* packed;
  float* destination;
  const Normalization* prologue = nullptr;  // null: none
  const TileEpilogue* epilogue = nullptr;
  const OutputStatistics* statistics = nullptr;
  const GradientParts* gradient = nullptr;
  int64_t first_part = 0;   // of the gradient's: the first block
  bool accumulate = false;  // C += instead of C =
  bool stream = false;      // past the caches; set by the plan
};

/// One product as it is cut: output pixels into blocks, K into depth blocks, columns into panels.
struct ProductPlan {
  ProductPlan(Product wanted, const Conv2dSetup& setup);

  void Run(ProductCall call) const;
  int64_t K() const { return static_cast<int64_t>(product.taps.size()) * product.group_in; }
  // Large outputs that tiles store as whole cache lines, and don't add to.
  bool Streams(const ProductCall& call) const;

  Product product;
  const GemmTiles& tiles;
  PackedPanels panels;  // of B
  BlockGrid blocks;
  std::vector<DepthBlock> depths;
  bool precise;           // sums in double
  EvenSplit panel_split;  // of a group, into tasks
  SourceWindows windows;
  // Whether a prologue is applied to the whole source at first: several tasks would each do it for the same block, or
  // windows are too large.
  bool prologue_first;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_PRODUCT_PLAN_H_
