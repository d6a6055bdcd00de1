#ifndef HWYNN_MODELS_PYTORCH_IMPORT_H_
#define HWYNN_MODELS_PYTORCH_IMPORT_H_

// ResNets with PyTorch's names (torchvision, timm) from safetensors files.
//
//   conv1.weight [O,I,H,W]                 → params/conv_init/kernel [H,W,I,O]
//   bn1.{weight,bias}                      → params/bn_init/{scale,bias}
//   bn1.{running_mean,running_var}         → batch_stats/bn_init/{mean,var}
//   layer2.0.conv1.weight, .bn1.…          → ResNetBlock_k/Conv_0/kernel, /BatchNorm_0/…; k counts all blocks
//   layer2.0.downsample.0.weight, .1.…     → ResNetBlock_k/conv_proj/kernel, /norm_proj/…
//   fc.weight [K,F], fc.bias               → params/Dense_0/kernel [F,K], /bias
//
// Blocks with a conv3 are BottleneckResNetBlocks; num_batches_tracked is left out. Running variances stay what they
// are: PyTorch's unbiased ones.

#include <string>

#include "hwynn/formats/safetensors.h"
#include "hwynn/layers/variables.h"

namespace hwynn {

/// A model for MakeModel, with PaddingRule::kPyTorch.
struct ImportedResNet {
  std::string model;  // "resnet50"
  double width = 1.0;
  int64_t channels = 3;
  int64_t num_classes = 0;
  Variables variables;
};

/// Whether the file has PyTorch's names: a conv1.weight.
bool HasPyTorchNames(const SafetensorsFile& file);

/// Depth, width, channels and classes follow from names and shapes. F16, BF16 and F64 become F32. Throws
/// std::runtime_error that names file and array for a name that isn't one of the above, an array that is missing or has
/// another shape than the model's, another dtype, and elements that aren't finite.
ImportedResNet ImportPyTorchResNet(const SafetensorsFile& file);

}  // namespace hwynn

#endif  // HWYNN_MODELS_PYTORCH_IMPORT_H_
