#include "hwynn/module/module.h"

#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/kernels/elementwise.h"

namespace hwynn {

Tensor Module::BackwardAccumulate(const Scope& scope, Tensor grad_output, Tensor grad_input) const {
  const Tensor gradient = Backward(scope, std::move(grad_output));
  const WorkTimer timer = scope.Observe("add gradients", WorkKind::kPass, {gradient, grad_input, grad_input});
  AddAccumulate(gradient, grad_input);
  return grad_input;
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): modules that fuse take it over
Activation Module::ForwardFused(const Scope& scope, Activation input) const {
  return Forward(scope, std::move(input).Plain()).Plain();
}

ActivationGradient Module::BackwardFused(const Scope& scope, ActivationGradient grad_output, Tensor grad_input) const {
  if (grad_input.empty()) return {.values = Backward(scope, std::move(grad_output.values))};
  return {.values = BackwardAccumulate(scope, std::move(grad_output.values), std::move(grad_input))};
}

GraphValue Module::AppendTo(Graph& graph, const Scope& scope, GraphValue input) const {
  return graph.Append(scope, ModuleOp{this}, {input});
}

// Without anything around it that fuses, a module sees plain activations, and so gives plain gradients.
Activation FusingModule::Forward(const Scope& scope, Activation input) const {
  return ForwardFused(scope, std::move(input).Plain()).Plain();
}

Tensor FusingModule::Backward(const Scope& scope, Tensor grad_output) const {
  return BackwardFused(scope, {.values = std::move(grad_output)}, {}).values;
}

Tensor FusingModule::BackwardAccumulate(const Scope& scope, Tensor grad_output, Tensor grad_input) const {
  return BackwardFused(scope, {.values = std::move(grad_output)}, std::move(grad_input)).values;
}

Activation FusingModule::ChildForward(const Module& child, const Scope& scope, Activation input) {
  return scope.fusion() ? child.ForwardFused(scope, std::move(input)) : child.Forward(scope, std::move(input));
}

ActivationGradient FusingModule::ChildBackward(const Module& child, const Scope& scope, ActivationGradient grad_output,
                                               Tensor grad_input) {
  return scope.fusion() ? child.BackwardFused(scope, std::move(grad_output), std::move(grad_input))
                        : child.Module::BackwardFused(scope, std::move(grad_output), std::move(grad_input));
}

Tensor FusingModule::Accumulated(Tensor gradient, Tensor grad_input) {
  if (grad_input.empty()) return gradient;
  AddAccumulate(gradient, grad_input);
  return grad_input;
}

Variables Init(const Module& module, Key key, const Shape& input, int64_t max_elements) {
  Variables variables;
  variables.emplace(kParams, Collection());
  module.Init(InitScope(variables, key, max_elements), input);
  return variables;
}

Variables InitZeros(const Module& module, const Shape& input, int64_t max_elements) {
  Variables variables;
  variables.emplace(kParams, Collection());
  module.Init(InitScope::Zeros(variables, max_elements), input);
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
