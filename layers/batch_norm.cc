#include "hwynn/layers/batch_norm.h"

#include <utility>

#include "hwynn/core/check.h"

namespace hwynn {

BatchNorm::BatchNorm(BatchNormOptions options) : options_(std::move(options)) {
  Check(options_.momentum >= 0 && options_.momentum <= 1, "BatchNorm: momentum (", options_.momentum,
        ") must be in 0 … 1");
  Check(options_.epsilon >= 0, "BatchNorm: epsilon (", options_.epsilon, ") must not be negative");
}

Shape BatchNorm::Init(InitScope scope, const Shape& input) const {
  Check(input.rank() >= 2 && input.num_elements() > 0, "BatchNorm: input ", input, " must be [N,…,C] without a 0");
  const Shape channels{input.back()};
  if (options_.use_scale) scope.Param("scale", channels, options_.scale_init);
  if (options_.use_bias) scope.Param("bias", channels, options_.bias_init);
  scope.Variable(kBatchStats, "mean", channels, 0.0f);
  scope.Variable(kBatchStats, "var", channels, 1.0f);
  return input;
}

Activation BatchNorm::Forward(const Scope& scope, Activation input) const {
  return Normalize(scope, std::move(input), {});
}

Activation BatchNorm::ForwardAdd(const Scope& scope, Activation input, const Activation& residual) const {
  return Normalize(scope, std::move(input), *residual);
}

Tensor BatchNorm::Backward(const Scope& scope, Tensor grad_output) const {
  return Differentiate(scope, std::move(grad_output), {});
}

BatchNorm::AddGradients BatchNorm::BackwardAdd(const Scope& scope, Tensor grad_output) const {
  Tensor grad_residual = scope.NewTensor(grad_output.shape());
  Tensor grad_input = Differentiate(scope, std::move(grad_output), grad_residual);
  return {std::move(grad_input), std::move(grad_residual)};
}

BatchNormAffine BatchNorm::Affine(const Scope& scope, const Tensor& mean, const Tensor& var) const {
  BatchNormAffine affine{.mean = mean, .var = var, .epsilon = options_.epsilon};
  if (options_.use_scale) affine.scale = scope.Param("scale");
  if (options_.use_bias) affine.bias = scope.Param("bias");
  return affine;
}

Activation BatchNorm::Normalize(const Scope& scope, Activation input, ConstTensorView residual) const {
  Check(input->shape().rank() >= 2, "BatchNorm in \"/", scope.path(), "\": input ", input->shape(), " must be [N,…,C]");
  Activation mean;
  Activation var;
  if (UsesRunningAverage(scope)) {
    mean = BorrowActivation(scope.Variable(kBatchStats, "mean"));
    var = BorrowActivation(scope.Variable(kBatchStats, "var"));
  } else {
    const TensorView running_mean = scope.MutableVariable(kBatchStats, "mean");
    const TensorView running_var = scope.MutableVariable(kBatchStats, "var");
    const Shape channels{input->shape().back()};
    Tensor batch_mean = scope.NewTensor(channels);
    Tensor batch_var = scope.NewTensor(channels);
    BatchNormStatistics(*input, options_.variance, batch_mean, batch_var, scope.workspace());
    BatchNormUpdateRunning(options_.momentum, batch_mean, batch_var, running_mean, running_var);
    mean = MakeActivation(std::move(batch_mean));
    var = MakeActivation(std::move(batch_var));
  }

  Tensor result = scope.NewTensor(input->shape());
  BatchNormNormalize(*input, Affine(scope, *mean, *var), residual, options_.relu, result);
  Activation output = MakeActivation(std::move(result));
  scope.Save(this, std::move(input));
  if (options_.relu) scope.Save(this, output);
  scope.Save(this, std::move(mean));
  scope.Save(this, std::move(var));
  return output;
}

Tensor BatchNorm::Differentiate(const Scope& scope, Tensor grad_output, TensorView grad_residual) const {
  const Activation var = scope.Saved(this);
  const Activation mean = scope.Saved(this);
  const Activation output = options_.relu ? scope.Saved(this) : nullptr;
  const Activation input = scope.Saved(this);
  BatchNormBackwardArgs args{.input = *input,
                             .output = options_.relu ? output->view() : ConstTensorView(),
                             .grad_output = grad_output,
                             .affine = Affine(scope, *mean, *var),
                             .relu = options_.relu,
                             .frozen_statistics = UsesRunningAverage(scope),
                             // The derivative of the clamp max(0, ·), which the fast form has alone, at 0.
                             .zero_variance_factor = options_.variance == Variance::kFast ? 0.5f : 1.0f,
                             .grad_input = grad_output,
                             .grad_residual = grad_residual};
  if (options_.use_scale) args.grad_scale = scope.Gradient("scale");
  if (options_.use_bias) args.grad_bias = scope.Gradient("bias");
  BatchNormBackward(args, scope.workspace());
  return grad_output;
}

}  // namespace hwynn
