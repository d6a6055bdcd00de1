#include "hwynn/models/resnet.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "hwynn/core/check.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/pool.h"

namespace hwynn {
namespace {

int64_t Widen(int64_t filters, double width) {
  constexpr double kMaxFilters = 1 << 20;
  const double widened = static_cast<double>(filters) * width;
  Check(width > 0 && widened <= kMaxFilters, "ResNet: width (", width, ") must be positive and make at most 2^20 of ",
        filters, " filters");
  return std::max<int64_t>(1, std::llround(widened));
}

}  // namespace

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

ResNet ImageNetResNet(const ImageNetResNetOptions& options) {
  static const std::map<int, std::vector<int64_t>> kStageSizes = {
      {18, {2, 2, 2, 2}}, {34, {3, 4, 6, 3}}, {50, {3, 4, 6, 3}}, {101, {3, 4, 23, 3}}, {152, {3, 8, 36, 3}}};
  const auto found = kStageSizes.find(options.depth);
  Check(found != kStageSizes.end(), "ImageNetResNet: depth (", options.depth, ") must be 18, 34, 50, 101 or 152");
  return ResNet({.stage_sizes = found->second,
                 .bottleneck = options.depth >= 50,
                 .num_filters = Widen(64, options.width),
                 .num_classes = options.num_classes,
                 .padding = options.padding,
                 .precision = options.precision,
                 .norm = {.momentum = 0.9, .variance = options.variance}});
}

ResNet CifarResNet(const CifarResNetOptions& options) {
  Check(options.depth >= 8 && options.depth % 6 == 2, "CifarResNet: depth (", options.depth,
        ") must be 6n + 2: 20, 32, 44, 56 or 110");
  const int64_t blocks = (options.depth - 2) / 6;
  return ResNet({.stage_sizes = {blocks, blocks, blocks},
                 .stem = ResNetStem::kCifar,
                 .num_filters = Widen(16, options.width),
                 .num_classes = options.num_classes,
                 .padding = options.padding,
                 .precision = options.precision,
                 .norm = {.momentum = 0.9, .variance = options.variance}});
}

}  // namespace hwynn
