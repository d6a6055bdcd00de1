#include "hwynn/formats/preprocessing.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "hwynn/core/check.h"

namespace hwynn {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMostPixels = 16384;  // of a side

}  // namespace

void CheckStandardization(const Standardization& standardization, int64_t channels) {
  const std::vector<float>& mean = standardization.mean;
  const std::vector<float>& stddev = standardization.stddev;
  if (mean.empty() && stddev.empty()) return;
  Check(std::ssize(mean) == channels && std::ssize(stddev) == channels, "Standardization: ", mean.size(), " means and ",
        stddev.size(), " standard deviations for ", channels, " channels");
  for (size_t c = 0; c < mean.size(); ++c) {
    Check(std::isfinite(mean[c]) && std::isfinite(stddev[c]) && stddev[c] > 0.0f, "Standardization: channel ", c,
          " has mean ", mean[c], " and standard deviation ", stddev[c]);
  }
}

void Standardize(const Standardization& standardization, std::span<float> hwc) {
  const size_t channels = standardization.mean.size();
  for (size_t c = 0; c < channels; ++c) {
    const float mean = standardization.mean[c];
    const float scale = 1.0f / standardization.stddev[c];
    for (size_t i = c; i < hwc.size(); i += channels) hwc[i] = (hwc[i] - mean) * scale;
  }
}

std::vector<float> StandardizedBytes(const Standardization& standardization, int64_t channels) {
  CheckStandardization(standardization, channels);
  std::vector<float> values;
  for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
    const bool stays = standardization.mean.empty();
    const float mean = stays ? 0.0f : standardization.mean[c];
    const float scale = stays ? 1.0f : 1.0f / standardization.stddev[c];
    for (int byte = 0; byte < 256; ++byte) values.push_back((static_cast<float>(byte) / 255.0f - mean) * scale);
  }
  return values;
}

EvaluationTransform PhotographTransform(int64_t image_size, Interpolation interpolation) {
  Check(image_size > 0 && image_size <= kMostPixels, "PhotographTransform: image_size (", image_size, ") must be 1 … ",
        kMostPixels);
  return {.image_size = image_size, .resize = image_size * 256 / 224, .interpolation = interpolation};
}

void CheckEvaluationTransform(const EvaluationTransform& transform, const Shape& image_shape) {
  if (transform == EvaluationTransform()) return;
  const int64_t size = transform.image_size;
  Check(size > 0 && size <= transform.resize && transform.resize <= kMostPixels, "EvaluationTransform: image_size ",
        size, " and resize ", transform.resize, " must be 1 … ", kMostPixels, ", and resize no less than image_size");
  Check(image_shape.rank() == 3 && image_shape[0] == size && image_shape[1] == size,
        "EvaluationTransform: the model's images are ", image_shape, ", those of the transform ", size, " pixels wide");
}

std::string ToText(const EvaluationTransform& transform) {
  return Json{{"image_size", transform.image_size},
              {"resize", transform.resize},
              {"interpolation", NameOf(transform.interpolation)}}
      .dump();
}

EvaluationTransform ParseEvaluationTransform(const std::string& text) {
  // The form has one depth, so nothing deeper is even kept.
  const Json json = Json::parse(
      text, [](int depth, Json::parse_event_t, const Json&) { return depth <= 1; }, /*allow_exceptions=*/false);
  const auto whole = [&](const char* name) -> int64_t {
    const auto found = json.find(name);
    Check(found != json.end() && found->is_number_integer(), "EvaluationTransform: \"", name,
          "\" isn't a whole number");
    return found->get<int64_t>();
  };
  Check(json.is_object() && json.size() == 3, "EvaluationTransform: the text isn't one");
  const auto interpolation = json.find("interpolation");
  Check(interpolation != json.end() && interpolation->is_string(), "EvaluationTransform: there is no interpolation");
  return {.image_size = whole("image_size"),
          .resize = whole("resize"),
          .interpolation = InterpolationOf(interpolation->get<std::string>())};
}

std::string NameOf(Interpolation interpolation) {
  return interpolation == Interpolation::kBilinear ? "bilinear" : "bicubic";
}

Interpolation InterpolationOf(const std::string& name) {
  for (const Interpolation interpolation : {Interpolation::kBilinear, Interpolation::kBicubic}) {
    if (name == NameOf(interpolation)) return interpolation;
  }
  throw std::invalid_argument(StrCat("the interpolation is bilinear or bicubic, not \"", name, "\""));
}

}  // namespace hwynn
