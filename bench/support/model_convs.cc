#include "hwynn/bench/support/model_convs.h"

#include <string>

#include "hwynn/core/check.h"

namespace hwynn::bench {

std::vector<ModelConv> ConvolutionsOf(const Collection& params, const Shape& images) {
  std::vector<ModelConv> convs;
  // Adds the convolution at `path`, on images of `extent`, and returns the extent of its output.
  const auto add = [&](const std::string& path, int64_t extent, int64_t stride) {
    const Shape& kernel = params.find(path + "/kernel")->second.shape();
    const bool dense = kernel.rank() == 2;
    const Shape filter = dense ? Shape{1, 1, kernel[0], kernel[1]} : kernel;
    const Conv2dParams conv_params{.stride = {stride, stride},
                                   .padding = filter[0] == 7 ? Padding::Symmetric(3) : Padding::Same()};
    const Conv2dGeometry g =
        ResolveConv2d("ConvolutionsOf", conv_params, {images[0], extent, extent, filter[2]}, filter);
    for (ModelConv& conv : convs) {
      const bool same = conv.geometry.input_shape() == g.input_shape() &&
                        conv.geometry.filter_shape() == g.filter_shape() && conv.params.stride == conv_params.stride;
      if (same && conv.input_gradient) {
        ++conv.count;
        return g.OH;
      }
    }
    convs.push_back({conv_params, g, 1, !convs.empty()});
    return g.OH;
  };
  const auto has = [&](const std::string& path) { return params.contains(path + "/kernel"); };

  Check(has("conv_init") && has("Dense_0"), "ConvolutionsOf: these aren't the params of a ResNet");
  const bool image_net = params.find("conv_init/kernel")->second.shape()[0] == 7;
  int64_t extent = add("conv_init", images[1], image_net ? 2 : 1);
  if (image_net) extent = (extent + 1) / 2;  // the max pool
  const std::string blocks = has("BottleneckResNetBlock_0/Conv_0") ? "BottleneckResNetBlock_" : "ResNetBlock_";
  for (int k = 0; has(StrCat(blocks, k, "/Conv_0")); ++k) {
    const std::string block = StrCat(blocks, k, "/");
    const bool projects = has(block + "conv_proj");
    int64_t stride = projects && k > 0 ? 2 : 1;  // of the block's first 3×3
    if (projects) add(block + "conv_proj", extent, stride);
    for (int i = 0; has(StrCat(block, "Conv_", i)); ++i) {
      const std::string conv = StrCat(block, "Conv_", i);
      const bool square = params.find(conv + "/kernel")->second.shape()[0] == 3;
      extent = add(conv, extent, square ? stride : 1);
      if (square) stride = 1;
    }
  }
  add("Dense_0", 1, 1);
  return convs;
}

}  // namespace hwynn::bench
