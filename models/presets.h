#ifndef HWYNN_MODELS_PRESETS_H_
#define HWYNN_MODELS_PRESETS_H_

// ResNets by name: options to look at, to edit and to build from.
//
//   ResNetOptions options = ResNetPreset("resnet18");
//   options.stem = ResNetStem::kCifar;  // small images
//   options.num_classes = 10;
//   const ResNet model(options);

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hwynn/core/export.h"
#include "hwynn/models/resnet.h"

namespace HWYNN_EXPORT hwynn {

struct NamedResNet {
  std::string_view name;
  ResNetOptions options;
};

/// The table. "resnet18", "resnet34", "resnet50", "resnet101", "resnet152": the ImageNet family of the paper, and
/// timm's "resnet26"; "wide_resnet50_2", "wide_resnet101_2", "resnext50_32x4d", "resnext101_32x8d" of torchvision;
/// "resnet18d", "resnet26d", "resnet34d", "resnet50d", "resnet101d", "resnet152d" of timm; "resnet20", "resnet32",
/// "resnet44", "resnet56", "resnet110": the paper's CIFAR family, but for projections where the shape changes. No two
/// have the same stages of the same blocks (SameBlocks).
std::span<const NamedResNet> ResNetPresets();

/// Whether two ResNets have the same stages of the same blocks, whatever their filters, stems and other options.
bool SameBlocks(const ResNetOptions& a, const ResNetOptions& b);

/// The options of that name. `width` multiplies the filters, which are rounded and at least 1. Throws
/// std::invalid_argument with the names for any other one, and for a width that isn't positive or makes more than 2^20
/// filters.
ResNetOptions ResNetPreset(std::string_view name, double width = 1.0);

/// Which preset a ResNet is, whatever its width, stem and other options.
struct ResNetMatch {
  std::string_view name;
  double width = 1.0;  // ResNetPreset(name, width) has its filters
  bool same_stem = true;
};
/// Nothing when no preset has these stages of these blocks.
std::optional<ResNetMatch> FindResNetPreset(const ResNetOptions& options);

/// For messages: "resnet18" or "a ResNet of 2, 2, 1, 1 bottleneck blocks of 32x4", whatever its width and stem.
std::string ResNetText(const ResNetOptions& options);

}  // namespace hwynn

#endif  // HWYNN_MODELS_PRESETS_H_
