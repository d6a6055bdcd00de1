#include "hwynn/layers/relu.h"

#include <utility>

#include "hwynn/kernels/elementwise.h"

namespace hwynn {

namespace {

Activation Apply(const Scope& scope, const Activation& input, const ReluOptions& options) {
  const Normalized* normalized = input.normalized();
  if (normalized != nullptr && !input.has_values() && !normalized->relu) {
    Normalized clipped = *normalized;
    clipped.relu = true;
    clipped.upper = options.upper;
    return Activation(std::move(clipped));
  }
  if (input.is_convolution()) return MakeActivation(RunConvolution(input, {.relu = true, .upper = options.upper}));
  Tensor output = scope.NewTensor(input.shape());
  const WorkTimer timer = scope.Observe("forward", WorkKind::kPass, {*input, output});
  ReluForward(*input, output, options);
  return MakeActivation(std::move(output));
}

}  // namespace

Activation Relu::ForwardFused(const Scope& scope, Activation input) const {
  Activation output = Apply(scope, input, options_);
  scope.Save(this, output);
  return output;
}

GraphValue Relu::AppendTo(Graph& graph, const Scope& scope, GraphValue input) const {
  return graph.Append(scope, ReluOp{.upper = options_.upper}, {input});
}

ActivationGradient Relu::BackwardFused(const Scope& scope, ActivationGradient gradient, Tensor grad_input) const {
  const Activation output = scope.Saved(this);
  // With sums, who read a BatchNorm's output through this ReLU has masked the gradient already.
  if (!gradient.sums) {
    const WorkTimer timer = scope.Observe("backward", WorkKind::kPass, {*output, gradient.values, gradient.values});
    ReluBackward(*output, gradient.values, gradient.values, options_);
  }
  if (!grad_input.empty()) gradient.sums.reset();  // they are of this part alone
  gradient.values = Accumulated(std::move(gradient.values), std::move(grad_input));
  return gradient;
}

}  // namespace hwynn
