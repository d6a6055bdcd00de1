// hwynn predict: class names and probabilities for PNG images.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iomanip>
#include <iostream>
#include <numeric>

#include "hwynn/apps/commands.h"
#include "hwynn/apps/image.h"

namespace hwynn::apps {
namespace {

struct PredictOptions {
  std::string checkpoint;
  std::vector<std::string> images;
  int64_t top = 3;
  MachineOptions machine;
};

std::vector<double> Softmax(std::span<const float> logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> probabilities;
  for (const float logit : logits) probabilities.push_back(std::exp(logit - highest));
  const double sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

void RunPredict(const PredictOptions& options) {
  const TrainedModel trained = LoadTrainedModel(options.checkpoint);
  const Shape& shape = trained.info.image_shape;
  const std::vector<std::string>& names = trained.info.class_names;
  const Workspace workspace;
  for (const std::string& path : options.images) {
    Tensor image = ReadPng(path, shape[2]);
    std::cout << path;
    if (image.shape() != shape) {
      std::cout << " (" << image.shape()[1] << "x" << image.shape()[0] << ", resized to " << shape[1] << "x" << shape[0]
                << ")";
      image = Resize(image, shape[0], shape[1]);
    }
    std::cout << '\n';
    Standardize(trained.info.standardization, image.span());
    image.Reshape({1, shape[0], shape[1], shape[2]});
    const Activation logits = Predict(*trained.model, trained.variables, image, workspace);
    const std::vector<double> probabilities = Softmax(logits->span());
    std::vector<size_t> order(names.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return probabilities[a] > probabilities[b]; });
    order.resize(std::min(order.size(), static_cast<size_t>(options.top)));
    for (const size_t i : order) {
      std::cout << "  " << std::fixed << std::setprecision(4) << probabilities[i] << "  " << names[i] << '\n';
    }
  }
}

}  // namespace

void AddPredictCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand("predict", "class names and probabilities of PNG images");
  const auto options = std::make_shared<PredictOptions>();
  command->add_option("--checkpoint", options->checkpoint, "a checkpoint.safetensors")->required()->type_name("FILE");
  command
      ->add_option("images", options->images,
                   "PNG files; made grey or RGB as the model needs, and resized to its input with a note")
      ->required()
      ->type_name("FILE");
  command->add_option("--top", options->top, "how many classes to show")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  options->machine.AddTo(*command);
  command->callback([options] { options->machine.Run([&] { RunPredict(*options); }); });
}

}  // namespace hwynn::apps
