#ifndef HWYNN_MODELS_MOBILENET_H_
#define HWYNN_MODELS_MOBILENET_H_

#include <span>

#include "hwynn/core/export.h"
#include "hwynn/layers/inverted_residual.h"
#include "hwynn/layers/sequential.h"

namespace HWYNN_EXPORT hwynn {

struct MobileNetV2Options {
  // Multiplies all numbers of channels, which are then rounded to multiples of 8 (MobileNetV2Channels); those of the
  // head never become fewer than 1280.
  double width = 1.0;
  int64_t num_classes = 1000;
  float dropout = 0.2f;     // in front of the classifier, in training
  int64_t stem_stride = 2;  // 1: for small images
  PaddingRule padding = PaddingRule::kFlax;
  Precision precision = Precision::kDefault;  // of all convolutions
  BatchNormOptions norm = {.momentum = 0.9};  // of all BatchNorms
  bool input_gradient = false;                // whether Backward returns d loss / d image or an empty tensor
};

/// A row of the paper's table: `blocks` blocks of `channels` channels, the first with `stride`.
struct InvertedResidualStage {
  int64_t expansion, channels, blocks, stride;
};
/// The paper's seven rows.
std::span<const InvertedResidualStage> MobileNetV2Stages();

/// channels·width to the nearest multiple of 8, but at least 8 and never less by more than 10 %: the rule of the
/// paper's authors, torchvision's and timm's. Throws std::invalid_argument for a width that isn't positive or makes
/// more than 2^20.
int64_t MobileNetV2Channels(int64_t channels, double width);
/// Of the last convolution: 1280, more with a width above 1.
int64_t MobileNetV2HeadChannels(double width);

/// MobileNetV2 (Sandler et al. 2018, https://arxiv.org/abs/1801.04381) as torchvision and timm build it: convolution
/// 3×3 stride 2, inverted residual blocks, convolution 1×1, all with BatchNorm and most with ReLU6; mean over the
/// image, dropout, Dense.
///
/// Shapes: input [N,H,W,C] of any size; output [N,num_classes], logits.
/// Variables: conv_init, bn_init, InvertedResidual_k with Conv_0, BatchNorm_0, …, conv_head, bn_head, Dense_0.
class MobileNetV2 final : public Sequential {
 public:
  explicit MobileNetV2(const MobileNetV2Options& options = {});
  std::string_view TypeName() const override { return "MobileNetV2"; }
};

}  // namespace hwynn

#endif  // HWYNN_MODELS_MOBILENET_H_
