#include "hwynn/layers/dense.h"

#include <algorithm>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/matmul.h"

namespace hwynn {
namespace {

// All axes but the last as one.
ConstTensorView Rows(ConstTensorView x) {
  const int64_t columns = x.shape().back();
  return x.Reshaped({x.shape().num_elements() / std::max<int64_t>(columns, 1), columns});
}
TensorView Rows(Tensor& x) { return x.view().Reshaped(Rows(std::as_const(x)).shape()); }

}  // namespace

Dense::Dense(DenseOptions options) : options_(std::move(options)) {
  Check(options_.features > 0, "Dense: features (", options_.features, ") must be positive");
}

Shape Dense::Init(InitScope scope, const Shape& input) const {
  Check(input.rank() >= 2 && input.num_elements() > 0, "Dense: input ", input, " must be [N,…,C] without a 0");
  scope.Param("kernel", {input.back(), options_.features}, options_.kernel_init);
  if (options_.use_bias) scope.Param("bias", {options_.features}, options_.bias_init);
  return input.WithLast(options_.features);
}

Activation Dense::Forward(const Scope& scope, Activation input) const {
  const ConstTensorView kernel = scope.Param("kernel");
  Check(input.shape().rank() >= 2 && input.shape().back() == kernel.shape()[0], "Dense in \"/", scope.path(),
        "\": input ", input.shape(), " must have the ", kernel.shape()[0], " features of kernel ", kernel.shape());
  const ConstTensorView bias = options_.use_bias ? scope.Param("bias") : ConstTensorView();
  Tensor output = scope.NewTensor(input.shape().WithLast(options_.features));
  const WorkTimer timer = scope.Observe("forward", WorkKind::kDense, {*input, kernel, output});
  MatmulForward(Rows(*input), kernel, bias, Rows(output), scope.workspace());
  scope.Save(this, std::move(input));
  return MakeActivation(std::move(output));
}

GraphValue Dense::AppendTo(Graph& graph, const Scope& scope, GraphValue input) const {
  const ConstTensorView bias = options_.use_bias ? scope.Param("bias") : ConstTensorView();
  return graph.Append(scope, DenseOp{.kernel = scope.Param("kernel"), .bias = bias}, {input});
}

Tensor Dense::Backward(const Scope& scope, Tensor grad_output) const {
  Activation input = scope.Saved(this);
  const ConstTensorView rows = Rows(std::as_const(grad_output));
  const ConstTensorView kernel = scope.Param("kernel");
  {
    const WorkTimer timer = scope.Observe("backward kernel", WorkKind::kDense, {*input, grad_output, kernel});
    MatmulBackwardB(Rows(*input), rows, scope.Gradient("kernel"), scope.workspace());
  }
  if (options_.use_bias) BiasGradient(rows, scope.Gradient("bias"), scope.workspace());
  if (!options_.input_gradient) return {};
  const Shape input_shape = input.shape();
  input.reset();
  Tensor grad_input = scope.NewTensor(input_shape);
  const WorkTimer timer = scope.Observe("backward input", WorkKind::kDense, {grad_output, kernel, grad_input});
  MatmulBackwardA(rows, kernel, Rows(grad_input), scope.workspace());
  return grad_input;
}

}  // namespace hwynn
