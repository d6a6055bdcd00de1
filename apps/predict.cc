// hwynn predict: class names and probabilities for PNG and JPEG images, or logits for arrays.

#include <algorithm>
#include <cstring>
#include <iomanip>
#include <iostream>
#include <numeric>

#include "hwynn/apps/commands.h"
#include "hwynn/core/math.h"
#include "hwynn/formats/safetensors.h"
#include "hwynn/images/decoded_image.h"
#include "hwynn/images/transform.h"

namespace hwynn::apps {
namespace {

struct PredictOptions {
  std::string checkpoint;
  std::vector<std::string> images;
  std::string arrays;
  std::string output;
  int64_t top = 3;
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

bool Fits(const DecodedImage& image, const Shape& shape) { return image.height == shape[0] && image.width == shape[1]; }

/// The image as the model takes it: as its checkpoint says, or else in the size of those that it was trained on.
DecodedImage Prepared(const DecodedImage& image, const InferenceInfo& info) {
  if (info.transform != EvaluationTransform()) return ApplyTransform(image, info.transform);
  return Resize(image, info.image_shape[0], info.image_shape[1]);
}

void PredictImages(InferenceContext& context, const PredictOptions& options) {
  const InferenceInfo& info = context.model().info();
  const Shape& shape = info.image_shape;
  const std::vector<std::string>& names = info.class_names;
  for (const std::string& path : options.images) {
    const DecodedImage image = ReadImage(path, {.channels = shape[2]});
    Tensor input({1, shape[0], shape[1], shape[2]});
    ToInput(Prepared(image, info), info.standardization, input.span());
    std::cout << path;
    if (info.transform == EvaluationTransform() && !Fits(image, shape)) {
      std::cout << " (" << image.width << "x" << image.height << ", resized to " << shape[1] << "x" << shape[0] << ")";
    }
    std::cout << '\n';
    const std::vector<double> probabilities = Softmax(context.Run(input).span());
    std::vector<size_t> order(names.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, [&](size_t a, size_t b) {
      return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
    });
    order.resize(std::min(order.size(), static_cast<size_t>(options.top)));
    for (const size_t i : order) {
      std::cout << "  " << std::fixed << std::setprecision(4) << probabilities[i] << "  " << names[i] << '\n';
    }
  }
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
      "PNG and JPEG files; made grey or RGB as the model needs, and resized and cropped as its checkpoint says, "
      "else resized to its input with a note");
  images->type_name("FILE");
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
