#ifndef HWYNN_BENCH_SUPPORT_MODEL_CONVS_H_
#define HWYNN_BENCH_SUPPORT_MODEL_CONVS_H_

// The convolutions and dense layers of a model with their image sizes: for the flops of a step, their share of its
// time, and the list of shapes that conv2d_bench runs.

#include <vector>

#include "hwynn/kernels/conv2d.h"
#include "hwynn/module/module.h"

namespace hwynn::bench {

struct ModelConv {
  Conv2dParams params;
  Conv2dGeometry geometry;
  int64_t count;
  bool input_gradient;  // false for the first: nobody needs d loss / d image
};

/// Distinct shapes with their counts, in the order of the network, for images [N,H,W,C]. A dense layer counts as a 1×1
/// convolution of one pixel. Throws std::invalid_argument for a model whose modules don't all describe themselves
/// (Module::AppendTo).
std::vector<ModelConv> ConvolutionsOf(const Module& model, const Variables& variables, const Shape& images);

}  // namespace hwynn::bench

#endif  // HWYNN_BENCH_SUPPORT_MODEL_CONVS_H_
