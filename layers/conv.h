#ifndef HWYNN_LAYERS_CONV_H_
#define HWYNN_LAYERS_CONV_H_

#include <array>

#include "hwynn/core/export.h"
#include "hwynn/kernels/padding.h"
#include "hwynn/kernels/precision.h"
#include "hwynn/module/module.h"

namespace HWYNN_EXPORT hwynn {

/// Flax's defaults. Pairs are {height, width}.
struct ConvOptions {
  int64_t features = 0;  // required
  std::array<int64_t, 2> kernel_size = {3, 3};
  std::array<int64_t, 2> stride = {1, 1};
  Padding padding = Padding::Same();         // at stride 2 not PyTorch's: see kernels/padding.h
  std::array<int64_t, 2> dilation = {1, 1};  // Flax's kernel_dilation
  int64_t groups = 1;                        // Flax's feature_group_count; depthwise: as many as channels
  Precision precision = Precision::kDefault;
  bool use_bias = true;
  Initializer kernel_init = initializers::LecunNormal();
  Initializer bias_init = initializers::Zeros();
  // false: Backward returns an empty tensor, for a model's first layer, where nobody wants d loss / d input.
  bool input_gradient = true;
};

/// 2-D convolution: output[n,y,x,f] = Σ_{i,j,c} input[n, y·SH − top + i·DH, x·SW − left + j·DW, c]·kernel[i,j,c,f]
/// + bias[f], zeros outside the image.
///
/// Shapes: input [N,H,W,C]; output [N,OH,OW,features].
/// Variables: params/kernel [KH,KW,C/groups,features]; params/bias [features].
/// Tape: input.
class Conv final : public FusingModule {
 public:
  explicit Conv(ConvOptions options);

  std::string_view TypeName() const override { return "Conv"; }
  Shape Init(InitScope scope, const Shape& input) const override;
  Activation ForwardFused(const Scope& scope, Activation input) const override;
  ActivationGradient BackwardFused(const Scope& scope, ActivationGradient grad_output,
                                   Tensor grad_input) const override;
  GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const override;

 private:
  ConvOptions options_;
};

}  // namespace hwynn

#endif  // HWYNN_LAYERS_CONV_H_
