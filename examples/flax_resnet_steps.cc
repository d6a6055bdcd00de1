// Trains the ResNet of Flax's ImageNet example for some steps, from scratch or from a TrainState that Flax saved, and
// prints the loss of each step, then the logits of the first image in evaluation mode.

#include "hwynn/examples/flax_program.h"
#include "hwynn/formats/flax_checkpoint.h"
#include "hwynn/formats/tensor_io.h"
#include "hwynn/models/make_model.h"
#include "hwynn/training/train_state.h"

using namespace hwynn;

int main(int argc, char** argv) {
  CLI::App app("trains Flax's ImageNet ResNet for some steps", "flax_resnet_steps");
  std::string inputs, model_name = "resnet18", checkpoint_in, checkpoint_out;
  int64_t num_classes = 1000, seed = 0, steps = 1, batch_size = 8;
  float learning_rate = 0.1f;
  bool no_fusion = false;
  Variance variance = Variance::kFast;
  app.add_option("--inputs", inputs, "safetensors file with x [N,H,W,3] and y [N]")->required();
  app.add_option("--model", model_name)->check(CLI::IsMember({"resnet18", "resnet34", "resnet50"}));
  app.add_option("--num-classes", num_classes)->check(CLI::PositiveNumber);
  app.add_option("--seed", seed);
  app.add_option("--steps", steps)->check(CLI::NonNegativeNumber);
  app.add_option("--batch-size", batch_size)->check(CLI::PositiveNumber);
  app.add_option("--learning-rate", learning_rate);
  app.add_flag("--no-fusion", no_fusion, "BatchNorm in passes of its own");
  app.add_option("--variance", variance, "fast (Flax's use_fast_variance, the default) or stable")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Variance>{{"fast", Variance::kFast}, {"stable", Variance::kStable}}));
  app.add_option("--checkpoint-in", checkpoint_in, "msgpack TrainState to start from");
  app.add_option("--checkpoint-out", checkpoint_out, "where the TrainState goes at the end");

  return RunProgram(app, argc, argv, [&] {
    const SafetensorsFile file(inputs);
    const Tensor x = LoadTensor(file, "x", 4);
    const std::vector<int32_t> y = LoadLabels(file, "y");
    const int64_t batches = x.shape()[0] / batch_size;
    Check(batches > 0 || steps == 0, "x has ", x.shape()[0], " rows, less than a batch of ", batch_size);

    // model = ResNet18(num_classes=num_classes), whose BatchNorms have nn.BatchNorm's fast variance by default. JAX
    // convolves directly on CPUs: with kDefault the logits would differ in the sixth digit.
    const auto model =
        MakeModel(model_name, {.num_classes = num_classes, .precision = Precision::kHighest, .variance = variance});
    // tx = optax.sgd(learning_rate, momentum=0.9, nesterov=True)
    const OptimizerOptions sgd{.kind = OptimizerKind::kSgd, .momentum = 0.9f, .nesterov = true};
    // TrainState.create(…, params=model.init(jax.random.key(seed), x)['params'], tx=tx, batch_stats=…)
    const Shape image{x.shape()[1], x.shape()[2], x.shape()[3]};
    TrainState state = CreateTrainState(*model, sgd, KeyFromSeed(seed), image);
    std::optional<FlaxCheckpoint> checkpoint;
    if (!checkpoint_in.empty()) {  // flax.serialization.from_bytes(state, file.read())
      checkpoint = FlaxCheckpoint::Read(checkpoint_in);
      checkpoint->Restore(state);
    }

    Stepper stepper(*model, sgd, {.fusion = !no_fusion});
    std::vector<double> losses;
    for (int64_t step = 0; step < steps; ++step) {  // state, loss = train_step(state, x_batch, y_batch)
      const int64_t first_row = step % batches * batch_size;
      const Tensor x_batch = Clone(x.view().Rows(first_row, batch_size));
      const auto y_batch = std::span(y).subspan(static_cast<size_t>(first_row), static_cast<size_t>(batch_size));
      losses.push_back(stepper.Train(x_batch, y_batch, learning_rate, Key{}, state).loss);
    }

    if (!checkpoint_out.empty()) {  // file.write(flax.serialization.to_bytes(state))
      if (checkpoint) {
        checkpoint->Update(state);
      } else {
        checkpoint = FlaxCheckpoint::Create(state, OptaxLayout(sgd));
      }
      checkpoint->Write(checkpoint_out);
    }
    // logits = model.apply({'params': …, 'batch_stats': …}, x[:1], train=False)
    const Activation logits = Predict(*model, state.variables, x.view().Rows(0, 1), Workspace());
    if (steps > 0) PrintValues(losses, /*last=*/false);
    PrintValues(logits->span());
  });
}
