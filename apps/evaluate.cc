// hwynn evaluate: loss and accuracy of a checkpoint on a data set's test images.

#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "hwynn/apps/commands.h"
#include "hwynn/apps/datasets.h"
#include "hwynn/kernels/loss.h"
#include "hwynn/training/trainer.h"

namespace hwynn::apps {
namespace {

struct EvaluateOptions {
  std::string checkpoint;
  bool compiled = false;
  std::string dataset;
  DataOptions data;
  std::optional<int64_t> seed;
  bool json = false;
  MachineOptions machine;
};

// What is evaluated, and on what.
struct Subject {
  std::string model;    // its name
  std::string dataset;  // that it was trained on; "": none
  Shape image_shape;
  std::vector<std::string> class_names;
  EvaluationTransform transform{};
  int64_t seed = 0;  // that its photographs were split by
};

LoadedDataset LoadFor(const Subject& subject, const EvaluateOptions& options) {
  const std::string& name = options.dataset.empty() ? subject.dataset : options.dataset;
  Check(!name.empty(), options.checkpoint, ": doesn't say which data set has trained it; name one (--dataset)");
  Check(!IsOfPhotographs(name) || subject.transform.image_size > 0, options.checkpoint,
        ": doesn't say how its model takes photographs; it was trained on images ", subject.image_shape);
  LoadedDataset loaded = LoadNamedDataset({.name = name,
                                           .transform = subject.transform,
                                           .class_names = subject.class_names,
                                           .seed = options.seed.value_or(subject.seed),
                                           .test_only = true},
                                          options.data);
  const Dataset& test = *loaded.splits.test;
  Check(test.image_shape() == subject.image_shape, options.checkpoint, ": the model takes images ", subject.image_shape,
        ", those of ", name, " are ", test.image_shape());
  Check(test.num_classes() == std::ssize(subject.class_names), options.checkpoint, ": the model knows ",
        subject.class_names.size(), " classes, ", name, " has ", test.num_classes());
  return loaded;
}

void Report(const MetricSums& sums, const LoadedDataset& loaded, const Subject& subject,
            const EvaluateOptions& options) {
  const std::string& name = options.dataset.empty() ? subject.dataset : options.dataset;
  std::cout << subject.model << " on " << sums.examples << " test images of " << name << ": loss " << std::fixed
            << std::setprecision(4) << sums.MeanLoss() << ", accuracy " << sums.Accuracy() << std::endl;
  if (options.json) {
    nlohmann::ordered_json result{{"test_accuracy", sums.Accuracy()}, {"test_loss", sums.MeanLoss()}};
    if (options.data.skip_broken) result["left_out_images"] = loaded.left_out.size();
    std::cout << result.dump() << std::endl;
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
    subject.seed = info.recipe.training.seed;
  }
  InferenceContext context(LoadInferenceModel(options.checkpoint));
  const InferenceInfo& info = context.model().info();
  subject.image_shape = info.image_shape;
  subject.class_names = info.class_names;
  subject.transform = info.transform;
  const LoadedDataset loaded = LoadFor(subject, options);
  const auto evaluate = [&](const Batch& batch) {
    return SoftmaxCrossEntropy(context.Run(batch.images), batch.labels, {}, {});
  };
  Report(Evaluate(evaluate, *loaded.splits.test, info.standardization, kBatch), loaded, subject, options);
}

void RunEvaluate(const EvaluateOptions& options) {
  if (options.compiled || InferenceModel::IsModelFile(options.checkpoint)) return EvaluateCompiled(options);
  const TrainedModel trained = LoadTrainedModel(options.checkpoint);
  const Recipe& recipe = trained.info.recipe;
  const Subject subject{.model = recipe.model,
                        .dataset = recipe.dataset,
                        .image_shape = trained.info.image_shape,
                        .class_names = trained.info.class_names,
                        .transform = trained.info.transform,
                        .seed = recipe.training.seed};
  const LoadedDataset loaded = LoadFor(subject, options);
  Stepper stepper(*trained.model);
  Report(Evaluate(stepper, trained.variables, *loaded.splits.test, trained.info.standardization,
                  recipe.training.batch_size),
         loaded, subject, options);
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
  options->data.AddTo(*command);
  command->add_option("--seed", options->seed,
                      "by which photographs without a split of their own were split; default: the training's");
  command->add_flag("--json", options->json, "the last line of standard output is a JSON object");
  options->machine.AddTo(*command);
  command->callback([options] { options->machine.Run([&] { RunEvaluate(*options); }); });
}

}  // namespace hwynn::apps
