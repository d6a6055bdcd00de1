#ifndef HWYNN_LAYERS_RELU_H_
#define HWYNN_LAYERS_RELU_H_

#include "hwynn/module/module.h"

namespace hwynn {

/// output = max(0, input); the gradient at 0 is 0. Right after a convolution or a BatchNorm it costs no
/// pass of its own.
///
/// Tape: output.
class Relu final : public FusingModule {
 public:
  std::string_view TypeName() const override { return "Relu"; }
  Shape Init(InitScope, const Shape& input) const override { return input; }
  Activation ForwardFused(const Scope& scope, Activation input) const override;
  ActivationGradient BackwardFused(const Scope& scope, ActivationGradient grad_output,
                                   Tensor grad_input) const override;
};

}  // namespace hwynn

#endif  // HWYNN_LAYERS_RELU_H_
