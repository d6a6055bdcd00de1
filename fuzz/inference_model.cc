// Any compiled model: what is loaded runs or refuses its input, and what is saved again is the same. An input that
// begins with '{' is the program alone, to be run with weights of the target's.

#include "hwynn/inference/inference_model.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "hwynn/formats/safetensors.h"
#include "hwynn/fuzz/repair.h"
#include "hwynn/fuzz/target.h"
#include "hwynn/inference/program/model_file.h"

namespace hwynn::fuzz {
namespace {

const Scratch& Folder() {
  static const Scratch scratch;
  return scratch;
}

// Small numbers of both signs.
std::vector<float> SomeValues(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(static_cast<int>(i * 37 % 17) - 8) / 16.0f;
  return values;
}

void Run(const InferenceModel& model, const InferenceModel& again) {
  constexpr int64_t kMostBytes = int64_t{1} << 20;  // more takes its time
  const Shape shape{1, 9, 8, 3};
  const std::vector<float> image = SomeValues(shape.num_elements());
  InferenceContext context(model, {.threads = 1});
  const Shape expected = context.OutputShape(shape);
  if (context.bytes() > kMostBytes) return;
  const ConstTensorView output = context.Run({image.data(), shape});
  Require(output.shape() == expected, "a run makes the shape that was announced");
  InferenceContext other(again, {.threads = 1});
  const ConstTensorView same = other.Run({image.data(), shape});
  Require(same.shape() == expected && std::memcmp(same.data(), output.data(), output.span().size_bytes()) == 0,
          "a model that is saved again computes the same");
}

// What holds of a file that is taken.
void Load(const std::string& path) {
  Require(InferenceModel::IsModelFile(path) || ErrorOf([&] { InferenceModel::Load(path); }) != "",
          "what is loaded is recognised");
  const InferenceModel model = InferenceModel::Load(path);
  const std::string copy = Folder() / "copy";
  model.Save(copy);
  const InferenceModel again = InferenceModel::Load(copy);
  Require(again.Describe() == model.Describe() && again.info().class_names == model.info().class_names &&
              again.info().image_shape == model.info().image_shape && again.num_classes() == model.num_classes(),
          "a model that is saved again is the same");
  ErrorOf([&] { Run(model, again); });
}

std::string WriteModel(std::span<const std::byte> weights, SafetensorsMetadata metadata) {
  metadata["checksum"] = ProgramChecksum(weights, metadata["program"]);
  const std::string path = Folder() / "repaired";
  const auto count = static_cast<int64_t>(weights.size() / sizeof(float));
  WriteSafetensors(path, {{"weights", {"F32", Shape{count}, weights}}}, metadata, 64);
  return path;
}

}  // namespace

std::string ReadInput(Bytes input) {
  if (!input.empty() && input.front() == std::byte{'{'}) {
    const std::vector<float> weights = SomeValues(2048);
    const std::string program(reinterpret_cast<const char*>(input.data()), input.size());
    return ErrorOf([&] {
      Load(WriteModel(std::as_bytes(std::span(weights)),
                      {{"format", "hwynn inference"}, {"version", "1"}, {"program", program}}));
    });
  }
  const std::string error = ErrorOf([&] { Load(Folder().Write("input", input)); });
  // With the checksum that belongs to it.
  std::vector<std::byte> bytes(input.begin(), input.end());
  RepairSafetensors(bytes);
  ErrorOf([&] {
    const SafetensorsFile file("input", bytes);
    Load(WriteModel(file.Entry("weights").bytes, file.metadata()));
  });
  return error;
}

}  // namespace hwynn::fuzz
