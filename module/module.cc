#include "hwynn/module/module.h"

#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/kernels/elementwise.h"

namespace hwynn {

Tensor Module::BackwardAccumulate(const Scope& scope, Tensor grad_output, Tensor grad_input) const {
  AddAccumulate(Backward(scope, std::move(grad_output)), grad_input);
  return grad_input;
}

Variables Init(const Module& module, Key key, const Shape& input, int64_t max_elements) {
  Variables variables;
  variables.emplace(kParams, Collection());
  module.Init(InitScope(variables, key, max_elements), input);
  return variables;
}

Activation Predict(const Module& module, const Variables& variables, ConstTensorView input, const Workspace& workspace,
                   PackedFilters* packed_filters) {
  Check(input.size() > 0, "Predict: the input ", input.shape(), " is empty");
  const CallContext context{.workspace = &workspace, .variables = &variables, .packed_filters = packed_filters};
  return module.Forward(Scope(context), BorrowActivation(input));
}

Tensor Differentiate(const Module& module, const CallContext& context, Tensor grad_output) {
  Check(context.gradients != nullptr, "Backward needs CallContext::gradients");
  context.gradients->Start();
  Tensor grad_input = module.Backward(Scope(context), std::move(grad_output));
  context.gradients->Finish();
  return grad_input;
}

}  // namespace hwynn
