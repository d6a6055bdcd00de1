// A BatchNorm for convolutions that a user of flax.nnx writes by hand: statistics over (N,H,W), parameters of shape
// (1,1,1,C). Prints the training output for x, the moving mean and variance after x (and x2), and the output for x in
// evaluation mode.

#include "hwynn/examples/flax_program.h"
#include "hwynn/formats/tensor_io.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/module/nnx.h"

using namespace hwynn;

/// output = gamma·(x − μ)/√(σ² + 1e-5) + beta, for x [N,H,W,C].
class ConvBatchNorm : public Module {
 public:
  std::string_view TypeName() const override { return "ConvBatchNorm"; }

  Shape Init(InitScope scope, const Shape& input) const override {
    const Shape parameters{1, 1, 1, input.back()};
    scope.Param("gamma", parameters, initializers::Ones());  // self.gamma = nnx.Param(jnp.ones((1, 1, 1, c)))
    scope.Param("beta", parameters, initializers::Zeros());
    scope.Variable(kBatchStats, "moving_mean", parameters, 0.0f);  // nnx.BatchStat(jnp.zeros((1, 1, 1, c)))
    scope.Variable(kBatchStats, "moving_var", parameters, 1.0f);
    return input;
  }

  Activation Forward(const Scope& scope, Activation input) const override {
    const Shape channels{input->shape().back()};
    Tensor mean = Clone(scope.Variable(kBatchStats, "moving_mean").Reshaped(channels));
    Tensor var = Clone(scope.Variable(kBatchStats, "moving_var").Reshaped(channels));
    if (scope.train()) {  // not self.use_running_average
      // mean, var = jnp.mean(x, axis=(0, 1, 2)), jnp.var(x, axis=(0, 1, 2)), with keepdims=True
      BatchNormStatistics(*input, Variance::kTwoPass, mean, var, scope.workspace());
      // self.moving_mean.value = 0.9 * self.moving_mean + 0.1 * mean
      BatchNormUpdateRunning(0.9, mean, var, scope.MutableVariable(kBatchStats, "moving_mean").Reshaped(channels),
                             scope.MutableVariable(kBatchStats, "moving_var").Reshaped(channels));
    }
    // self.gamma * (x - mean) / jnp.sqrt(var + 1e-5) + self.beta
    Tensor output = scope.NewTensor(input->shape());
    BatchNormNormalize(*input, Affine(scope, mean, var), output);
    scope.Save(this, std::move(input));
    scope.Save(this, MakeActivation(std::move(mean)));
    scope.Save(this, MakeActivation(std::move(var)));
    return MakeActivation(std::move(output));
  }

  // What nnx.grad does for a Flax user.
  Tensor Backward(const Scope& scope, Tensor grad_output) const override {
    const Activation var = scope.Saved(this);
    const Activation mean = scope.Saved(this);
    const Activation input = scope.Saved(this);
    BatchNormBackward({.input = *input,
                       .grad_output = grad_output,
                       .affine = Affine(scope, *mean, *var),
                       .frozen_statistics = !scope.train(),
                       .grad_input = grad_output,
                       .grad_scale = scope.Gradient("gamma").Reshaped(mean->shape()),
                       .grad_bias = scope.Gradient("beta").Reshaped(mean->shape())},
                      scope.workspace());
    return grad_output;
  }

 private:
  static BatchNormAffine Affine(const Scope& scope, const Tensor& mean, const Tensor& var) {
    return {.mean = mean,
            .var = var,
            .scale = scope.Param("gamma").Reshaped(mean.shape()),
            .bias = scope.Param("beta").Reshaped(mean.shape()),
            .epsilon = 1e-5f};
  }
};

int main(int argc, char** argv) {
  CLI::App app("applies a hand-written flax.nnx BatchNorm for convolutions", "nnx_conv_batch_norm");
  std::string inputs;
  app.add_option("--inputs", inputs, "safetensors file with x [N,H,W,C] and perhaps a second batch x2")->required();

  return RunProgram(app, argc, argv, [&] {
    const SafetensorsFile file(inputs);
    const Tensor x = LoadTensor(file, "x", 4);
    nnx::Rngs rngs(0);
    nnx::Model norm(ConvBatchNorm(), x.shape(), rngs);

    const Activation trained = norm(x);  // updates moving_mean and moving_var
    if (file.entries().contains("x2")) norm(LoadTensor(file, "x2", 4));
    norm.Eval();  // norm.eval()
    const Activation evaluated = norm(x);

    PrintValues(trained->span(), /*last=*/false);
    PrintValues(norm.Get(kBatchStats, "moving_mean").span(), /*last=*/false);
    PrintValues(norm.Get(kBatchStats, "moving_var").span(), /*last=*/false);
    PrintValues(evaluated->span());
  });
}
