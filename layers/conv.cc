#include "hwynn/layers/conv.h"

#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d_plan.h"
#include "hwynn/module/packed_filters.h"

namespace hwynn {
namespace {

Conv2dParams KernelParams(const ConvOptions& options) {
  return {.stride = options.stride,
          .dilation = options.dilation,
          .padding = options.padding,
          .groups = options.groups,
          .precision = options.precision};
}

Conv2dParams KernelParams(const ConvOptions& options, const Scope& scope) {
  Conv2dParams params = KernelParams(options);
  params.batch_invariant = scope.batch_invariant();
  return params;
}

}  // namespace

Conv::Conv(ConvOptions options) : options_(std::move(options)) {
  Check(options_.features > 0, "Conv: features (", options_.features, ") must be positive");
  Check(options_.groups > 0, "Conv: groups (", options_.groups, ") must be positive");
}

Shape Conv::Init(InitScope scope, const Shape& input) const {
  Check(input.rank() == 4, "Conv: input ", input, " must be [N,H,W,C]");
  const auto [height, width] = options_.kernel_size;
  const Shape kernel{height, width, input.back() / options_.groups, options_.features};
  const Shape output = ResolveConv2d("Conv", KernelParams(options_), input, kernel).output_shape();
  scope.Param("kernel", kernel, options_.kernel_init);
  if (options_.use_bias) scope.Param("bias", {options_.features}, options_.bias_init);
  return output;
}

Activation Conv::Forward(const Scope& scope, Activation input) const {
  const ConstTensorView kernel = scope.Param("kernel");
  PackedFilters* filters = scope.train() ? nullptr : scope.packed_filters();
  const Conv2dPlan plan = Conv2dPlan::Forward(KernelParams(options_, scope), input.shape(), kernel.shape(),
                                              {.packed_filter = filters != nullptr});
  Conv2dForwardOptions call;
  if (options_.use_bias) call.epilogue.bias = scope.Param("bias");
  Tensor output = scope.NewTensor(plan.geometry().output_shape());
  if (filters != nullptr) {
    plan.RunForward(*input, *filters->Get(scope.path(), plan, kernel), output, scope.workspace(), call);
  } else {
    plan.RunForward(*input, kernel, output, scope.workspace(), call);
  }
  scope.Save(this, std::move(input));
  return MakeActivation(std::move(output));
}

Shape Conv::BackwardParams(const Scope& scope, const Tensor& grad_output) const {
  const Activation input = scope.Saved(this);
  Conv2dBackwardFilter(KernelParams(options_), *input, grad_output, scope.Gradient("kernel"), scope.workspace());
  if (options_.use_bias) BiasGradient(grad_output, scope.Gradient("bias"), scope.workspace());
  return input.shape();
}

Tensor Conv::Backward(const Scope& scope, Tensor grad_output) const {
  const Shape input = BackwardParams(scope, grad_output);
  if (!options_.input_gradient) return {};
  Tensor grad_input = scope.NewTensor(input);
  Conv2dBackwardInput(KernelParams(options_, scope), grad_output, scope.Param("kernel"), grad_input, scope.workspace());
  return grad_input;
}

Tensor Conv::BackwardAccumulate(const Scope& scope, Tensor grad_output, Tensor grad_input) const {
  Check(options_.input_gradient, "Conv in \"/", scope.path(), "\": made without input_gradient");
  BackwardParams(scope, grad_output);
  Conv2dBackwardInput(KernelParams(options_, scope), grad_output, scope.Param("kernel"), grad_input, scope.workspace(),
                      {.accumulate = true});
  return grad_input;
}

}  // namespace hwynn
