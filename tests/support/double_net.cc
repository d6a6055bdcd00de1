#include "hwynn/tests/support/double_net.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn::testing {
namespace {

std::map<std::string, DoubleArray> Converted(const Variables& variables, std::string_view name) {
  std::map<std::string, DoubleArray> converted;
  if (const auto found = variables.find(name); found != variables.end()) {
    for (const auto& [path, values] : found->second) converted.emplace(path, DoubleArray(values.view()));
  }
  return converted;
}

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

std::vector<double> Values(ConstTensorView view) { return {view.span().begin(), view.span().end()}; }

// 130 of float's unit. The largest error measured was 3e-6, of a bias before BatchNorm; in residual blocks 9e-7.
constexpr double kTolerance = 8e-6;
// A ReLU sees some thousands of values of about 1: in one check of some thousands one of them lies within a step of 0.
constexpr double kStep = 1e-7;

}  // namespace

DoubleNet::DoubleNet(const Variables& variables, Mode mode)
    : mode_(mode), params_(Converted(variables, kParams)), statistics_(Converted(variables, kBatchStats)) {}

DoubleArray DoubleNet::Conv(const std::string& path, const DoubleArray& input, int64_t stride) const {
  const DoubleArray& kernel = params_.at(path + "/kernel");
  const int64_t size = kernel.shape[0], in_channels = kernel.shape[2], channels = kernel.shape[3];
  const int64_t image_channels = input.shape[3], group_outputs = channels / (image_channels / in_channels);
  const int64_t height = input.shape[1], width = input.shape[2];
  const int64_t out_height = (height + stride - 1) / stride, out_width = (width + stride - 1) / stride;
  const int64_t top = std::max<int64_t>((out_height - 1) * stride + size - height, 0) / 2;
  const int64_t left = std::max<int64_t>((out_width - 1) * stride + size - width, 0) / 2;
  DoubleArray output(Shape{input.shape[0], out_height, out_width, channels});
  double* out = output.values.data();
  for (int64_t n = 0; n < input.shape[0]; ++n) {
    for (int64_t oy = 0; oy < out_height; ++oy) {
      for (int64_t ox = 0; ox < out_width; ++ox, out += channels) {
        for (int64_t ky = 0; ky < size; ++ky) {
          for (int64_t kx = 0; kx < size; ++kx) {
            const int64_t y = oy * stride + ky - top, x = ox * stride + kx - left;
            if (y < 0 || y >= height || x < 0 || x >= width) continue;
            const double* pixel = input.values.data() + ((n * height + y) * width + x) * image_channels;
            const double* taps = kernel.values.data() + (ky * size + kx) * in_channels * channels;
            for (int64_t c = 0; c < in_channels; ++c) {
              for (int64_t o = 0; o < channels; ++o) {
                out[o] += pixel[o / group_outputs * in_channels + c] * taps[c * channels + o];
              }
            }
          }
        }
      }
    }
  }
  return output;
}

DoubleArray DoubleNet::BatchNorm(const std::string& path, const DoubleArray& input) const {
  const auto channels = static_cast<size_t>(input.shape.back());
  const std::vector<double>& scale = params_.at(path + "/scale").values;
  const std::vector<double>& bias = params_.at(path + "/bias").values;
  DoubleArray output = input;
  for (size_t c = 0; c < channels; ++c) {
    double mean = statistics_.at(path + "/mean").values[c];
    double var = statistics_.at(path + "/var").values[c];
    if (mode_ == Mode::kTrain) {
      const auto rows = static_cast<double>(input.values.size() / channels);
      mean = var = 0;
      for (size_t i = c; i < input.values.size(); i += channels) mean += input.values[i] / rows;
      for (size_t i = c; i < input.values.size(); i += channels) var += std::pow(input.values[i] - mean, 2) / rows;
    }
    const double factor = scale[c] / std::sqrt(var + static_cast<double>(1e-5f));
    for (size_t i = c; i < input.values.size(); i += channels) {
      output.values[i] = (input.values[i] - mean) * factor + bias[c];
    }
  }
  return output;
}

DoubleArray DoubleNet::Dense(const std::string& path, const DoubleArray& input) const {
  const DoubleArray& kernel = params_.at(path + "/kernel");
  const std::vector<double>& bias = params_.at(path + "/bias").values;
  const int64_t features = kernel.shape[0], outputs = kernel.shape[1];
  DoubleArray output(Shape{input.shape[0], outputs});
  for (int64_t n = 0; n < input.shape[0]; ++n) {
    for (int64_t o = 0; o < outputs; ++o) {
      double sum = bias[static_cast<size_t>(o)];
      for (int64_t f = 0; f < features; ++f) {
        sum +=
            input.values[static_cast<size_t>(n * features + f)] * kernel.values[static_cast<size_t>(f * outputs + o)];
      }
      output.values[static_cast<size_t>(n * outputs + o)] = sum;
    }
  }
  return output;
}

DoubleArray DoubleNet::AddShortcut(const std::string& path, const DoubleArray& main, const DoubleArray& input,
                                   int64_t stride, bool pools) const {
  if (main.shape == input.shape) return Relu(Add(main, input));
  const DoubleArray pooled = pools ? AveragePool(input, stride) : input;
  return Relu(Add(main, BatchNorm(path + "norm_proj", Conv(path + "conv_proj", pooled, pools ? 1 : stride))));
}

