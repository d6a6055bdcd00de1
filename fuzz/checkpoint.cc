// A checkpoint, as `hwynn evaluate` and `predict` open it: the model it describes is built and its arrays are copied;
// for fine-tuning they go into a model of other classes. What is taken is saved again and reads back to the same.

#include "hwynn/training/checkpoint.h"

#include <vector>

#include "hwynn/apps/commands.h"
#include "hwynn/formats/file_io.h"
#include "hwynn/fuzz/repair.h"
#include "hwynn/fuzz/target.h"
#include "hwynn/models/make_model.h"

namespace hwynn::fuzz {
namespace {

void FineTune(const Checkpoint& checkpoint) {
  const CheckpointInfo& info = checkpoint.info();
  const auto classes = static_cast<int64_t>(info.class_names.size()) + 1;
  const auto model = MakeModel(info.recipe.model, RecipeModelOptions(info.recipe, classes));
  const Shape& image = info.image_shape;
  Variables variables = InitZeros(*model, {1, image[0], image[1], image[2]}, 2 * checkpoint.num_elements() + 1000);
  Require(checkpoint.RestoreBody(variables).size() <= 2, "kernel and bias of the head alone start afresh");
}

void Read(Bytes input) {
  static const Scratch scratch;
  const std::string path = scratch.Write("input", input);
  apps::TrainedModel trained = apps::LoadTrainedModel(path);
  const Checkpoint checkpoint(path);
  ErrorOf([&] { FineTune(checkpoint); });

  TrainState state;
  state.variables = std::move(trained.variables);
  state.step = checkpoint.step();
  const std::string copy = scratch / "copy";
  SaveCheckpoint(copy, checkpoint.info(), state);
  const Checkpoint again(copy);
  Require(ToFields(again.info().recipe) == ToFields(checkpoint.info().recipe) && again.step() == checkpoint.step(),
          "a checkpoint that is saved again has the same options");
  again.RestoreVariables(state.variables);
  const std::string second = scratch / "second";
  SaveCheckpoint(second, again.info(), state);
  Require(ReadFile(copy) == ReadFile(second), "a checkpoint that is saved again has the same bytes");
}

}  // namespace

std::string ReadInput(Bytes input) {
  const std::string error = ErrorOf([&] { Read(input); });
  std::vector<std::byte> bytes(input.begin(), input.end());
  if (RepairSafetensors(bytes)) ErrorOf([&] { Read(bytes); });
  return error;
}

}  // namespace hwynn::fuzz
