// Trains Linear → BatchNorm → relu → Linear on the mean squared error, the way of flax.nnx: the model owns its
// variables, the optimizer sees nnx.Param alone, train() and eval() choose the statistics. Prints the mean of the
// predictions in evaluation mode.

#include <numeric>

#include "hwynn/examples/flax_program.h"
#include "hwynn/formats/tensor_io.h"
#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/relu.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/training/nnx_optimizer.h"

using namespace hwynn;

int main(int argc, char** argv) {
  CLI::App app("trains a BatchNorm model as flax.nnx does", "nnx_train_with_batch_norm");
  std::string inputs;
  int64_t seed = 0, batch_size = 32, steps = 1;
  float learning_rate = 0.1f;
  app.add_option("--inputs", inputs, "safetensors file with x [N,Din] and y [N,Dout]")->required();
  app.add_option("--seed", seed);
  app.add_option("--batch-size", batch_size)->check(CLI::PositiveNumber);
  app.add_option("--learning-rate", learning_rate);
  app.add_option("--steps", steps)->check(CLI::NonNegativeNumber);

  return RunProgram(app, argc, argv, [&] {
    const SafetensorsFile file(inputs);
    const Tensor x = LoadTensor(file, "x", 2);
    const Tensor y = LoadTensor(file, "y", 2);
    const int64_t batches = x.shape()[0] / batch_size;
    Check(batches > 0 || steps == 0, "x has ", x.shape()[0], " rows, less than a batch of ", batch_size);

    // class Model(nnx.Module): self.linear1 = nnx.Linear(din, 8, rngs=rngs); self.bn = nnx.BatchNorm(8, rngs=rngs); …
    Sequential layers;
    layers.Add("linear1", Dense({.features = 8}))
        .Add("bn", BatchNorm({.variance = Variance::kFast}))
        .Add(Relu())
        .Add("linear2", Dense({.features = y.shape()[1]}));
    nnx::Rngs rngs(seed);                                                       // nnx.Rngs(seed)
    nnx::Model model(layers, x.shape(), rngs);                                  // Model(din, dout, rngs=rngs)
    nnx::Optimizer optimizer(model, {.momentum = 0}, {.collection = kParams});  // nnx.Optimizer(…, wrt=nnx.Param)

    model.Train();  // model.train()
    for (int64_t step = 0; step < steps; ++step) {
      const int64_t first_row = step % batches * batch_size;
      const ConstTensorView x_batch = x.view().Rows(first_row, batch_size);
      const ConstTensorView y_batch = y.view().Rows(first_row, batch_size);
      // loss, grads = nnx.value_and_grad(lambda model: ((model(x) - y) ** 2).mean())(model)
      const auto result = nnx::ValueAndGrad(
          model, x_batch, [&](ConstTensorView prediction) { return MeanSquaredError(prediction, y_batch); });
      optimizer.Update(model, result.gradients, learning_rate);  // optimizer.update(model, grads)
    }

    model.Eval();  // model.eval()
    const Activation predictions = model(x);
    const auto values = predictions->span();
    const double sum = std::accumulate(values.begin(), values.end(), 0.0);
    PrintValues(std::vector{sum / static_cast<double>(values.size())});
  });
}
