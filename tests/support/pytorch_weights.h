#ifndef HWYNN_TESTS_SUPPORT_PYTORCH_WEIGHTS_H_
#define HWYNN_TESTS_SUPPORT_PYTORCH_WEIGHTS_H_

// Files as PyTorch's users save their models. The values are the formulas of tests/golden/pytorch_golden.py.

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "hwynn/formats/safetensors.h"
#include "hwynn/models/mobilenet.h"
#include "hwynn/models/resnet.h"

namespace hwynn::testing {

/// `count` numbers in [0, 1).
inline std::vector<double> Uniforms(uint32_t tensor_index, int64_t count) {
  std::vector<double> values;
  for (uint32_t i = 0; i < static_cast<uint32_t>(count); ++i) {
    uint32_t h = i * 2654435761u + tensor_index * 40503u + 12345u;
    h ^= h >> 16;
    h *= 2246822519u;
    h ^= h >> 13;
    values.push_back((h >> 8) / 16777216.0);
  }
  return values;
}

/// A safetensors file in the making.
struct Weights {
  struct Array {
    std::string dtype;
    Shape shape;
    std::vector<float> values;
  };
  std::map<std::string, Array> arrays;

  void Add(const std::string& name, const Shape& shape) { arrays[name] = {"F32", shape, {}}; }

  void AddNorm(const std::string& name, int64_t channels) {
    for (const char* field : {".weight", ".bias", ".running_mean", ".running_var"}) Add(name + field, {channels});
  }

  /// The formulas of pytorch_golden.py.
  void Fill() {
    uint32_t index = 0;
    for (auto& [name, array] : arrays) {
      const bool kernel = array.shape.rank() > 1;
      const bool positive = name.ends_with("running_var") || name.ends_with("weight");
      const double fan_in = static_cast<double>(array.shape.num_elements() / std::max<int64_t>(1, array.shape[0]));
      for (const double u : Uniforms(index++, array.shape.num_elements())) {
        const double value = kernel ? (u - 0.5) * std::sqrt(24.0 / fan_in) : positive ? 0.5 + u : (u - 0.5) * 0.5;
        array.values.push_back(static_cast<float>(value));
      }
    }
  }

