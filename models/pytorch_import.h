#ifndef HWYNN_MODELS_PYTORCH_IMPORT_H_
#define HWYNN_MODELS_PYTORCH_IMPORT_H_

// Models with PyTorch's names (torchvision, timm) from safetensors files.
//
//   conv1.weight [O,I,H,W]                 → params/conv_init/kernel [H,W,I,O]
//   bn1.{weight,bias}                      → params/bn_init/{scale,bias}
//   bn1.{running_mean,running_var}         → batch_stats/bn_init/{mean,var}
//   layer2.0.conv1.weight, .bn1.…          → ResNetBlock_k/Conv_0/kernel, /BatchNorm_0/…; k counts all blocks
//   layer2.0.downsample.0.weight, .1.…     → ResNetBlock_k/conv_proj/kernel, /norm_proj/…
//   fc.weight [K,F], fc.bias               → params/Dense_0/kernel [F,K], /bias
//
// shortcut.… for downsample.… and linear.… for fc.… are understood too: many models for CIFAR have them. ResNet-Ds
// (timm) have downsample.1.weight, .2.… behind a pool, and conv1.0, conv1.1 … conv1.6, bn1 → conv_init_k, bn_init_k.
// Blocks with a conv3 are BottleneckResNetBlocks; their groups and width follow from shapes. MobileNetV2:
//
//   torchvision                            timm
//   features.0.0.weight, .0.1.…            conv_stem.weight, bn1.…                 → conv_init/kernel, bn_init/…
//   features.2.conv.0.0.weight, .0.1.…     blocks.1.0.conv_pw.weight, bn1.…        → InvertedResidual_1/Conv_0/kernel,
//   … features.2.conv.2.weight, .3.…         blocks.1.0.conv_pwl.weight, bn3.…       →
//   InvertedResidual_1/Conv_2/kernel, … features.18.0.weight, .1.…             conv_head.weight, bn2.… →
//   conv_head/kernel, bn_head/… classifier.1.…                         classifier.…                            →
//   params/Dense_0/…
//
// What wrappers put before a name is left out: module. (DataParallel), model. (Lightning), _orig_mod. (torch.compile),
// backbone., in any order and number. So are counts (num_batches_tracked) of BatchNorms that are there. Running
// variances stay what they are: PyTorch's unbiased ones.
//
// Names and shapes don't say everything. A 7×7 stem has stride 2 and a max pool, as has one of three convolutions, a
// 3×3 stem of a ResNet stride 1 and none, as models for small images have it; the stride of a bottleneck is on its 3×3
// convolution, as torchvision's; a MobileNetV2's stem has stride 2.

#include <memory>
#include <string>
#include <variant>

#include "hwynn/core/export.h"
#include "hwynn/formats/safetensors.h"
#include "hwynn/models/mobilenet.h"
#include "hwynn/models/resnet.h"
#include "hwynn/module/module.h"

namespace HWYNN_EXPORT hwynn {

/// What names and shapes say of a model; its padding rule is PyTorch's.
struct ImportedOptions {
  std::variant<ResNetOptions, MobileNetV2Options> model;
  int64_t channels = 3;  // of the images

  int64_t num_classes() const;
  std::unique_ptr<const Module> MakeModel() const;
  /// "resnet18", "mobilenet_v2", "a ResNet of 2, 2, 1, 1 bottleneck blocks".
  std::string Text() const;
};

struct ImportedModel {
  ImportedOptions options;
  Variables variables;
};

/// Whether the names are PyTorch's, of a network of ours or of another: there is a ….weight or ….running_mean, and
/// nothing that says Flax: its collections, or the metadata of hwynn's own files.
bool HasPyTorchNames(const SafetensorsFile& file);

/// Stages, blocks, stem, filters, groups, channels and classes follow from names and shapes. F16, BF16 and F64 become
/// F32. Throws std::runtime_error that names file and array for a name that isn't one of the above, a network that the
/// options can't describe, an array that is missing or has another shape than the model's, another dtype, and elements
/// that aren't finite.
ImportedModel ImportPyTorchModel(const SafetensorsFile& file);

}  // namespace hwynn

#endif  // HWYNN_MODELS_PYTORCH_IMPORT_H_
