#include "hwynn/models/make_model.h"

#include <algorithm>
#include <array>
#include <string>

#include "hwynn/core/check.h"
#include "hwynn/models/mlp.h"
#include "hwynn/models/resnet.h"

namespace hwynn {
namespace {

constexpr std::array<std::string_view, 11> kNames = {"resnet18",  "resnet34",  "resnet50", "resnet101",
                                                     "resnet152", "resnet20",  "resnet32", "resnet44",
                                                     "resnet56",  "resnet110", "mlp"};
constexpr std::string_view kResNet = "resnet";
constexpr std::array<int, 5> kImageNetDepths = {18, 34, 50, 101, 152};

std::string JoinedNames() {
  std::string names;
  for (const std::string_view name : kNames) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

}  // namespace

std::span<const std::string_view> ModelNames() { return kNames; }

std::unique_ptr<const Module> MakeModel(std::string_view name, const ModelOptions& options) {
  Check(std::ranges::count(kNames, name) == 1, "there is no model \"", name, "\"; models: ", JoinedNames());
  if (name == "mlp") {
    return std::make_unique<Mlp>(
        MlpOptions{.features = {256, 128, options.num_classes}, .norm = {.variance = options.variance}});
  }
  const int depth = std::stoi(std::string(name.substr(kResNet.size())));
  if (std::ranges::count(kImageNetDepths, depth) == 1) {
    return std::make_unique<ResNet>(ImageNetResNet({.depth = depth,
                                                    .num_classes = options.num_classes,
                                                    .width = options.width,
                                                    .padding = options.padding,
                                                    .precision = options.precision,
                                                    .variance = options.variance}));
  }
  return std::make_unique<ResNet>(CifarResNet({.depth = depth,
                                               .num_classes = options.num_classes,
                                               .width = options.width,
                                               .padding = options.padding,
                                               .precision = options.precision,
                                               .variance = options.variance}));
}

}  // namespace hwynn
