#ifndef HWYNN_LAYERS_RELU_H_
#define HWYNN_LAYERS_RELU_H_

#include "hwynn/module/module.h"

namespace hwynn {

/// output = max(0, input); the gradient at 0 is 0. After a BatchNorm, BatchNormOptions::relu costs less.
///
/// Tape: output.
class Relu final : public Module {
 public:
  std::string_view TypeName() const override { return "Relu"; }
  Shape Init(InitScope, const Shape& input) const override { return input; }
  Activation Forward(const Scope& scope, Activation input) const override;
  Tensor Backward(const Scope& scope, Tensor grad_output) const override;
};

}  // namespace hwynn

#endif  // HWYNN_LAYERS_RELU_H_
