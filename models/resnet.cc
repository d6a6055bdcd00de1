#include "hwynn/models/resnet.h"

#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/pool.h"

namespace hwynn {

BatchNormOptions NoNormalization() { return {.epsilon = 0.0f, .use_scale = false, .use_running_average = true}; }

ResNet::ResNet(const ResNetOptions& options) {
  const bool image_net = options.stem == ResNetStem::kImageNet;
  const int64_t size = image_net ? 7 : 3;
  const int64_t stride = image_net ? 2 : 1;
  BatchNormOptions norm = options.norm;
  norm.relu = true;
  Add("conv_init", Conv({.features = options.num_filters,
                         .kernel_size = {size, size},
                         .stride = {stride, stride},
                         .padding = Padding::Symmetric(size / 2),
                         .precision = options.precision,
                         .use_bias = false,
                         .input_gradient = options.input_gradient}));
  Add("bn_init", BatchNorm(norm));
  if (image_net) Add(MaxPool({.window = {3, 3}, .stride = {2, 2}, .padding = WindowPadding(options.padding, 3)}));

  for (size_t stage = 0; stage < options.stage_sizes.size(); ++stage) {
    for (int64_t block = 0; block < options.stage_sizes[stage]; ++block) {
      const ResidualBlockOptions block_options{.filters = options.num_filters << stage,
                                               .stride = stage > 0 && block == 0 ? 2 : 1,
                                               .padding = options.padding,
                                               .precision = options.precision,
                                               .norm = options.norm};
      if (options.bottleneck) {
        Add(BottleneckResNetBlock(block_options));
      } else {
        Add(ResNetBlock(block_options));
      }
    }
  }
  Add(GlobalAveragePool());
  Add(Dense({.features = options.num_classes}));
}

}  // namespace hwynn
