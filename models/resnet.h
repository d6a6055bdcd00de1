#ifndef HWYNN_MODELS_RESNET_H_
#define HWYNN_MODELS_RESNET_H_

// Residual networks from options; models/presets.h has those of the paper by name.

#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/layers/residual.h"

namespace HWYNN_EXPORT hwynn {

/// What comes before the blocks.
enum class ResNetStem {
  kImageNet,  // conv 7×7 stride 2 padding 3 → BatchNorm → ReLU → max pool 3×3 stride 2: a quarter of the extents
  kCifar,     // conv 3×3 → BatchNorm → ReLU: for small images
  // ResNet-D's: three convolutions 3×3, each with BatchNorm and ReLU, the first with stride 2 and two with half as many
  // filters, → max pool 3×3 stride 2: a quarter of the extents.
  kDeep,
};

/// For ResNetOptions::norm, a network without normalisation: what stands in a BatchNorm's place adds a bias, as the
/// convolution before it would with one of its own. (A BatchNorm of the constants 0 and 1 in place of statistics.)
BatchNormOptions NoNormalization();

struct ResNetOptions {
  std::vector<int64_t> stage_sizes = {2, 2, 2, 2};  // blocks of each stage
  bool bottleneck = false;                          // BottleneckResNetBlock, not ResNetBlock
  ResNetStem stem = ResNetStem::kImageNet;
  int64_t groups = 1;  // of the bottlenecks' 3×3 convolutions: ResNeXt's cardinality
  // Channels of each group where a block has 64 filters, as torchvision counts: within a bottleneck there are
  // ⌊filters·width_per_group/64⌋·groups. Wide ResNets have 128.
  int64_t width_per_group = 64;
  bool average_projection = false;  // ResNet-D's: see ResidualBlockOptions
  int64_t num_filters = 64;         // of the first stage; each later one has twice as many at half the extents
  int64_t num_classes = 1000;
  PaddingRule padding = PaddingRule::kFlax;
  Precision precision = Precision::kDefault;  // of all convolutions
  BatchNormOptions norm = {.momentum = 0.9};  // of all BatchNorms (momentum: the fraction kept); Flax's example's
  bool input_gradient = false;                // whether Backward returns d loss / d image or an empty tensor
};

/// Residual networks (He et al. 2015, https://arxiv.org/abs/1512.03385) as Flax's ImageNet example builds them: stem,
/// stages of residual blocks, mean over the image, Dense. Options make ResNeXts (https://arxiv.org/abs/1611.05431),
/// Wide ResNets (https://arxiv.org/abs/1605.07146) and ResNet-Ds (https://arxiv.org/abs/1812.01187) of them.
///
/// Shapes: input [N,H,W,C] of any size; output [N,num_classes], logits.
/// Variables: conv_init, bn_init, ResNetBlock_k or BottleneckResNetBlock_k with Conv_0, BatchNorm_0, …, where the
/// shape changes conv_proj and norm_proj, and Dense_0. A deep stem has conv_init_k and bn_init_k, k < 3. Only Dense_0
/// has a bias besides the BatchNorms.
class ResNet final : public Sequential {
 public:
  explicit ResNet(const ResNetOptions& options);
  std::string_view TypeName() const override { return "ResNet"; }
};

}  // namespace hwynn

#endif  // HWYNN_MODELS_RESNET_H_
