#include "hwynn/models/make_model.h"

#include <algorithm>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/models/mlp.h"
#include "hwynn/models/mobilenet.h"
#include "hwynn/models/presets.h"

namespace hwynn {
namespace {

constexpr std::string_view kMlp = "mlp";
constexpr std::string_view kMobileNetV2 = "mobilenet_v2";

MobileNetV2 MakeMobileNetV2(const ModelOptions& options) {
  const ResNetStem stem = options.stem.value_or(ResNetStem::kImageNet);
  Check(stem != ResNetStem::kDeep, "mobilenet_v2 has no deep stem");
  return MobileNetV2({.width = options.width,
                      .num_classes = options.num_classes,
                      .stem_stride = stem == ResNetStem::kCifar ? 1 : 2,
                      .padding = options.padding,
                      .precision = options.precision,
                      .norm = {.momentum = 0.9, .variance = options.variance}});
}

}  // namespace

std::span<const std::string_view> ModelNames() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> list;
    for (const NamedResNet& preset : ResNetPresets()) list.push_back(preset.name);
    list.push_back(kMobileNetV2);
    list.push_back(kMlp);
    return list;
  }();
  return names;
}

const std::string& ModelNamesText() {
  static const std::string text = [] {
    std::string list;
    for (const std::string_view name : ModelNames()) list += (list.empty() ? "" : ", ") + std::string(name);
    return list;
  }();
  return text;
}

std::unique_ptr<const Module> MakeModel(std::string_view name, const ModelOptions& options) {
  Check(std::ranges::count(ModelNames(), name) == 1, "there is no model \"", name, "\"; models: ", ModelNamesText());
  if (name == kMlp) {
    return std::make_unique<Mlp>(
        MlpOptions{.features = {256, 128, options.num_classes}, .norm = {.variance = options.variance}});
  }
  if (name == kMobileNetV2) return std::make_unique<MobileNetV2>(MakeMobileNetV2(options));
  ResNetOptions resnet = ResNetPreset(name, options.width);
  resnet.num_classes = options.num_classes;
  resnet.stem = options.stem.value_or(resnet.stem);
  resnet.padding = options.padding;
  resnet.precision = options.precision;
  resnet.norm.variance = options.variance;
  return std::make_unique<ResNet>(resnet);
}

}  // namespace hwynn
