#ifndef HWYNN_TESTS_CONFORMANCE_ONNX_VALUES_H_
#define HWYNN_TESTS_CONFORMANCE_ONNX_VALUES_H_

// ONNX's values as tensors and back, images of them with their channels last.

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

#include "hwynn/core/tensor.h"
#include "hwynn/tests/conformance/onnx_ops.h"

namespace hwynn::testing::onnx {

inline constexpr double kUnit = 0x1p-24;  // of float32's rounding

using Inputs = std::vector<const Value*>;

inline void Require(bool ok, const char* what) {
  if (!ok) throw Unsupported{what};
}

inline const Value& Floats(const Inputs& inputs, size_t i) {
  Require(i < inputs.size() && inputs[i] != nullptr && inputs[i]->type == Value::kFloat, "no float32");
  return *inputs[i];
}

inline bool Has(const Inputs& inputs, size_t i) { return i < inputs.size() && inputs[i] != nullptr; }

inline Shape ShapeOf(const Value& value) { return Shape(std::span<const int64_t>(value.dims)); }

inline Tensor ToTensor(const Value& value) {
  Tensor tensor(ShapeOf(value));
  std::ranges::copy(value.floats, tensor.data());
  return tensor;
}

inline Value ToValue(ConstTensorView tensor, std::vector<int64_t> dims) {
  return {.type = Value::kFloat, .dims = std::move(dims), .floats = {tensor.data(), tensor.data() + tensor.size()}};
}

inline Value ToValue(ConstTensorView tensor) {
  const auto extents = tensor.shape().extents();
  return ToValue(tensor, {extents.begin(), extents.end()});
}

// Each element may be off by so many units of the largest one.
inline Output Within(Value value, double units) {
  float largest = 0;
  for (const float x : value.floats) largest = std::max(largest, std::abs(x));
  std::vector<double> bounds(value.floats.size(), units * kUnit * double{largest});
  return {std::move(value), std::move(bounds)};
}

inline int64_t Pixels(const std::vector<int64_t>& dims) {
  return std::accumulate(dims.begin() + 2, dims.end(), int64_t{1}, std::multiplies<>());
}

// [N,C,…] as [N,H,W,C]: one spatial axis is W; more than two have no places, and are one row of pixels.
inline Tensor ToImages(const Value& value) {
  Require(value.dims.size() >= 2, "no channels");
  const int64_t batch = value.dims[0], channels = value.dims[1], pixels = Pixels(value.dims);
  const int64_t height = value.dims.size() == 4 ? value.dims[2] : 1;
  Tensor images({batch, height, pixels / height, channels});
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t i = 0; i < pixels; ++i) {
        images[(n * pixels + i) * channels + c] = value.floats[static_cast<size_t>((n * channels + c) * pixels + i)];
      }
    }
  }
  return images;
}

// Back, with as many axes as `like` has. `Pixel` may be a float or a bound.
template <class T>
std::vector<T> ChannelsSecond(const T* images, int64_t batch, int64_t pixels, int64_t channels) {
  std::vector<T> values(static_cast<size_t>(batch * pixels * channels));
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t i = 0; i < pixels; ++i) {
        values[static_cast<size_t>((n * channels + c) * pixels + i)] = images[(n * pixels + i) * channels + c];
      }
    }
  }
  return values;
}

inline Value FromImages(ConstTensorView images, const std::vector<int64_t>& like) {
  const Shape& shape = images.shape();
  std::vector<int64_t> dims{shape[0], shape[3]};
  if (like.size() == 3) dims.push_back(shape[2]);
  if (like.size() == 4) dims.insert(dims.end(), {shape[1], shape[2]});
  if (like.size() > 4) dims = like;
  return {.type = Value::kFloat,
          .dims = std::move(dims),
          .floats = ChannelsSecond(images.data(), shape[0], shape[1] * shape[2], shape[3])};
}

}  // namespace hwynn::testing::onnx

#endif  // HWYNN_TESTS_CONFORMANCE_ONNX_VALUES_H_
