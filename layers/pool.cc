#include "hwynn/layers/pool.h"

#include <utility>

#include "hwynn/core/check.h"

namespace hwynn {
namespace {

Shape GlobalOutputShape(const Shape& input) {
  Check(input.rank() == 4, "GlobalAveragePool: input ", input, " must be [N,H,W,C]");
  return {input[0], input[3]};
}

}  // namespace

Shape MaxPool::Init(InitScope, const Shape& input) const { return PoolOutputShape("MaxPool", options_, input); }

Activation MaxPool::Forward(const Scope& scope, Activation input) const {
  Tensor result = scope.NewTensor(PoolOutputShape("MaxPool", options_, input.shape()));
  const WorkTimer timer = scope.Observe("forward", WorkKind::kPooling, {*input, result});
  MaxPoolForward(options_, *input, result);
  Activation output = MakeActivation(std::move(result));
  scope.Save(this, std::move(input));
  scope.Save(this, output);
  return output;
}

GraphValue MaxPool::AppendTo(Graph& graph, const Scope& scope, GraphValue input) const {
  return graph.Append(scope, MaxPoolOp{options_}, {input});
}

Tensor MaxPool::Backward(const Scope& scope, Tensor grad_output) const {
  const Activation output = scope.Saved(this);
  const Activation input = scope.Saved(this);
  Tensor grad_input = scope.NewTensor(input.shape());
  const WorkTimer timer = scope.Observe("backward", WorkKind::kPooling, {*input, *output, grad_output, grad_input});
  MaxPoolBackward(options_, *input, *output, grad_output, grad_input);
  return grad_input;
}

Shape AveragePool::Init(InitScope, const Shape& input) const { return PoolOutputShape("AveragePool", options_, input); }

Activation AveragePool::Forward(const Scope& scope, Activation input) const {
  Tensor output = scope.NewTensor(PoolOutputShape("AveragePool", options_, input.shape()));
  const WorkTimer timer = scope.Observe("forward", WorkKind::kPooling, {*input, output});
  AveragePoolForward(options_, *input, output);
  scope.SaveShape(this, input.shape());
  return MakeActivation(std::move(output));
}

GraphValue AveragePool::AppendTo(Graph& graph, const Scope& scope, GraphValue input) const {
  return graph.Append(scope, AveragePoolOp{options_}, {input});
}

Tensor AveragePool::Backward(const Scope& scope, Tensor grad_output) const {
  Tensor grad_input = scope.NewTensor(scope.Saved(this).shape());
  const WorkTimer timer = scope.Observe("backward", WorkKind::kPooling, {grad_output, grad_input});
  AveragePoolBackward(options_, grad_output, grad_input);
  return grad_input;
}

Shape GlobalAveragePool::Init(InitScope, const Shape& input) const { return GlobalOutputShape(input); }

Activation GlobalAveragePool::Forward(const Scope& scope, Activation input) const {
  Tensor output = scope.NewTensor(GlobalOutputShape(input.shape()));
  const WorkTimer timer = scope.Observe("forward", WorkKind::kPooling, {*input, output});
  GlobalAveragePoolForward(*input, output);
  scope.SaveShape(this, input.shape());
  return MakeActivation(std::move(output));
}

GraphValue GlobalAveragePool::AppendTo(Graph& graph, const Scope& scope, GraphValue input) const {
  return graph.Append(scope, GlobalAveragePoolOp{}, {input});
}

Tensor GlobalAveragePool::Backward(const Scope& scope, Tensor grad_output) const {
  Tensor grad_input = scope.NewTensor(scope.Saved(this).shape());
  const WorkTimer timer = scope.Observe("backward", WorkKind::kPooling, {grad_output, grad_input});
  GlobalAveragePoolBackward(grad_output, grad_input);
  return grad_input;
}

}  // namespace hwynn
