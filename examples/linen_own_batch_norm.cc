// A BatchNorm that a user of flax.linen writes by hand: params gamma and beta, running_mean and running_var in
// batch_stats. Prints its flattened output.

#include "hwynn/examples/flax_program.h"
#include "hwynn/formats/tensor_io.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/module/functional.h"

using namespace hwynn;

/// output = gamma·(x − μ)/√(σ² + 1e-5) + beta, for x [N,D].
class MyBatchNorm : public Module {
 public:
  std::string_view TypeName() const override { return "MyBatchNorm"; }

  Shape Init(InitScope scope, const Shape& input) const override {
    const Shape features{input.back()};
    scope.Param("gamma", features, initializers::Ones());  // self.param('gamma', nn.initializers.ones, (d,))
    scope.Param("beta", features, initializers::Zeros());
    // self.variable('batch_stats', 'running_mean', jnp.zeros, (d,)): Init does no arithmetic, so nothing is updated
    // while initialising.
    scope.Variable(kBatchStats, "running_mean", features, 0.0f);
    scope.Variable(kBatchStats, "running_var", features, 1.0f);
    return input;
  }

  Activation Forward(const Scope& scope, Activation input) const override {
    Tensor mean = Clone(scope.Variable(kBatchStats, "running_mean"));
    Tensor var = Clone(scope.Variable(kBatchStats, "running_var"));
    if (scope.train()) {  // not use_running_average
      // mean, var = jnp.mean(x, axis=0), jnp.var(x, axis=0)
      BatchNormStatistics(*input, Variance::kTwoPass, mean, var, scope.workspace());
      // running.value = 0.9 * running.value + 0.1 * batch
      BatchNormUpdateRunning(0.9, mean, var, scope.MutableVariable(kBatchStats, "running_mean"),
                             scope.MutableVariable(kBatchStats, "running_var"));
    }
    // gamma * (x - mean) / jnp.sqrt(var + 1e-5) + beta
    Tensor output = scope.NewTensor(input->shape());
    BatchNormNormalize(*input, Affine(scope, mean, var), output);
    scope.Save(this, std::move(input));
    scope.Save(this, MakeActivation(std::move(mean)));
    scope.Save(this, MakeActivation(std::move(var)));
    return MakeActivation(std::move(output));
  }

  // What jax.grad does for a Flax user.
  Tensor Backward(const Scope& scope, Tensor grad_output) const override {
    const Activation var = scope.Saved(this);
    const Activation mean = scope.Saved(this);
    const Activation input = scope.Saved(this);
    BatchNormBackward({.input = *input,
                       .grad_output = grad_output,
                       .affine = Affine(scope, *mean, *var),
                       .frozen_statistics = !scope.train(),
                       .grad_input = grad_output,
                       .grad_scale = scope.Gradient("gamma"),
                       .grad_bias = scope.Gradient("beta")},
                      scope.workspace());
    return grad_output;
  }

 private:
  static BatchNormAffine Affine(const Scope& scope, const Tensor& mean, const Tensor& var) {
    return {.mean = mean, .var = var, .scale = scope.Param("gamma"), .bias = scope.Param("beta"), .epsilon = 1e-5f};
  }
};

int main(int argc, char** argv) {
  CLI::App app("applies a hand-written flax.linen BatchNorm", "linen_own_batch_norm");
  std::string inputs;
  int64_t seed = 0;
  bool use_running_average = false;
  app.add_option("--inputs", inputs, "safetensors file with x [N,D]")->required();
  app.add_option("--seed", seed);
  app.add_option("--use-running-average", use_running_average, "0 or 1");

  return RunProgram(app, argc, argv, [&] {
    const Tensor x = LoadTensor(SafetensorsFile(inputs), "x", 2);
    const MyBatchNorm model;
    const Variables variables = Init(model, KeyFromSeed(seed), x.shape());  // model.init(jax.random.key(seed), x)
    // y, updates = model.apply(variables, x, mutable=['batch_stats'])
    const ApplyResult result =
        Apply(model, variables, x,
              {.mode = use_running_average ? Mode::kEval : Mode::kTrain, .mutable_collections = {"batch_stats"}});
    PrintValues(result.output->span());
  });
}
