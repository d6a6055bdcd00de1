#include "hwynn/models/mobilenet.h"

#include <algorithm>
#include <array>

#include "hwynn/core/check.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/dropout.h"
#include "hwynn/layers/pool.h"

namespace hwynn {

std::span<const InvertedResidualStage> MobileNetV2Stages() {
  static constexpr std::array<InvertedResidualStage, 7> kStages = {{
      {.expansion = 1, .channels = 16, .blocks = 1, .stride = 1},
      {.expansion = 6, .channels = 24, .blocks = 2, .stride = 2},
      {.expansion = 6, .channels = 32, .blocks = 3, .stride = 2},
      {.expansion = 6, .channels = 64, .blocks = 4, .stride = 2},
      {.expansion = 6, .channels = 96, .blocks = 3, .stride = 1},
      {.expansion = 6, .channels = 160, .blocks = 3, .stride = 2},
      {.expansion = 6, .channels = 320, .blocks = 1, .stride = 1},
  }};
  return kStages;
}

int64_t MobileNetV2Channels(int64_t channels, double width) {
  constexpr double kMaxChannels = 1 << 20;
  constexpr int64_t kUnit = 8;
  const double wanted = static_cast<double>(channels) * width;
  Check(width > 0 && wanted <= kMaxChannels, "MobileNetV2: width (", width,
        ") must be positive and make at most 2^20 of ", channels, " channels");
  const int64_t rounded = std::max(kUnit, static_cast<int64_t>(wanted + kUnit / 2.0) / kUnit * kUnit);
  return static_cast<double>(rounded) < 0.9 * wanted ? rounded + kUnit : rounded;
}

int64_t MobileNetV2HeadChannels(double width) {
  Check(width > 0, "MobileNetV2: width (", width, ") must be positive");
  return MobileNetV2Channels(1280, std::max(1.0, width));
}

MobileNetV2::MobileNetV2(const MobileNetV2Options& options) {
  constexpr int64_t kStemChannels = 32;
  BatchNormOptions norm = options.norm;
  norm.relu = true;
  norm.upper = 6.0f;
  int64_t channels = MobileNetV2Channels(kStemChannels, options.width);
  Add("conv_init", Conv({.features = channels,
                         .stride = {options.stem_stride, options.stem_stride},
                         .padding = WindowPadding(options.padding, 3),
                         .precision = options.precision,
                         .use_bias = false,
                         .input_gradient = options.input_gradient}));
  Add("bn_init", BatchNorm(norm));
  for (const InvertedResidualStage& stage : MobileNetV2Stages()) {
    for (int64_t block = 0; block < stage.blocks; ++block) {
      const InvertedResidualOptions block_options{.channels = MobileNetV2Channels(stage.channels, options.width),
                                                  .expansion = stage.expansion,
                                                  .stride = block == 0 ? stage.stride : 1,
                                                  .padding = options.padding,
                                                  .precision = options.precision,
                                                  .norm = options.norm};
      Add(InvertedResidual(channels, block_options));
      channels = block_options.channels;
    }
  }
  Add("conv_head", Conv({.features = MobileNetV2HeadChannels(options.width),
                         .kernel_size = {1, 1},
                         .precision = options.precision,
                         .use_bias = false}));
  Add("bn_head", BatchNorm(norm));
  Add(GlobalAveragePool());
  Add(Dropout({.rate = options.dropout}));
  Add(Dense({.features = options.num_classes}));
}

}  // namespace hwynn
