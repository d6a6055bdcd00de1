// hwynn evaluate: loss and accuracy of a checkpoint on a data set's test images.

#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>

#include "hwynn/apps/commands.h"
#include "hwynn/training/trainer.h"

namespace hwynn::apps {
namespace {

struct EvaluateOptions {
  std::string checkpoint;
  std::string dataset;
  std::string data_dir;
  bool json = false;
  MachineOptions machine;
};

void RunEvaluate(const EvaluateOptions& options) {
  const TrainedModel trained = LoadTrainedModel(options.checkpoint);
  const Recipe& recipe = trained.info.recipe;
  const std::string& name = options.dataset.empty() ? recipe.dataset : options.dataset;
  Check(!name.empty(), options.checkpoint, ": an import, which no data set has trained; name one (--dataset)");
  const DatasetSplits splits = LoadRecipeDataset(name, options.data_dir);
  const Dataset& test = *splits.test;
  Check(test.image_shape() == trained.info.image_shape, options.checkpoint, ": the model takes images ",
        trained.info.image_shape, ", those of ", name, " are ", test.image_shape());
  Check(test.num_classes() == static_cast<int64_t>(trained.info.class_names.size()), options.checkpoint,
        ": the model knows ", trained.info.class_names.size(), " classes, ", name, " has ", test.num_classes());
  Stepper stepper(*trained.model);
  const MetricSums sums =
      Evaluate(stepper, trained.variables, test, trained.info.standardization, recipe.training.batch_size);
  std::cout << recipe.model << " on " << sums.examples << " test images of " << name << ": loss " << std::fixed
            << std::setprecision(4) << sums.MeanLoss() << ", accuracy " << sums.Accuracy() << std::endl;
  if (options.json) {
    std::cout << nlohmann::ordered_json{{"test_accuracy", sums.Accuracy()}, {"test_loss", sums.MeanLoss()}}.dump()
              << std::endl;
  }
}

}  // namespace

void AddEvaluateCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand("evaluate", "loss and accuracy of a checkpoint on test images");
  const auto options = std::make_shared<EvaluateOptions>();
  command->add_option("--checkpoint", options->checkpoint, "a checkpoint.safetensors")->required()->type_name("FILE");
  command->add_option("--dataset", options->dataset, "default: the one it was trained on");
  command->add_option("--data-dir", options->data_dir, "the folder of the data set's files")->type_name("DIR");
  command->add_flag("--json", options->json, "the last line of standard output is a JSON object");
  options->machine.AddTo(*command);
  command->callback([options] { options->machine.Run([&] { RunEvaluate(*options); }); });
}

}  // namespace hwynn::apps
