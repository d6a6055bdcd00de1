#ifndef HWYNN_MODELS_MAKE_MODEL_H_
#define HWYNN_MODELS_MAKE_MODEL_H_

// Models by name, for programs.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hwynn/models/resnet.h"
#include "hwynn/module/module.h"

namespace hwynn {

/// What a program's options change in a model of a name. The mlp has classes and variance alone.
struct ModelOptions {
  int64_t num_classes = 10;
  double width = 1.0;                // multiplies the filters
  std::optional<ResNetStem> stem{};  // another than the preset's
  PaddingRule padding = PaddingRule::kFlax;
  Precision precision = Precision::kDefault;
  Variance variance = Variance::kStable;  // of its BatchNorms; Flax's is kFast
};

/// The names of ResNetPresets (models/presets.h), and "mlp": 256, 128 and num_classes features.
std::span<const std::string_view> ModelNames();
/// "resnet18, …, mlp".
const std::string& ModelNamesText();

/// Throws std::invalid_argument with the valid names for any other name.
std::unique_ptr<const Module> MakeModel(std::string_view name, const ModelOptions& options);

}  // namespace hwynn

#endif  // HWYNN_MODELS_MAKE_MODEL_H_
