#include "hwynn/models/resnet.h"

#include <algorithm>

#include "hwynn/core/check.h"
#include "hwynn/core/split.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/pool.h"

namespace hwynn {
namespace {

Conv StemConv(const ResNetOptions& options, int64_t filters, int64_t size, int64_t stride, bool input_gradient) {
  return Conv({.features = filters,
               .kernel_size = {size, size},
               .stride = {stride, stride},
               .padding = Padding::Symmetric(size / 2),
               .precision = options.precision,
               .use_bias = false,
               .input_gradient = input_gradient});
}

void AddStem(const ResNetOptions& options, Sequential& net) {
  BatchNormOptions norm = options.norm;
  norm.relu = true;
  if (options.stem == ResNetStem::kDeep) {
    const int64_t half = CeilDiv(options.num_filters, 2);
    net.Add("conv_init_0", StemConv(options, half, 3, 2, options.input_gradient)).Add("bn_init_0", BatchNorm(norm));
    net.Add("conv_init_1", StemConv(options, half, 3, 1, true)).Add("bn_init_1", BatchNorm(norm));
    net.Add("conv_init_2", StemConv(options, options.num_filters, 3, 1, true)).Add("bn_init_2", BatchNorm(norm));
  } else {
    const bool small = options.stem == ResNetStem::kCifar;
    net.Add("conv_init", StemConv(options, options.num_filters, small ? 3 : 7, small ? 1 : 2, options.input_gradient));
    net.Add("bn_init", BatchNorm(norm));
  }
  if (options.stem == ResNetStem::kCifar) return;
  net.Add(MaxPool({.window = {3, 3}, .stride = {2, 2}, .padding = WindowPadding(options.padding, 3)}));
}

}  // namespace

BatchNormOptions NoNormalization() { return {.epsilon = 0.0f, .use_scale = false, .use_running_average = true}; }

ResNet::ResNet(const ResNetOptions& options) {
  constexpr int64_t kPlainWidth = 64;
  Check(options.groups > 0 && options.width_per_group > 0, "ResNet: groups (", options.groups,
        ") and width_per_group (", options.width_per_group, ") must be positive");
  Check(options.bottleneck || (options.groups == 1 && options.width_per_group == kPlainWidth),
        "ResNet: groups and width_per_group are those of bottlenecks");
  AddStem(options, *this);
  for (size_t stage = 0; stage < options.stage_sizes.size(); ++stage) {
    for (int64_t block = 0; block < options.stage_sizes[stage]; ++block) {
      const int64_t filters = options.num_filters << stage;
      const int64_t group_width = std::max<int64_t>(1, filters * options.width_per_group / kPlainWidth);
      const ResidualBlockOptions block_options{.filters = filters,
                                               .stride = stage > 0 && block == 0 ? 2 : 1,
                                               .groups = options.groups,
                                               .width = options.bottleneck ? group_width * options.groups : 0,
                                               .average_projection = options.average_projection,
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
