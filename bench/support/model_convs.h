#ifndef HWYNN_BENCH_SUPPORT_MODEL_CONVS_H_
#define HWYNN_BENCH_SUPPORT_MODEL_CONVS_H_

// The convolutions and dense layers of a ResNet with their image sizes, which its variable tree doesn't hold: for the
// flops of a step and their share of its time. The stage sizes repeat models/resnet.cc.

#include <string>
#include <vector>

#include "hwynn/kernels/conv2d.h"

namespace hwynn::bench {

struct ModelConv {
  Conv2dParams params;
  Conv2dGeometry geometry;
  int64_t count;
  bool input_gradient;  // false for the first: nobody needs d loss / d image
};

/// Distinct shapes with their counts; a dense layer counts as a 1×1 convolution of one pixel.
std::vector<ModelConv> ConvolutionsOf(const std::string& model, int64_t size, int64_t channels, int64_t classes,
                                      int64_t batch);

}  // namespace hwynn::bench

#endif  // HWYNN_BENCH_SUPPORT_MODEL_CONVS_H_