DoubleArray DoubleNet::ResNetBlock(const std::string& path, const DoubleArray& input, int64_t stride,
                                   bool pools) const {
  DoubleArray x = Relu(BatchNorm(path + "BatchNorm_0", Conv(path + "Conv_0", input, stride)));
  x = BatchNorm(path + "BatchNorm_1", Conv(path + "Conv_1", x));
  return AddShortcut(path, x, input, stride, pools);
}

DoubleArray DoubleNet::BottleneckResNetBlock(const std::string& path, const DoubleArray& input, int64_t stride,
                                             bool pools) const {
  DoubleArray x = Relu(BatchNorm(path + "BatchNorm_0", Conv(path + "Conv_0", input)));
  x = Relu(BatchNorm(path + "BatchNorm_1", Conv(path + "Conv_1", x, stride)));
  x = BatchNorm(path + "BatchNorm_2", Conv(path + "Conv_2", x));
  return AddShortcut(path, x, input, stride, pools);
}

DoubleArray DoubleNet::InvertedResidual(const std::string& path, const DoubleArray& input, int64_t stride) const {
  const bool expands = params_.contains(path + "Conv_2/kernel");
  int convs = 0;
  const auto step = [&](const DoubleArray& x, int64_t conv_stride) {
    const std::string number = std::to_string(convs++);
    return BatchNorm(path + "BatchNorm_" + number, Conv(path + "Conv_" + number, x, conv_stride));
  };
  DoubleArray x = expands ? Relu6(step(input, 1)) : input;
  x = step(Relu6(step(x, stride)), 1);
  return stride == 1 && x.shape == input.shape ? Add(x, input) : x;
}

DoubleArray DoubleNet::Relu(DoubleArray input) {
  for (double& value : input.values) value = std::max(value, 0.0);
  return input;
}

DoubleArray DoubleNet::Relu6(DoubleArray input) {
  for (double& value : input.values) value = std::clamp(value, 0.0, 6.0);
  return input;
}

DoubleArray DoubleNet::AveragePool(const DoubleArray& input, int64_t size) {
  const int64_t height = input.shape[1], width = input.shape[2], channels = input.shape[3];
  const int64_t out_height = (height + size - 1) / size, out_width = (width + size - 1) / size;
  DoubleArray output(Shape{input.shape[0], out_height, out_width, channels});
  for (int64_t i = 0; i < input.shape.num_elements(); ++i) {
    const int64_t c = i % channels, x = i / channels % width, y = i / (channels * width) % height;
    const int64_t n = i / (channels * width * height);
    const int64_t rows = std::min(size, height - y / size * size), columns = std::min(size, width - x / size * size);
    output.values[static_cast<size_t>(((n * out_height + y / size) * out_width + x / size) * channels + c)] +=
        input.values[static_cast<size_t>(i)] / static_cast<double>(rows * columns);
  }
  return output;
}

DoubleArray DoubleNet::Add(DoubleArray a, const DoubleArray& b) {
  for (size_t i = 0; i < a.values.size(); ++i) a.values[i] += b.values[i];
  return a;
}

DoubleArray DoubleNet::GlobalAverage(const DoubleArray& input) {
  const int64_t pixels = input.shape[1] * input.shape[2], channels = input.shape[3];
  DoubleArray output(Shape{input.shape[0], channels});
  for (int64_t i = 0; i < input.shape.num_elements(); ++i) {
    output.values[static_cast<size_t>(i / (pixels * channels) * channels + i % channels)] +=
        input.values[static_cast<size_t>(i)] / static_cast<double>(pixels);
  }
  return output;
}

DoubleArray DoubleNet::Reshaped(DoubleArray input, const Shape& shape) {
  input.shape = shape;
  return input;
}

void CheckAgainstDouble(const Module& module, const Shape& input_shape, Mode mode, const DoubleForward& forward) {
  ModuleBed bed(module, input_shape);
  DoubleNet net(bed.variables, mode);
  DoubleArray input(bed.input.view());
  const Activation output = bed.Forward(mode);
  const DoubleArray expected = forward(net, input);
  ASSERT_EQ(output.shape(), expected.shape);
  double scale = 0;
  for (const double value : expected.values) scale = std::max(scale, std::abs(value));
  for (size_t i = 0; i < expected.values.size(); ++i) {
    ASSERT_NEAR((*output)[static_cast<int64_t>(i)], expected.values[i], kTolerance * scale) << "output " << i;
  }

  const Tensor grad_output = Normals(output.shape(), 99);
  const Tensor grad_input = bed.Backward(mode, grad_output);
  uint32_t seed = 1000;
  const auto check = [&](const std::string& name, DoubleArray& array, ConstTensorView gradient) {
    ASSERT_EQ(gradient.shape(), array.shape) << name;
    const std::vector<double> original = array.values, actual = Values(gradient);
    for (int direction = 0; direction < 2; ++direction) {
      const std::vector<double> step = Values(Normals(array.shape, ++seed));
      const auto loss_at = [&](double h) {
        for (size_t i = 0; i < step.size(); ++i) array.values[i] = original[i] + h * step[i];
        return Dot(forward(net, input).values, Values(grad_output));
      };
      const double slope = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
      // A gradient that is 0 by its definition, as a bias's before BatchNorm, is the rounding of terms of about 1.
      EXPECT_NEAR(Dot(actual, step), slope, kTolerance * (1 + std::sqrt(Dot(actual, actual)))) << name;
      array.values = original;
    }
  };
  if (!grad_input.empty()) check("input", input, grad_input);
  for (const auto& [path, gradient] : bed.gradients) check(path, net.param(path), gradient);
}

}  // namespace hwynn::testing
