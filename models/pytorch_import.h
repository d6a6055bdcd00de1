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
// shortcut.… for downsample.… and linear.… for fc.… are understood too: many models for CIFAR have them.
// Blocks with a conv3 are BottleneckResNetBlocks. What wrappers put before a name is left out: module. (DataParallel),
// model. (Lightning), _orig_mod. (torch.compile), backbone., in any order and number. So are counts
// (num_batches_tracked) of BatchNorms that are there. Running variances stay what they are: PyTorch's unbiased ones.
//
// Names and shapes don't say everything. A 7×7 stem has stride 2 and a max pool, a 3×3 stem stride 1 and none, as
// models for small images have it; the stride of a bottleneck is on its 3×3 convolution, as torchvision's.

#include "hwynn/formats/safetensors.h"
#include "hwynn/models/resnet.h"
#include "hwynn/module/variables.h"

namespace hwynn {

/// ResNet(options) is the model of these variables; its padding rule is PyTorch's.
struct ImportedResNet {
  ResNetOptions options;
  int64_t channels = 3;
  Variables variables;
};

/// Whether the names are PyTorch's, of a ResNet or of another network: there is a ….weight or ….running_mean, and
/// nothing that says Flax: its collections, or the metadata of hwynn's own files.
bool HasPyTorchNames(const SafetensorsFile& file);

/// Stages, blocks, stem, filters, channels and classes follow from names and shapes. F16, BF16 and F64 become F32.
/// Throws std::runtime_error that names file and array for a name that isn't one of the above, a network that
/// ResNetOptions can't describe (a stem of several convolutions, grouped or wider bottlenecks), an array that is
/// missing or has another shape than the model's, another dtype, and elements that aren't finite.
ImportedResNet ImportPyTorchResNet(const SafetensorsFile& file);

}  // namespace hwynn

#endif  // HWYNN_MODELS_PYTORCH_IMPORT_H_
