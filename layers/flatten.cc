#include "hwynn/layers/flatten.h"

#include "hwynn/core/check.h"

namespace hwynn {
namespace {

Shape FlatShape(const Shape& input) {
  Check(input.rank() >= 1 && input.num_elements() > 0, "Flatten: input ", input, " must be [N,…] without a 0");
  return {input[0], input.num_elements() / input[0]};
}

}  // namespace

Shape Flatten::Init(InitScope, const Shape& input) const { return FlatShape(input); }

Activation Flatten::Forward(const Scope& scope, Activation input) const {
  scope.SaveShape(this, input.shape());
  return input.Reshaped(FlatShape(input.shape()));
}

GraphValue Flatten::AppendTo(Graph& graph, const Scope& scope, GraphValue input) const {
  return graph.Append(scope, FlattenOp{}, {input});
}

Tensor Flatten::Backward(const Scope& scope, Tensor grad_output) const {
  const Activation input_shape = scope.Saved(this);
  if (!grad_output.empty()) grad_output.Reshape(input_shape.shape());
  return grad_output;
}

}  // namespace hwynn
