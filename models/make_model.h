#ifndef HWYNN_MODELS_MAKE_MODEL_H_
#define HWYNN_MODELS_MAKE_MODEL_H_

// Models by name, for programs.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hwynn/core/export.h"
#include "hwynn/models/resnet.h"
#include "hwynn/module/module.h"

namespace HWYNN_EXPORT hwynn {

/// What a program's options change in a model of a name. The mlp has classes and variance alone. The stem of a
/// mobilenet_v2 has stride 2 (kImageNet, its own) or 1 (kCifar).
struct ModelOptions {
  int64_t num_classes = 10;
  double width = 1.0;                // multiplies the filters or channels
  std::optional<ResNetStem> stem{};  // another than the preset's
  PaddingRule padding = PaddingRule::kFlax;
  Precision precision = Precision::kDefault;
  Variance variance = Variance::kStable;  // of its BatchNorms; Flax's is kFast
};

/// The names of ResNetPresets (models/presets.h), "mobilenet_v2", and "mlp": 256, 128 and num_classes features.
std::span<const std::string_view> ModelNames();
/// "resnet18, …, mlp".
const std::string& ModelNamesText();

/// Throws std::invalid_argument with the valid names for any other name, and for a stem that a model doesn't have.
std::unique_ptr<const Module> MakeModel(std::string_view name, const ModelOptions& options);

}  // namespace hwynn

#endif  // HWYNN_MODELS_MAKE_MODEL_H_
