#ifndef HWYNN_LAYERS_INVERTED_RESIDUAL_H_
#define HWYNN_LAYERS_INVERTED_RESIDUAL_H_

// The residual block of MobileNetV2. BatchNorm, ReLU6 and the addition are fused.

#include "hwynn/core/export.h"
#include "hwynn/layers/residual.h"

namespace HWYNN_EXPORT hwynn {

struct InvertedResidualOptions {
  int64_t channels = 0;   // of the output; required
  int64_t expansion = 6;  // times the input's channels within; 1: no expansion
  int64_t stride = 1;
  PaddingRule padding = PaddingRule::kFlax;
  Precision precision = Precision::kDefault;  // of its convolutions
  BatchNormOptions norm = {.momentum = 0.9};  // of all its BatchNorms, but for their ReLU
};

/// Conv_0 1×1 → BatchNorm_0 → ReLU6 → Conv_1 3×3 depthwise (stride) → BatchNorm_1 → ReLU6 → Conv_2 1×1 → BatchNorm_2,
/// added to the input where its shape is the output's and the stride 1. With expansion 1 the depthwise convolution is
/// Conv_0.
///
/// Sandler et al. 2018, https://arxiv.org/abs/1801.04381. The input's channels are said beforehand, as PyTorch has it,
/// for the depthwise convolution has as many groups.
///
/// Tape: what the children keep.
class InvertedResidual final : public FusingModule {
 public:
  InvertedResidual(int64_t input_channels, const InvertedResidualOptions& options);

  std::string_view TypeName() const override { return "InvertedResidual"; }
  Shape Init(InitScope scope, const Shape& input) const override;
  Activation ForwardFused(const Scope& scope, Activation input) const override;
  GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const override;
  ActivationGradient BackwardFused(const Scope& scope, ActivationGradient grad_output,
                                   Tensor grad_input) const override;

 private:
  Sequential main_;  // but for its last BatchNorm
  std::string last_norm_name_;
  BatchNorm last_norm_;
  int64_t input_channels_;
  bool adds_;  // the input
};

}  // namespace hwynn

#endif  // HWYNN_LAYERS_INVERTED_RESIDUAL_H_
