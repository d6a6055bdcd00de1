#ifndef HWYNN_BENCH_SUPPORT_MODEL_CONVS_H_
#define HWYNN_BENCH_SUPPORT_MODEL_CONVS_H_

// The convolutions and dense layers of a ResNet with their image sizes: for the flops of a step, their share of its
// time, and the list of shapes that conv2d_bench runs.

#include <vector>

#include "hwynn/kernels/conv2d.h"
#include "hwynn/module/variables.h"

namespace hwynn::bench {

struct ModelConv {
  Conv2dParams params;
  Conv2dGeometry geometry;
  int64_t count;
  bool input_gradient;  // false for the first: nobody needs d loss / d image
};

/// Distinct shapes with their counts, in the order of the network, from the params of a ResNet (PaddingRule::kFlax)
/// and the shape [N,H,W,C] of its images. Filters and their order are the tree's; what it doesn't hold, the strides,
/// is 2 in the 7×7 stem and the max pool behind it, and on the projection and the first 3×3 of a block that projects,
/// but for the first block. A dense layer counts as a 1×1 convolution of one pixel.
std::vector<ModelConv> ConvolutionsOf(const Collection& params, const Shape& images);

}  // namespace hwynn::bench

#endif  // HWYNN_BENCH_SUPPORT_MODEL_CONVS_H_
