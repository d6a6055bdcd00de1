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
    const auto cifar = [](int64_t blocks) {  // 6·blocks + 2 layers
      return ResNetOptions{
          .stage_sizes = {blocks, blocks, blocks}, .stem = ResNetStem::kCifar, .num_filters = 16, .num_classes = 10};
    };
    return std::vector<NamedResNet>{
        {.name = "resnet18", .options = image_net({2, 2, 2, 2}, false)},
        {.name = "resnet26", .options = image_net({2, 2, 2, 2}, true)},
        {.name = "resnet34", .options = image_net({3, 4, 6, 3}, false)},
        {.name = "resnet50", .options = image_net({3, 4, 6, 3}, true)},
        {.name = "resnet101", .options = image_net({3, 4, 23, 3}, true)},
        {.name = "resnet152", .options = image_net({3, 8, 36, 3}, true)},
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

std::optional<ResNetMatch> FindResNetPreset(const ResNetOptions& options) {
  for (const auto& [name, preset] : ResNetPresets()) {
    if (preset.stage_sizes != options.stage_sizes || preset.bottleneck != options.bottleneck) continue;
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
  return StrCat("a ResNet of ", sizes, options.bottleneck ? " bottleneck" : "", " blocks");
}

}  // namespace hwynn
