#include "hwynn/models/presets.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "hwynn/core/check.h"

namespace hwynn {

std::span<const NamedResNet> ResNetPresets() {
  static const std::vector<NamedResNet> presets = [] {
    const auto image_net = [](std::vector<int64_t> stage_sizes, bool bottleneck) {
      return ResNetOptions{.stage_sizes = std::move(stage_sizes),
                           .bottleneck = bottleneck,
                           .stem = ResNetStem::kImageNet,
                           .num_filters = 64,
                           .num_classes = 1000};
    };
    const auto wide = [&](ResNetOptions options, int64_t groups, int64_t width_per_group) {
      options.groups = groups;
      options.width_per_group = width_per_group;
      return options;
    };
    const auto resnet_d = [](ResNetOptions options) {
      options.stem = ResNetStem::kDeep;
      options.average_projection = true;
      return options;
    };
    const ResNetOptions resnet50 = image_net({3, 4, 6, 3}, true);
    const ResNetOptions resnet101 = image_net({3, 4, 23, 3}, true);
    const auto cifar = [](int64_t blocks) {  // 6·blocks + 2 layers
      return ResNetOptions{
          .stage_sizes = {blocks, blocks, blocks}, .stem = ResNetStem::kCifar, .num_filters = 16, .num_classes = 10};
    };
    return std::vector<NamedResNet>{
        {.name = "resnet18", .options = image_net({2, 2, 2, 2}, false)},
        {.name = "resnet26", .options = image_net({2, 2, 2, 2}, true)},
        {.name = "resnet34", .options = image_net({3, 4, 6, 3}, false)},
        {.name = "resnet50", .options = resnet50},
        {.name = "resnet101", .options = resnet101},
        {.name = "resnet152", .options = image_net({3, 8, 36, 3}, true)},
        {.name = "wide_resnet50_2", .options = wide(resnet50, 1, 128)},
        {.name = "wide_resnet101_2", .options = wide(resnet101, 1, 128)},
        {.name = "resnext50_32x4d", .options = wide(resnet50, 32, 4)},
        {.name = "resnext101_32x8d", .options = wide(resnet101, 32, 8)},
        {.name = "resnet18d", .options = resnet_d(image_net({2, 2, 2, 2}, false))},
        {.name = "resnet26d", .options = resnet_d(image_net({2, 2, 2, 2}, true))},
        {.name = "resnet34d", .options = resnet_d(image_net({3, 4, 6, 3}, false))},
        {.name = "resnet50d", .options = resnet_d(resnet50)},
        {.name = "resnet101d", .options = resnet_d(resnet101)},
        {.name = "resnet152d", .options = resnet_d(image_net({3, 8, 36, 3}, true))},
        {.name = "resnet20", .options = cifar(3)},
        {.name = "resnet32", .options = cifar(5)},
        {.name = "resnet44", .options = cifar(7)},
        {.name = "resnet56", .options = cifar(9)},
        {.name = "resnet110", .options = cifar(18)},
    };
  }();
  return presets;
}

ResNetOptions ResNetPreset(std::string_view name, double width) {
  constexpr double kMaxFilters = 1 << 20;
  std::string names;
  for (const NamedResNet& preset : ResNetPresets()) {
    names += (names.empty() ? "" : ", ") + std::string(preset.name);
    if (preset.name != name) continue;
    ResNetOptions options = preset.options;
    const double filters = static_cast<double>(options.num_filters) * width;
    Check(width > 0 && filters <= kMaxFilters, "ResNetPreset: width (", width,
          ") must be positive and make at most 2^20 of ", options.num_filters, " filters");
    options.num_filters = std::max<int64_t>(1, std::llround(filters));
    return options;
  }
  throw std::invalid_argument(StrCat("ResNetPreset: there is no \"", name, "\"; presets: ", names));
}

bool SameBlocks(const ResNetOptions& a, const ResNetOptions& b) {
  return a.stage_sizes == b.stage_sizes && a.bottleneck == b.bottleneck && a.groups == b.groups &&
         a.width_per_group == b.width_per_group && a.average_projection == b.average_projection;
}

std::optional<ResNetMatch> FindResNetPreset(const ResNetOptions& options) {
  for (const auto& [name, preset] : ResNetPresets()) {
    if (!SameBlocks(preset, options)) continue;
    return ResNetMatch{.name = name,
                       .width = static_cast<double>(options.num_filters) / static_cast<double>(preset.num_filters),
                       .same_stem = preset.stem == options.stem};
  }
  return std::nullopt;
}

std::string ResNetText(const ResNetOptions& options) {
  if (const auto preset = FindResNetPreset(options)) return std::string(preset->name);
  std::string sizes;
  for (const int64_t size : options.stage_sizes) sizes += StrCat(sizes.empty() ? "" : ", ", size);
  std::string text = StrCat("a ResNet of ", sizes, options.bottleneck ? " bottleneck" : "", " blocks");
  if (options.groups != 1 || options.width_per_group != ResNetOptions().width_per_group) {
    text += StrCat(" of ", options.groups, "x", options.width_per_group);
  }
  if (options.average_projection) text += " with average pools in their projections";
  return text;
}

}  // namespace hwynn
