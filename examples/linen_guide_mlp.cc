// Flax's BatchNorm guide: an MLP with a TrainState that has a batch_stats field, Adam, train steps on the whole batch
// and an eval step. Prints the variables' tree, then loss and accuracy of each step and of the evaluation.

#include "hwynn/examples/flax_program.h"
#include "hwynn/formats/tensor_io.h"
#include "hwynn/models/mlp.h"
#include "hwynn/module/functional.h"
#include "hwynn/training/train_state.h"

using namespace hwynn;

struct Batch {
  Tensor image;                // [N,D]
  std::vector<int32_t> label;  // N
};

struct Metrics {
  double loss;
  double accuracy;
};

LossFunction CrossEntropy(const Batch& batch) {
  // optax.softmax_cross_entropy_with_integer_labels(logits, batch['label']).mean()
  return [&batch](ConstTensorView logits) { return SoftmaxCrossEntropy(logits, batch.label); };
}

Metrics ComputeMetrics(double loss, int64_t correct, const Batch& batch) {
  return {loss, static_cast<double>(correct) / static_cast<double>(batch.label.size())};
}

Metrics TrainStep(const Mlp& model, const Optimizer& adam, float learning_rate, const Batch& batch, TrainState& state) {
  // logits, updates = state.apply_fn({'params': params, 'batch_stats': state.batch_stats}, x=batch['image'],
  //                                  train=True, mutable=['batch_stats']), within jax.value_and_grad(…, has_aux=True)
  auto result = ValueAndGrad(model, state.variables, batch.image, CrossEntropy(batch),
                             {.mode = Mode::kTrain, .mutable_collections = {"batch_stats"}});
  ApplyGradients(adam, result.gradients, learning_rate, state);  // state.apply_gradients(grads=grads)
  Replace(state.variables, std::move(result.updates));           // state.replace(batch_stats=updates['batch_stats'])
  return ComputeMetrics(result.value, result.correct, batch);
}

Metrics EvalStep(const Mlp& model, const Batch& batch, const TrainState& state) {
  // logits = state.apply_fn({'params': …, 'batch_stats': …}, x=batch['image'], train=False)
  const Loss loss = CrossEntropy(batch)(*Apply(model, state.variables, batch.image).output);
  return ComputeMetrics(loss.value, loss.correct, batch);
}

// "params/Dense_0/kernel (3, 4)", as Python writes a shape.
void PrintTree(const Variables& variables) {
  for (const auto& [name, collection] : variables) {
    for (const auto& [path, array] : collection) {
      std::printf("%s/%s (", name.c_str(), path.c_str());
      const char* separator = "";
      for (const int64_t extent : array.shape().extents()) {
        std::printf("%s%lld", separator, static_cast<long long>(extent));
        separator = ", ";
      }
      std::printf(array.shape().rank() == 1 ? ",)\n" : ")\n");
    }
  }
}

int main(int argc, char** argv) {
  CLI::App app("trains the MLP of Flax's BatchNorm guide", "linen_guide_mlp");
  std::string inputs;
  int64_t seed = 0, steps = 1;
  float learning_rate = 1e-3f;
  std::vector<int64_t> features = {4, 1};
  bool without_batch_norm = false;
  app.add_option("--inputs", inputs, "safetensors file with image [N,D] and label [N]")->required();
  app.add_option("--seed", seed);
  app.add_option("--features", features, "of the Dense layers, as 4,1")->delimiter(',');
  app.add_option("--learning-rate", learning_rate);
  app.add_option("--steps", steps)->check(CLI::NonNegativeNumber);
  app.add_flag("--without-batch-norm", without_batch_norm);

  return RunProgram(app, argc, argv, [&] {
    const SafetensorsFile file(inputs);
    const Batch batch{.image = LoadTensor(file, "image", 2), .label = LoadLabels(file, "label")};
    const Mlp model({.features = features, .batch_norm = !without_batch_norm, .norm = {.variance = Variance::kFast}});
    const OptimizerOptions adam{.kind = OptimizerKind::kAdam};
    // variables = mlp.init(jax.random.key(seed), x, train=False); TrainState.create(…, tx=optax.adam(learning_rate))
    TrainState state = CreateTrainState(model, adam, KeyFromSeed(seed), {batch.image.shape()[1]});
    PrintTree(state.variables);

    std::vector<double> values;
    for (int64_t step = 0; step < steps; ++step) {
      const Metrics metrics = TrainStep(model, Optimizer(adam), learning_rate, batch, state);
      values.insert(values.end(), {metrics.loss, metrics.accuracy});
    }
    const Metrics metrics = EvalStep(model, batch, state);
    values.insert(values.end(), {metrics.loss, metrics.accuracy});
    PrintValues(values);
  });
}
