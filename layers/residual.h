#ifndef HWYNN_LAYERS_RESIDUAL_H_
#define HWYNN_LAYERS_RESIDUAL_H_

// The residual blocks of ResNets, as Flax's ImageNet example has them, and their kin: ResNeXt, Wide ResNet, ResNet-D.
// BatchNorm, the addition and ReLU are fused.

#include "hwynn/core/export.h"
#include "hwynn/kernels/padding.h"
#include "hwynn/kernels/precision.h"
#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/sequential.h"

namespace HWYNN_EXPORT hwynn {

/// How windows at stride 2 are padded; at stride 1 both rules agree.
enum class PaddingRule {
  kFlax,     // SAME: an odd pixel at the end
  kPyTorch,  // (k − 1)/2 pixels on every side
};

/// The padding of a window of `size` × `size` (odd) pixels.
constexpr Padding WindowPadding(PaddingRule rule, int64_t size) {
  return rule == PaddingRule::kFlax ? Padding::Same() : Padding::Symmetric((size - 1) / 2);
}

struct ResidualBlockOptions {
  int64_t filters = 0;  // required
  int64_t stride = 1;
  int64_t groups = 1;  // of a bottleneck's 3×3 convolution: ResNeXt's cardinality
  int64_t width = 0;   // channels within a bottleneck, a multiple of `groups`; 0: as many as filters
  // ResNet-D's projection: in place of the 1×1 convolution's stride a mean over stride × stride pixels, of those inside
  // the image.
  bool average_projection = false;
  PaddingRule padding = PaddingRule::kFlax;
  Precision precision = Precision::kDefault;  // of its convolutions
  BatchNormOptions norm = {.momentum = 0.9};  // of all its BatchNorms; the last one's scale starts at 0
};

/// output = relu(batch_norm(main path) + shortcut). The shortcut is the input where its shape is the output's, else
/// norm_proj(conv_proj(input)) with a 1×1 convolution of the block's stride, or with average_projection
/// norm_proj(conv_proj(pool_proj(input))).
///
/// Tape: what the children keep.
class ResidualBlock : public FusingModule {
 public:
  Shape Init(InitScope scope, const Shape& input) const override;
  Activation ForwardFused(const Scope& scope, Activation input) const override;
  ActivationGradient BackwardFused(const Scope& scope, ActivationGradient grad_output,
                                   Tensor grad_input) const override;
  GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const override;

 protected:
  /// `main` is the main path but for its last BatchNorm, which is called `last_norm_name`.
  ResidualBlock(const ResidualBlockOptions& options, Sequential main, std::string last_norm_name,
                int64_t output_channels);

 private:
  // Whether the output's shape is another than the input's.
  bool Projects(const Shape& input) const;

  Sequential main_;
  std::string last_norm_name_;
  BatchNorm last_norm_;
  int64_t stride_;
  int64_t output_channels_;
  Sequential projection_;
};

/// Conv_0 3×3 (stride) → BatchNorm_0 → ReLU → Conv_1 3×3 → BatchNorm_1: `filters` channels.
class ResNetBlock final : public ResidualBlock {
 public:
  explicit ResNetBlock(const ResidualBlockOptions& options);
  std::string_view TypeName() const override { return "ResNetBlock"; }
};

/// Conv_0 1×1 → BatchNorm_0 → ReLU → Conv_1 3×3 (stride) → BatchNorm_1 → ReLU → Conv_2 1×1 → BatchNorm_2: 4·filters
/// channels, `width` within. The stride is on the 3×3 convolution ("v1.5").
class BottleneckResNetBlock final : public ResidualBlock {
 public:
  explicit BottleneckResNetBlock(const ResidualBlockOptions& options);
  std::string_view TypeName() const override { return "BottleneckResNetBlock"; }
};

}  // namespace hwynn

#endif  // HWYNN_LAYERS_RESIDUAL_H_