  void Write(const std::string& path) const {
    SafetensorsEntries entries;
    const int64_t batches = 5;
    // PyTorch counts a BatchNorm's batches.
    for (const auto& [name, array] : arrays) {
      constexpr std::string_view kMean = ".running_mean";
      if (!name.ends_with(kMean)) continue;
      entries[name.substr(0, name.size() - kMean.size()) + ".num_batches_tracked"] = {
          "I64", {}, std::as_bytes(std::span(&batches, 1))};
    }
    for (const auto& [name, array] : arrays) {
      const std::span<const std::byte> bytes = std::as_bytes(std::span(array.values));
      entries[name] = {array.dtype, array.shape, bytes};
    }
    WriteSafetensors(path, entries, {{"format", "pt"}});
  }
};

/// torchvision's names and shapes of the model of these options; timm's where they have a deep stem or an average
/// projection.
inline Weights MakeWeights(const ResNetOptions& options, int64_t channels = 3) {
  Weights weights;
  int64_t inputs = options.num_filters;
  if (options.stem == ResNetStem::kDeep) {
    const int64_t half = inputs / 2;
    weights.Add("conv1.0.weight", {half, channels, 3, 3});
    weights.AddNorm("conv1.1", half);
    weights.Add("conv1.3.weight", {half, half, 3, 3});
    weights.AddNorm("conv1.4", half);
    weights.Add("conv1.6.weight", {inputs, half, 3, 3});
  } else {
    const int64_t size = options.stem == ResNetStem::kCifar ? 3 : 7;
    weights.Add("conv1.weight", {inputs, channels, size, size});
  }
  weights.AddNorm("bn1", inputs);
  for (size_t stage = 0; stage < options.stage_sizes.size(); ++stage) {
    for (int64_t block = 0; block < options.stage_sizes[stage]; ++block) {
      const std::string at = "layer" + std::to_string(stage + 1) + "." + std::to_string(block) + ".";
      const int64_t filters = options.num_filters << stage;
      const int64_t outputs = options.bottleneck ? 4 * filters : filters;
      const int64_t width = filters * options.width_per_group / 64 * options.groups;
      const int64_t first = options.bottleneck ? 1 : 3;
      weights.Add(at + "conv1.weight", {width, inputs, first, first});
      weights.AddNorm(at + "bn1", width);
      weights.Add(at + "conv2.weight", {width, width / options.groups, 3, 3});
      weights.AddNorm(at + "bn2", width);
      if (options.bottleneck) {
        weights.Add(at + "conv3.weight", {outputs, width, 1, 1});
        weights.AddNorm(at + "bn3", outputs);
      }
      if (block == 0 && (stage > 0 || inputs != outputs)) {
        weights.Add(at + (options.average_projection ? "downsample.1.weight" : "downsample.0.weight"),
                    {outputs, inputs, 1, 1});
        weights.AddNorm(at + (options.average_projection ? "downsample.2" : "downsample.1"), outputs);
      }
      inputs = outputs;
    }
  }
  weights.Add("fc.weight", {options.num_classes, inputs});
  weights.Add("fc.bias", {options.num_classes});
  weights.Fill();
  return weights;
}

inline Weights MakeWeights(const std::vector<int64_t>& stage_sizes, bool bottleneck, int64_t filters,
                           int64_t num_classes, int64_t stem = 7, int64_t channels = 3) {
  return MakeWeights({.stage_sizes = stage_sizes,
                      .bottleneck = bottleneck,
                      .stem = stem == 7 ? ResNetStem::kImageNet : ResNetStem::kCifar,
                      .num_filters = filters,
                      .num_classes = num_classes},
                     channels);
}

/// torchvision's names and shapes of a MobileNetV2.
inline Weights MakeMobileNetV2Weights(double width, int64_t num_classes, int64_t channels = 3) {
  Weights weights;
  const auto conv_norm = [&](const std::string& conv, const std::string& norm, const Shape& shape) {
    weights.Add(conv + ".weight", shape);
    weights.AddNorm(norm, shape[0]);
  };
  int64_t inputs = MobileNetV2Channels(32, width);
  conv_norm("features.0.0", "features.0.1", {inputs, channels, 3, 3});
  int64_t feature = 1;
  for (const InvertedResidualStage& stage : MobileNetV2Stages()) {
    for (int64_t block = 0; block < stage.blocks; ++block, ++feature) {
      const std::string at = "features." + std::to_string(feature) + ".conv.";
      const int64_t inner = stage.expansion * inputs, outputs = MobileNetV2Channels(stage.channels, width);
      int part = 0;
      const auto nested = [&](const Shape& shape) {
        const std::string name = at + std::to_string(part++);
        conv_norm(name + ".0", name + ".1", shape);
      };
      if (stage.expansion != 1) nested({inner, inputs, 1, 1});
      nested({inner, 1, 3, 3});
      conv_norm(at + std::to_string(part), at + std::to_string(part + 1), {outputs, inner, 1, 1});
      inputs = outputs;
    }
  }
  const std::string head = "features." + std::to_string(feature);
  conv_norm(head + ".0", head + ".1", {MobileNetV2HeadChannels(width), inputs, 1, 1});
  weights.Add("classifier.1.weight", {num_classes, MobileNetV2HeadChannels(width)});
  weights.Add("classifier.1.bias", {num_classes});
  weights.Fill();
  return weights;
}

/// timm's name of an array of a MobileNetV2, from torchvision's.
inline std::string TimmsName(const std::string& torchvisions) {
  std::smatch match;
  if (std::regex_match(torchvisions, match, std::regex(R"(classifier\.1\.(\w+))"))) {
    return "classifier." + match[1].str();
  }
  if (std::regex_match(torchvisions, match, std::regex(R"(features\.(0|18)\.([01])\.(\w+))"))) {
    const bool stem = match[1] == "0";
    return (match[2] == "0" ? (stem ? "conv_stem." : "conv_head.") : (stem ? "bn1." : "bn2.")) + match[3].str();
  }
  std::regex_match(torchvisions, match, std::regex(R"(features\.(\d+)\.conv\.(\d)\.(?:([01])\.)?(\w+))"));
  int64_t block = std::stoi(match[1]) - 1;
  const bool expands = block > 0;
  int stage = 0;
  while (block >= MobileNetV2Stages()[static_cast<size_t>(stage)].blocks) {
    block -= MobileNetV2Stages()[static_cast<size_t>(stage++)].blocks;
  }
  const std::string at = "blocks." + std::to_string(stage) + "." + std::to_string(block) + ".";
  const int last = expands ? 2 : 1;
  const int index = std::stoi(match[2]);
  const bool norm = match[3].matched ? match[3] == "1" : index > last;
  const int number = std::min(index, last);
  const char* const expanding[] = {"conv_pw", "conv_dw", "conv_pwl"};
  const char* const plain[] = {"conv_dw", "conv_pw"};
  const std::string conv = expands ? expanding[number] : plain[number];
  return at + (norm ? "bn" + std::to_string(number + 1) : conv) + "." + match[4].str();
}

/// The same arrays under other names.
inline Weights Renamed(const Weights& weights, const std::function<std::string(const std::string&)>& rename) {
  Weights renamed;
  for (const auto& [name, array] : weights.arrays) renamed.arrays[rename(name)] = array;
  return renamed;
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_PYTORCH_WEIGHTS_H_
