// hwynn evaluate: loss and accuracy of a checkpoint on a data set's test images.

#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>

#include "hwynn/apps/commands.h"
#include "hwynn/kernels/loss.h"
#include "hwynn/training/trainer.h"

namespace hwynn::apps {
namespace {

struct EvaluateOptions {
  std::string checkpoint;
  bool compiled = false;
  std::string dataset;
  std::string data_dir;
  bool json = false;
  MachineOptions machine;
};

// What is evaluated, and on what.
struct Subject {
  std::string model;    // its name
  std::string dataset;  // that it was trained on; "": none
  Shape image_shape;
  int64_t classes;
};

DatasetSplits LoadFor(const Subject& subject, const EvaluateOptions& options) {
  const std::string& name = options.dataset.empty() ? subject.dataset : options.dataset;
  Check(!name.empty(), options.checkpoint, ": doesn't say which data set has trained it; name one (--dataset)");
  DatasetSplits splits = LoadRecipeDataset(name, options.data_dir);
  const Dataset& test = *splits.test;
  Check(test.image_shape() == subject.image_shape, options.checkpoint, ": the model takes images ", subject.image_shape,
        ", those of ", name, " are ", test.image_shape());
  Check(test.num_classes() == subject.classes, options.checkpoint, ": the model knows ", subject.classes, " classes, ",
        name, " has ", test.num_classes());
  return splits;
}

void Report(const MetricSums& sums, const Subject& subject, const EvaluateOptions& options) {
  const std::string& name = options.dataset.empty() ? subject.dataset : options.dataset;
  std::cout << subject.model << " on " << sums.examples << " test images of " << name << ": loss " << std::fixed
            << std::setprecision(4) << sums.MeanLoss() << ", accuracy " << sums.Accuracy() << std::endl;
  if (options.json) {
    std::cout << nlohmann::ordered_json{{"test_accuracy", sums.Accuracy()}, {"test_loss", sums.MeanLoss()}}.dump()
              << std::endl;
  }
}

// By the model that is served, whose numbers differ from training's in rounding.
void EvaluateCompiled(const EvaluateOptions& options) {
  constexpr int64_t kBatch = 128;
  Subject subject{.model = "compiled model"};
  if (!InferenceModel::IsModelFile(options.checkpoint)) {
    const CheckpointInfo info = Checkpoint(options.checkpoint).info();
    subject.model = info.recipe.model + ", compiled,";
    subject.dataset = info.recipe.dataset;
  }
  InferenceContext context(LoadInferenceModel(options.checkpoint));
  const InferenceInfo& info = context.model().info();
  subject.image_shape = info.image_shape;
  subject.classes = static_cast<int64_t>(info.class_names.size());
  const DatasetSplits splits = LoadFor(subject, options);
  const auto evaluate = [&](const Batch& batch) {
    return SoftmaxCrossEntropy(context.Run(batch.images), batch.labels, {}, {});
  };
  Report(Evaluate(evaluate, *splits.test, info.standardization, kBatch), subject, options);
}

void RunEvaluate(const EvaluateOptions& options) {
  if (options.compiled || InferenceModel::IsModelFile(options.checkpoint)) return EvaluateCompiled(options);
  const TrainedModel trained = LoadTrainedModel(options.checkpoint);
  const Recipe& recipe = trained.info.recipe;
  const Subject subject{.model = recipe.model,
                        .dataset = recipe.dataset,
                        .image_shape = trained.info.image_shape,
                        .classes = static_cast<int64_t>(trained.info.class_names.size())};
  const DatasetSplits splits = LoadFor(subject, options);
  Stepper stepper(*trained.model);
  Report(Evaluate(stepper, trained.variables, *splits.test, trained.info.standardization, recipe.training.batch_size),
         subject, options);
}

}  // namespace

void AddEvaluateCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand("evaluate", "loss and accuracy of a checkpoint on test images");
  const auto options = std::make_shared<EvaluateOptions>();
  command->add_option("--checkpoint", options->checkpoint, "a checkpoint.safetensors, or what hwynn compile made of it")
      ->required()
      ->type_name("FILE");
  command->add_flag("--compiled", options->compiled,
                    "by the model that predict serves, BatchNorm in the filters; else training's numbers, to the bit");
  command->add_option("--dataset", options->dataset, "default: the one it was trained on");
  command->add_option("--data-dir", options->data_dir, "the folder of the data set's files")->type_name("DIR");
  command->add_flag("--json", options->json, "the last line of standard output is a JSON object");
  options->machine.AddTo(*command);
  command->callback([options] { options->machine.Run([&] { RunEvaluate(*options); }); });
}

}  // namespace hwynn::apps
