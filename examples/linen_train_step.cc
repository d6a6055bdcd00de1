// One train step of Dense → BatchNorm → relu → Dense on the mean squared error, the way of flax.linen: variables split
// into params and batch_stats, apply returns the updated batch_stats, SGD sees params alone. Prints the error in
// evaluation mode after the step.

#include "hwynn/examples/flax_program.h"
#include "hwynn/formats/tensor_io.h"
#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/relu.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/module/functional.h"
#include "hwynn/training/optimizer.h"

using namespace hwynn;

int main(int argc, char** argv) {
  CLI::App app("takes a train step as flax.linen does", "linen_train_step");
  std::string inputs;
  int64_t seed = 0, hidden = 16;
  float learning_rate = 0.1f;
  double momentum = 0.99;
  app.add_option("--inputs", inputs, "safetensors file with x [N,D] and y [N]")->required();
  app.add_option("--seed", seed);
  app.add_option("--learning-rate", learning_rate);
  app.add_option("--hidden", hidden, "features of the first Dense layer")->check(CLI::PositiveNumber);
  app.add_option("--momentum", momentum, "the fraction that BatchNorm's running statistics keep");

  return RunProgram(app, argc, argv, [&] {
    const SafetensorsFile file(inputs);
    const Tensor x = LoadTensor(file, "x", 2);
    const Tensor y = LoadTensor(file, "y", 1);
    const auto mean_squared_error = [&](ConstTensorView prediction) {  // jnp.mean((prediction[:, 0] - y) ** 2)
      return MeanSquaredError(prediction, y.view().Reshaped(prediction.shape()));
    };

    Sequential model;
    model.Add(Dense({.features = hidden}))
        .Add(BatchNorm({.momentum = momentum, .variance = Variance::kFast}))
        .Add(Relu())
        .Add(Dense({.features = 1}));
    // variables = model.init(jax.random.key(seed), x, train=False)
    Variables variables = Init(model, KeyFromSeed(seed), x.shape());
    Collection& params = GetCollection(variables, kParams);  // variables['params']
    const Optimizer sgd({.momentum = 0});                    // optax.sgd(learning_rate)
    Collection opt_state = sgd.Init(params);                 // tx.init(params)

    // (loss, updates), grads = jax.value_and_grad(loss_fn, has_aux=True)(params), where loss_fn calls
    // model.apply(variables, x, train=True, mutable=['batch_stats'])
    auto [loss, correct, prediction, updates, gradients] = ValueAndGrad(
        model, variables, x, mean_squared_error, {.mode = Mode::kTrain, .mutable_collections = {"batch_stats"}});
    sgd.Update(learning_rate, 1, gradients, params, opt_state);  // optax.apply_updates(params, tx.update(grads, …))
    Replace(variables, std::move(updates));                      // batch_stats = updates['batch_stats']

    // model.apply(variables, x, train=False)
    PrintValues(std::vector{mean_squared_error(*Apply(model, variables, x).output).value});
  });
}
