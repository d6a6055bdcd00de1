#include "hwynn/models/make_model.h"

#include <algorithm>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/models/mlp.h"
#include "hwynn/models/presets.h"

namespace hwynn {
namespace {

constexpr std::string_view kMlp = "mlp";

}  // namespace

std::span<const std::string_view> ModelNames() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> list;
    for (const NamedResNet& preset : ResNetPresets()) list.push_back(preset.name);
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
  ResNetOptions resnet = ResNetPreset(name, options.width);
  resnet.num_classes = options.num_classes;
  resnet.stem = options.stem.value_or(resnet.stem);
  resnet.padding = options.padding;
  resnet.precision = options.precision;
  resnet.norm.variance = options.variance;
  return std::make_unique<ResNet>(resnet);
}

}  // namespace hwynn
