#ifndef HWYNN_MODELS_MAKE_MODEL_H_
#define HWYNN_MODELS_MAKE_MODEL_H_

// Models by name, for programs.

#include <memory>
#include <span>
#include <string_view>

#include "hwynn/layers/module.h"
#include "hwynn/layers/residual.h"

namespace hwynn {

struct ModelOptions {
  int64_t num_classes = 10;
  double width = 1.0;  // multiplies the filters of a ResNet; the mlp has none
  PaddingRule padding = PaddingRule::kFlax;
  Precision precision = Precision::kDefault;
  Variance variance = Variance::kStable;  // of its BatchNorms; Flax's is kFast
};

/// "resnet18", "resnet34", "resnet50", "resnet101", "resnet152" (the ImageNet family), "resnet20", "resnet32",
/// "resnet44", "resnet56", "resnet110" (the CIFAR family), "mlp".
std::span<const std::string_view> ModelNames();

/// Throws std::invalid_argument with the valid names for any other name.
std::unique_ptr<const Module> MakeModel(std::string_view name, const ModelOptions& options);

}  // namespace hwynn

#endif  // HWYNN_MODELS_MAKE_MODEL_H_
