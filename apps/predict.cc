// hwynn predict: class names and probabilities for PNG and JPEG images, or logits for arrays.

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "hwynn/apps/commands.h"
#include "hwynn/core/check.h"
#include "hwynn/core/math.h"
#include "hwynn/core/parallel.h"
#include "hwynn/formats/safetensors.h"
#include "hwynn/images/decoded_image.h"
#include "hwynn/images/folder.h"
#include "hwynn/images/transform.h"

namespace hwynn::apps {
namespace {

struct PredictOptions {
  std::string checkpoint;
  std::vector<std::string> images;
  std::string arrays;
  std::string output;
  int64_t top = 3;
  bool skip_broken = false;
  bool json = false;
  std::string precision = "default";
  MachineOptions machine;
};

// Where a logit is NaN, all are.
std::vector<double> Softmax(std::span<const float> logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> probabilities;
  for (const float logit : logits) probabilities.push_back(Exp(static_cast<double>(logit) - highest));
  const double sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

/// Logits for the array "x" [N,H,W,C] of a safetensors file, whose values are taken as they are.
void PredictArrays(InferenceContext& context, const PredictOptions& options) {
  constexpr int64_t kBatch = 32;
  const SafetensorsFile file(options.arrays);
  const SafetensorsEntry& entry = file.Entry("x");
  CheckData(entry.dtype == "F32" && entry.shape.rank() == 4 && entry.shape.num_elements() > 0, options.arrays,
            ": array \"x\" is ", entry.dtype, " ", entry.shape, ", not F32 [N,H,W,C]");
  Tensor images(entry.shape);
  std::memcpy(images.data(), entry.bytes.data(), entry.bytes.size());
  const int64_t count = entry.shape[0];
  const int64_t image_size = images.size() / count;
  std::vector<float> logits;
  for (int64_t begin = 0; begin < count; begin += kBatch) {
    const Shape shape{std::min(kBatch, count - begin), entry.shape[1], entry.shape[2], entry.shape[3]};
    const ConstTensorView result = context.Run({images.data() + begin * image_size, shape});
    logits.insert(logits.end(), result.span().begin(), result.span().end());
  }
  const Shape shape{count, static_cast<int64_t>(logits.size()) / count};
  WriteSafetensors(options.output, {{"logits", {"F32", shape, std::as_bytes(std::span(logits))}}}, {});
}

/// The files that `arguments` name: themselves, and the photographs in folders.
std::vector<std::string> FindImages(const std::vector<std::string>& arguments) {
  std::vector<std::string> paths;
  for (const std::string& argument : arguments) {
    if (!std::filesystem::is_directory(argument)) {
      paths.push_back(argument);
      continue;
    }
    const std::vector<std::string> found = FindPhotos(argument);
    CheckData(!found.empty(), argument, ": there are no PNG or JPEG images in it");
    paths.insert(paths.end(), found.begin(), found.end());
  }
  return paths;
}

/// An image as the model takes it.
struct ModelInput {
  std::string note;    // of a resize that nobody asked for
  std::string broken;  // why there is none
};

ModelInput ReadModelInput(const std::string& path, const InferenceInfo& info, std::span<float> hwc) {
  const int64_t height = info.image_shape[0], width = info.image_shape[1];
  ModelInput input;
  DecodedImage image;
  try {
    image = ReadImage(path, {.channels = info.image_shape[2]});
  } catch (const std::runtime_error& error) {
    input.broken = error.what();
    return input;
  }
  if (info.transform.image_size > 0) {
    image = ApplyTransform(image, info.transform);
  } else if (image.height != height || image.width != width) {
    input.note = StrCat(" (", image.width, "x", image.height, ", resized to ", width, "x", height, ")");
    image = Resize(image, height, width);
  }
  ToInput(image, info.standardization, hwc);
  return input;
}

/// The likeliest classes, and how likely they are.
std::vector<std::pair<size_t, double>> TopClasses(std::span<const float> logits, int64_t count) {
  const std::vector<double> probabilities = Softmax(logits);
  std::vector<std::pair<size_t, double>> classes;
  for (size_t i = 0; i < probabilities.size(); ++i) classes.emplace_back(i, probabilities[i]);
  std::ranges::stable_sort(classes, [](const auto& a, const auto& b) { return a.second > b.second; });
  classes.resize(std::min(classes.size(), static_cast<size_t>(count)));
  return classes;
}

void PredictImages(InferenceContext& context, const PredictOptions& options) {
  constexpr int64_t kBatch = 32;
  const InferenceInfo& info = context.model().info();
  const Shape& shape = info.image_shape;
  Check(shape[2] == 1 || shape[2] == 3, "images have 1 or 3 channels, the model takes ", shape[2]);
  const std::vector<std::string> paths = FindImages(options.images);
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  int64_t left_out = 0;
  for (int64_t begin = 0; begin < std::ssize(paths); begin += kBatch) {
    const int64_t count = std::min(kBatch, std::ssize(paths) - begin);
    Tensor images({count, shape[0], shape[1], shape[2]}, 0.0f);
    const auto image_size = static_cast<size_t>(shape.num_elements());
    std::vector<ModelInput> inputs(static_cast<size_t>(count));
    ParallelFor(count, [&](int64_t i) {
      const auto n = static_cast<size_t>(i);
      inputs[n] = ReadModelInput(paths[static_cast<size_t>(begin + i)], info,
                                 images.span().subspan(n * image_size, image_size));
    });
    for (const ModelInput& input : inputs) CheckData(options.skip_broken || input.broken.empty(), input.broken);
    const std::span<const float> logits = context.Run(images).span();
    const size_t classes = logits.size() / inputs.size();
    for (size_t n = 0; n < inputs.size(); ++n) {
      const std::string& path = paths[static_cast<size_t>(begin) + n];
      if (!inputs[n].broken.empty()) {
        std::cout << "left out: " << inputs[n].broken << '\n';
        ++left_out;
        continue;
      }
      std::cout << path << inputs[n].note << '\n';
      nlohmann::ordered_json top = nlohmann::ordered_json::array();
      for (const auto& [label, probability] : TopClasses(logits.subspan(n * classes, classes), options.top)) {
        const std::string& name = info.class_names[label];
        std::cout << "  " << std::fixed << std::setprecision(4) << probability << "  " << name << '\n';
        top.push_back({{"class", name}, {"probability", probability}});
      }
      results.push_back({{"path", path}, {"top", top}});
    }
  }
  if (left_out > 0) std::cout << left_out << " of " << paths.size() << " images were left out\n";
  if (!options.json) return;
  nlohmann::ordered_json result{{"images", results}};
  if (options.skip_broken) result["left_out_images"] = left_out;
  // A path needn't be UTF-8, JSON must.
  std::cout << result.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
}

void RunPredict(const PredictOptions& options) {
  InferenceOptions inference;
  if (options.precision == "highest") inference.precision = Precision::kHighest;
  InferenceContext context(LoadInferenceModel(options.checkpoint, inference));
  if (options.arrays.empty()) {
    PredictImages(context, options);
  } else {
    PredictArrays(context, options);
  }
}

}  // namespace

void AddPredictCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand("predict", "class names and probabilities of images, logits of arrays");
  const auto options = std::make_shared<PredictOptions>();
  command->add_option("--checkpoint", options->checkpoint, "a checkpoint.safetensors, or what hwynn compile made of it")
      ->required()
      ->type_name("FILE");
  CLI::Option* images = command->add_option(
      "images", options->images,
      "PNG and JPEG files, and folders of them; made grey or RGB as the model needs, and resized and cropped as its "
      "checkpoint says, else resized to its input with a note");
  images->type_name("FILE|DIR");
  command
      ->add_flag("--skip-broken", options->skip_broken, "leaves images out that can't be read, and says which and why")
      ->needs(images);
  command->add_flag("--json", options->json, "the last line of standard output is a JSON object")->needs(images);
  CLI::Option* arrays = command->add_option("--arrays", options->arrays,
                                            "a safetensors file with an array x [N,H,W,C] of F32, taken as it is");
  arrays->type_name("FILE")->excludes(images);
  CLI::Option* output = command->add_option("--output", options->output,
                                            "with --arrays: where the array logits [N,K] goes, a safetensors file");
  output->type_name("FILE")->needs(arrays);
  arrays->needs(output);
  command->add_option("--top", options->top, "how many classes to show")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command
      ->add_option("--precision", options->precision,
                   "of convolutions: default, or highest, without the algorithms that multiply less and round more")
      ->check(CLI::IsMember({"default", "highest"}))
      ->capture_default_str();
  options->machine.AddTo(*command);
  command->callback([options] {
    if (options->images.empty() && options->arrays.empty()) throw CLI::RequiredError("images or --arrays");
    options->machine.Run([&] { RunPredict(*options); });
  });
}

}  // namespace hwynn::apps
