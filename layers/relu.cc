#include "hwynn/layers/relu.h"

#include <utility>

#include "hwynn/kernels/elementwise.h"

namespace hwynn {

Activation Relu::Forward(const Scope& scope, Activation input) const {
  Tensor result = scope.NewTensor(input.shape());
  ReluForward(*input, result);
  Activation output = MakeActivation(std::move(result));
  scope.Save(this, output);
  return output;
}

Tensor Relu::Backward(const Scope& scope, Tensor grad_output) const {
  const Activation output = scope.Saved(this);
  ReluBackward(*output, grad_output, grad_output);
  return grad_output;
}

}  // namespace hwynn
