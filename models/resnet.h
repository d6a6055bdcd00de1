#ifndef HWYNN_MODELS_RESNET_H_
#define HWYNN_MODELS_RESNET_H_

#include <vector>

#include "hwynn/layers/residual.h"

namespace hwynn {

/// What comes before the blocks.
enum class ResNetStem {
  kImageNet,  // conv 7×7 stride 2 padding 3 → BatchNorm → ReLU → max pool 3×3 stride 2: a quarter of the extents
  kCifar,     // conv 3×3 → BatchNorm → ReLU: for small images
};

struct ResNetOptions {
  std::vector<int64_t> stage_sizes = {2, 2, 2, 2};  // blocks of each stage
  bool bottleneck = false;                          // BottleneckResNetBlock, not ResNetBlock
  ResNetStem stem = ResNetStem::kImageNet;
  int64_t num_filters = 64;  // of the first stage; each later one has twice as many at half the extents
  int64_t num_classes = 1000;
  PaddingRule padding = PaddingRule::kFlax;
  Precision precision = Precision::kDefault;  // of all convolutions
  BatchNormOptions norm = {.momentum = 0.9};  // of all BatchNorms (momentum: the fraction kept); Flax's example's
  bool input_gradient = false;                // whether Backward returns d loss / d image or an empty tensor
};

/// Residual networks (He et al. 2015, https://arxiv.org/abs/1512.03385) as Flax's ImageNet example builds them: stem,
/// stages of residual blocks, mean over the image, Dense.
///
/// Shapes: input [N,H,W,C] of any size; output [N,num_classes], logits.
/// Variables: conv_init, bn_init, ResNetBlock_k or BottleneckResNetBlock_k with Conv_0, BatchNorm_0, …, where the
/// shape changes conv_proj and norm_proj, and Dense_0. Only Dense_0 has a bias besides the BatchNorms.
class ResNet final : public Sequential {
 public:
  explicit ResNet(const ResNetOptions& options);
  std::string_view TypeName() const override { return "ResNet"; }
};

struct ImageNetResNetOptions {
  int depth = 50;  // 18, 34, 50, 101 or 152
  int64_t num_classes = 1000;
  double width = 1.0;  // multiplies the filters, 64 in the first stage
  PaddingRule padding = PaddingRule::kFlax;
  Precision precision = Precision::kDefault;
  Variance variance = Variance::kStable;  // of its BatchNorms; Flax's is kFast
};

/// The ImageNet family: ResNet-18 has 11,689,512 parameters, ResNet-50 25,557,032.
ResNet ImageNetResNet(const ImageNetResNetOptions& options);

struct CifarResNetOptions {
  int depth = 20;  // 20, 32, 44, 56 or 110: three stages of (depth − 2)/6 blocks
  int64_t num_classes = 10;
  double width = 1.0;  // multiplies the filters, 16 in the first stage
  PaddingRule padding = PaddingRule::kFlax;
  Precision precision = Precision::kDefault;
  Variance variance = Variance::kStable;
};

/// The CIFAR family: ResNet-20 has 272,474 parameters on images of 3 channels, 272,186 on one. The paper's blocks,
/// but for projections where the shape changes.
ResNet CifarResNet(const CifarResNetOptions& options);

}  // namespace hwynn

#endif  // HWYNN_MODELS_RESNET_H_
