#ifndef HWYNN_TESTS_SUPPORT_PYTORCH_WEIGHTS_H_
#define HWYNN_TESTS_SUPPORT_PYTORCH_WEIGHTS_H_

// Files as PyTorch's users save their ResNets. The values are the formulas of tests/golden/pytorch_golden.py.

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "hwynn/formats/safetensors.h"

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
    entries["bn1.num_batches_tracked"] = {"I64", {}, std::as_bytes(std::span(&batches, 1))};
    for (const auto& [name, array] : arrays) {
      const std::span<const std::byte> bytes = std::as_bytes(std::span(array.values));
      entries[name] = {array.dtype, array.shape, bytes};
    }
    WriteSafetensors(path, entries, {{"format", "pt"}});
  }
};

/// torchvision's names and shapes.
inline Weights MakeWeights(const std::vector<int64_t>& stage_sizes, bool bottleneck, int64_t filters,
                           int64_t num_classes, int64_t stem = 7, int64_t channels = 3) {
  Weights weights;
  weights.Add("conv1.weight", {filters, channels, stem, stem});
  weights.AddNorm("bn1", filters);
  int64_t inputs = filters;
  for (size_t stage = 0; stage < stage_sizes.size(); ++stage) {
    for (int64_t block = 0; block < stage_sizes[stage]; ++block) {
      const std::string at = "layer" + std::to_string(stage + 1) + "." + std::to_string(block) + ".";
      const int64_t width = filters << stage;
      const int64_t outputs = bottleneck ? 4 * width : width;
      const int64_t first = bottleneck ? 1 : 3;
      weights.Add(at + "conv1.weight", {width, inputs, first, first});
      weights.AddNorm(at + "bn1", width);
      weights.Add(at + "conv2.weight", {width, width, 3, 3});
      weights.AddNorm(at + "bn2", width);
      if (bottleneck) {
        weights.Add(at + "conv3.weight", {outputs, width, 1, 1});
        weights.AddNorm(at + "bn3", outputs);
      }
      if (block == 0 && (stage > 0 || inputs != outputs)) {
        weights.Add(at + "downsample.0.weight", {outputs, inputs, 1, 1});
        weights.AddNorm(at + "downsample.1", outputs);
      }
      inputs = outputs;
    }
  }
  weights.Add("fc.weight", {num_classes, inputs});
  weights.Add("fc.bias", {num_classes});
  weights.Fill();
  return weights;
}

/// The same arrays under other names.
inline Weights Renamed(const Weights& weights, const std::function<std::string(const std::string&)>& rename) {
  Weights renamed;
  for (const auto& [name, array] : weights.arrays) renamed.arrays[rename(name)] = array;
  return renamed;
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_PYTORCH_WEIGHTS_H_
