#include "hwynn/apps/commands.h"

#include <utility>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/target.h"
#include "hwynn/models/make_model.h"

namespace hwynn::apps {

void MachineOptions::AddTo(CLI::App& app) {
  app.add_option("--threads", threads, "threads to compute with; default: the processors this process may use")
      ->check(CLI::Range(1, kMostThreads))
      ->type_name("T");
  app.add_option("--target", target, "instruction set, such as SSE4, AVX2 or AVX3; default: the best of this machine");
}

int MachineOptions::ThreadCount() const { return threads > 0 ? threads : DefaultThreadCount(); }

void MachineOptions::Run(const std::function<void()>& work) const {
  SetTarget(target);
  RunWithThreads(ThreadCount(), work);
}

std::unique_ptr<const Module> MakeRecipeModel(const Recipe& recipe, int64_t num_classes) {
  return MakeModel(recipe.model, RecipeModelOptions(recipe, num_classes));
}

TrainedModel LoadTrainedModel(const std::string& path) {
  const Checkpoint checkpoint(path);
  TrainedModel trained{.info = checkpoint.info(), .model = nullptr, .variables = {}};
  const Shape& image = trained.info.image_shape;
  try {
    trained.model = MakeRecipeModel(trained.info.recipe, static_cast<int64_t>(trained.info.class_names.size()));
    trained.variables = InitZeros(*trained.model, {1, image[0], image[1], image[2]}, checkpoint.num_elements());
  } catch (const std::invalid_argument& error) {  // options and shapes are the file's
    throw std::runtime_error(StrCat(path, ": ", error.what()));
  }
  checkpoint.RestoreVariables(trained.variables);
  return trained;
}

InferenceModel LoadInferenceModel(const std::string& path, const InferenceOptions& options) {
  if (InferenceModel::IsModelFile(path)) return InferenceModel::Load(path, options);
  const TrainedModel trained = LoadTrainedModel(path);
  const CheckpointInfo& info = trained.info;
  return InferenceModel(*trained.model, trained.variables,
                        {.image_shape = info.image_shape,
                         .class_names = info.class_names,
                         .standardization = info.standardization,
                         .transform = info.transform},
                        options);
}

}  // namespace hwynn::apps
