#include "hwynn/tests/conformance/onnx_ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "hwynn/core/check.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/elementwise.h"
#include "hwynn/kernels/loss.h"
#include "hwynn/kernels/matmul.h"
#include "hwynn/kernels/optimizer_update.h"
#include "hwynn/kernels/pool.h"
#include "hwynn/kernels/reference/conv2d.h"

namespace hwynn::testing::onnx {
namespace {

constexpr double kUnit = 0x1p-24;  // of float32's rounding

using Inputs = std::vector<const Value*>;

void Require(bool ok, const char* what) {
  if (!ok) throw Unsupported{what};
}

const Value& Floats(const Inputs& inputs, size_t i) {
  Require(i < inputs.size() && inputs[i] != nullptr && inputs[i]->type == Value::kFloat, "no float32");
  return *inputs[i];
}

bool Has(const Inputs& inputs, size_t i) { return i < inputs.size() && inputs[i] != nullptr; }

Shape ShapeOf(const Value& value) { return Shape(std::span<const int64_t>(value.dims)); }

Tensor ToTensor(const Value& value) {
  Tensor tensor(ShapeOf(value));
  std::ranges::copy(value.floats, tensor.data());
  return tensor;
}

Value ToValue(ConstTensorView tensor, std::vector<int64_t> dims) {
  return {.type = Value::kFloat, .dims = std::move(dims), .floats = {tensor.data(), tensor.data() + tensor.size()}};
}

Value ToValue(ConstTensorView tensor) {
  const auto extents = tensor.shape().extents();
  return ToValue(tensor, {extents.begin(), extents.end()});
}

// Each element may be off by so many units of the largest one.
Output Within(Value value, double units) {
  float largest = 0;
  for (const float x : value.floats) largest = std::max(largest, std::abs(x));
  std::vector<double> bounds(value.floats.size(), units * kUnit * double{largest});
  return {std::move(value), std::move(bounds)};
}

// ---- images ----

int64_t Pixels(const std::vector<int64_t>& dims) {
  return std::accumulate(dims.begin() + 2, dims.end(), int64_t{1}, std::multiplies<>());
}

// [N,C,…] as [N,H,W,C]: one spatial axis is W; more than two have no places, and are one row of pixels.
Tensor ToImages(const Value& value) {
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

Value FromImages(ConstTensorView images, const std::vector<int64_t>& like) {
  const Shape& shape = images.shape();
  std::vector<int64_t> dims{shape[0], shape[3]};
  if (like.size() == 3) dims.push_back(shape[2]);
  if (like.size() == 4) dims.insert(dims.end(), {shape[1], shape[2]});
  if (like.size() > 4) dims = like;
  return {.type = Value::kFloat,
          .dims = std::move(dims),
          .floats = ChannelsSecond(images.data(), shape[0], shape[1] * shape[2], shape[3])};
}

// Strides, dilations and padding of a window, of one or two axes.
struct Window {
  std::array<int64_t, 2> size{1, 1}, stride{1, 1}, dilation{1, 1};
  Padding padding = Padding::Valid();
};

Window WindowOf(const Node& node, const Value& input, std::vector<int64_t> size) {
  const size_t axes = input.dims.size() - 2;
  Require(axes == 1 || axes == 2, "three spatial axes");
  Require(size.size() == axes, "a window of other axes than the image");
  const auto both = [&](const std::vector<int64_t>& values) {
    return axes == 1 ? std::array<int64_t, 2>{1, values[0]} : std::array<int64_t, 2>{values[0], values[1]};
  };
  const std::vector<int64_t> ones(axes, 1);
  Window window{.size = both(size),
                .stride = both(node.Integers("strides", ones)),
                .dilation = both(node.Integers("dilations", ones))};
  const std::vector<int64_t> pads = node.Integers("pads", std::vector<int64_t>(2 * axes, 0));
  std::array<int64_t, 4> pixels =  // top, bottom, left, right
      axes == 1 ? std::array<int64_t, 4>{0, 0, pads[0], pads[1]}
                : std::array<int64_t, 4>{pads[0], pads[2], pads[1], pads[3]};
  const std::string rule = node.Text("auto_pad", "NOTSET");
  for (size_t axis = 0; axis < 2 && rule.starts_with("SAME"); ++axis) {
    const int64_t extent = axis == 0 && axes == 1 ? 1 : input.dims[input.dims.size() - 2 + axis];
    const WindowAxis same = ResolveAxis(Padding::Same(), static_cast<int>(axis), extent, window.size[axis],
                                        window.stride[axis], window.dilation[axis]);
    pixels[2 * axis] = rule == "SAME_UPPER" ? same.before : same.after;  // where the odd pixel goes
    pixels[2 * axis + 1] = rule == "SAME_UPPER" ? same.after : same.before;
  }
  window.padding = Padding::Explicit(pixels[0], pixels[1], pixels[2], pixels[3]);
  return window;
}

Tensor ToFilter(const Value& value) {  // [O,I,…] as [KH,KW,I,O]
  const int64_t outputs = value.dims[0], inputs = value.dims[1], taps = Pixels(value.dims);
  const int64_t height = value.dims.size() == 4 ? value.dims[2] : 1;
  Tensor filter({height, taps / height, inputs, outputs});
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t i = 0; i < inputs; ++i) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        filter[(tap * inputs + i) * outputs + o] = value.floats[static_cast<size_t>((o * inputs + i) * taps + tap)];
      }
    }
  }
  return filter;
}

std::vector<Output> RunConv(const Node& node, const Inputs& inputs, std::string_view algorithm) {
  const Value &x = Floats(inputs, 0), &w = Floats(inputs, 1);
  const Window window = WindowOf(node, x, {w.dims.begin() + 2, w.dims.end()});
  const Tensor input = ToImages(x), filter = ToFilter(w);
  const Tensor bias = Has(inputs, 2) ? ToTensor(Floats(inputs, 2)) : Tensor();
  const Conv2dParams params{.stride = window.stride,
                            .dilation = window.dilation,
                            .padding = window.padding,
                            .groups = node.Integer("group", 1)};
  const Conv2dGeometry g = ResolveConv2d("Conv", params, input.shape(), filter.shape());
  Require(algorithm.empty() || Conv2dSupports(Conv2dPass::kForward, algorithm, g), "another algorithm");
  Tensor output(g.output_shape());
  const Conv2dEpilogue epilogue{.bias = bias};
  Conv2dForward(params, input, filter, output, Workspace(), {.epilogue = epilogue, .algorithm = algorithm});

  // As in tests/kernels/conv2d_test.cc: sums of K terms, for both implementations.
  const reference::Sums sums = reference::Conv2dForward(g, input, filter, {}, epilogue);
  const double largest = *std::ranges::max_element(sums.magnitudes);
  const double terms = static_cast<double>(g.KH * g.KW * g.group_ic());
  std::vector<double> bounds = sums.magnitudes;
  for (double& bound : bounds) {
    if (algorithm.starts_with("winograd")) bound = 3 * largest;
    bound *= 2 * (std::sqrt(terms) + 2) * kUnit;
  }
  Value value = FromImages(output, x.dims);
  return {{std::move(value), ChannelsSecond(bounds.data(), g.N, g.OH * g.OW, g.OC)}};
}

PoolParams PoolOf(const Node& node, const Window& window) {
  return {.window = window.size,
          .stride = window.stride,
          .dilation = window.dilation,
          .padding = window.padding,
          .ceil_mode = node.Integer("ceil_mode", 0) != 0,
          .count_include_pad = node.Integer("count_include_pad", 0) != 0};
}

std::vector<Output> RunPool(const Node& node, const Inputs& inputs) {
  const Value& x = Floats(inputs, 0);
  Require(node.outputs.size() == 1, "indices of maxima");
  const bool is_global = node.op.starts_with("Global"), is_max = node.op.ends_with("MaxPool");
  const std::vector<int64_t> all(x.dims.begin() + 2, x.dims.end());
  const Window window = WindowOf(node, x, is_global ? all : node.Integers("kernel_shape", {}));
  const PoolParams params = PoolOf(node, window);
  const Tensor input = ToImages(x);
  Tensor output(PoolOutputShape("Pool", params, input.shape()));
  if (is_max) {
    MaxPoolForward(params, input, output);
  } else if (is_global) {
    GlobalAveragePoolForward(input, {output.data(), {output.shape()[0], output.shape()[3]}});
  } else {
    AveragePoolForward(params, input, output);
  }
  const auto pixels = static_cast<double>(window.size[0] * window.size[1]);
  return {Within(FromImages(output, x.dims), is_max ? 0 : 2 * std::sqrt(pixels) + 2)};
}

// ---- normalisation, products, activations ----

std::vector<Output> RunBatchNorm(const Node& node, const Inputs& inputs) {
  const Value& x = Floats(inputs, 0);
  const Tensor input = ToImages(x);
  const Tensor scale = ToTensor(Floats(inputs, 1)), bias = ToTensor(Floats(inputs, 2));
  Tensor mean = ToTensor(Floats(inputs, 3)), var = ToTensor(Floats(inputs, 4)), output(input.shape());
  const auto normalize = [&](ConstTensorView used_mean, ConstTensorView used_var) {
    BatchNormNormalize(
        input,
        {.mean = used_mean, .var = used_var, .scale = scale, .bias = bias, .epsilon = node.Number("epsilon", 1e-5f)},
        output);
    return Within(FromImages(output, x.dims), 8);
  };
  if (node.Integer("training_mode", 0) == 0) return {normalize(mean, var)};
  Tensor batch_mean(mean.shape()), batch_var(var.shape());
  BatchNormStatistics(input, Variance::kStable, batch_mean, batch_var, Workspace());
  BatchNormUpdateRunning(double{node.Number("momentum", 0.9f)}, batch_mean, batch_var, mean, var);
  return {normalize(batch_mean, batch_var), Within(ToValue(mean), 8), Within(ToValue(var), 8)};
}

Tensor Transposed(ConstTensorView matrix) {
  const int64_t rows = matrix.shape()[0], columns = matrix.shape()[1];
  Tensor transposed({columns, rows});
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) transposed[c * rows + r] = matrix[r * columns + c];
  }
  return transposed;
}

// alpha·op(a)·op(b) + beta·c: transposed operands are those of Matmul's gradients.
std::vector<Output> RunGemm(const Node& node, const Inputs& inputs) {
  const Value &left = Floats(inputs, 0), &right = Floats(inputs, 1);
  Require(left.dims.size() == 2 && right.dims.size() == 2, "batched products");
  Tensor a = ToTensor(left), b = ToTensor(right);
  const float alpha = node.Number("alpha", 1), beta = node.Number("beta", 1);
  for (float& value : a.span()) value *= alpha;
  const bool transposes_a = node.Integer("transA", 0) != 0, transposes_b = node.Integer("transB", 0) != 0;
  const int64_t rows = a.shape()[transposes_a ? 1 : 0], columns = b.shape()[transposes_b ? 0 : 1];
  Tensor output({rows, columns}), bias;
  if (Has(inputs, 2)) {  // by rows, whole, or one number: spread out
    const Value& c = Floats(inputs, 2);
    const bool is_matrix = c.dims.size() == 2 && c.dims[0] > 1;
    bias = Tensor(is_matrix ? Shape{rows, columns} : Shape{columns});
    for (int64_t i = 0; i < bias.size(); ++i) bias[i] = beta * c.floats[static_cast<size_t>(i) % c.floats.size()];
  }
  const bool adds_afterwards = bias.size() > 0 && (transposes_a || transposes_b || bias.shape().rank() == 2);
  const Workspace workspace;
  if (transposes_a) {
    MatmulBackwardB(a, transposes_b ? Transposed(b) : std::move(b), output, workspace);
  } else if (transposes_b) {
    MatmulBackwardA(a, b, output, workspace);
  } else {
    MatmulForward(a, b, adds_afterwards ? ConstTensorView() : ConstTensorView(bias), output, workspace);
  }
  for (int64_t i = 0; i < output.size() && adds_afterwards; ++i) output[i] += bias[i % bias.size()];
  return {Within(ToValue(output), 16)};
}

std::vector<Output> RunRelu(const Inputs& inputs) {
  const Value& x = Floats(inputs, 0);
  const Tensor input = ToTensor(x);
  Tensor output(input.shape());
  ReluForward(input, output);
  return {Within(ToValue(output), 0)};
}

// ---- loss ----

// Rows of classes: [N,C,…] is a loss for each of its pixels.
struct Rows {
  Tensor logits;  // [rows,C]
  std::vector<int32_t> labels;
  std::vector<float> weights;  // of a class; empty: 1
  std::optional<int32_t> ignored;

  float Weight(size_t row) const {
    if (labels[row] == ignored) return 0;
    return weights.empty() ? 1 : weights[static_cast<size_t>(labels[row])];
  }
  double LossOf(size_t row, int32_t label) const {
    const int64_t classes = logits.shape()[1];
    const ConstTensorView one(logits.data() + static_cast<int64_t>(row) * classes, {1, classes});
    return SoftmaxCrossEntropy(one, std::array{label}, {}, {}).loss;
  }
};

std::vector<Output> RunCrossEntropy(const Node& node, const Inputs& inputs) {
  const Value& x = Floats(inputs, 0);
  Require(Has(inputs, 1) && inputs[1]->type == Value::kInt64, "labels that are no int64");
  const Value& y = *inputs[1];
  const Tensor images = ToImages(x);
  const int64_t classes = x.dims[1], count = images.size() / classes;
  Rows rows{.logits = Tensor({count, classes}), .labels = {y.integers.begin(), y.integers.end()}};
  std::copy_n(images.data(), images.size(), rows.logits.data());
  if (Has(inputs, 2)) rows.weights = Floats(inputs, 2).floats;
  if (node.attributes.contains("ignore_index")) rows.ignored = static_cast<int32_t>(node.Integer("ignore_index", 0));

  std::vector<Output> outputs;
  const std::string reduction = node.Text("reduction", "mean");
  if (reduction == "none") {
    Value losses{.type = Value::kFloat, .dims = y.dims};
    for (size_t row = 0; row < rows.labels.size(); ++row) {
      const bool counts = rows.labels[row] != rows.ignored;
      losses.floats.push_back(counts ? static_cast<float>(double{rows.Weight(row)} * rows.LossOf(row, rows.labels[row]))
                                     : 0.0f);
    }
    outputs.push_back(Within(std::move(losses), 8));
  } else {
    const CrossEntropyOptions options{.ignore_index = rows.ignored, .class_weights = rows.weights};
    double loss = SoftmaxCrossEntropy(rows.logits, rows.labels, options, {}).loss;
    if (reduction == "sum") {
      double sum = 0;
      for (size_t row = 0; row < rows.labels.size(); ++row) sum += double{rows.Weight(row)};
      loss *= sum;
    }
    outputs.push_back(Within({.type = Value::kFloat, .floats = {static_cast<float>(loss)}}, 8));
  }
  if (node.outputs.size() < 2) return outputs;
  Tensor log_probabilities(images.shape());  // a class's is minus the loss of a row that has its label
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t c = 0; c < classes; ++c) {
      log_probabilities[row * classes + c] =
          static_cast<float>(-rows.LossOf(static_cast<size_t>(row), static_cast<int32_t>(c)));
    }
  }
  Value value = FromImages(log_probabilities, x.dims);
  value.dims = x.dims;
  outputs.push_back(Within(std::move(value), 8));
  return outputs;
}

// ---- optimizers ----

// R, T, then for each kind of array (parameters, gradients, states …) one of each parameter's.
struct Training {
  Training(const Inputs& inputs, size_t kinds) : count((inputs.size() - 2) / kinds) {
    learning_rate = Floats(inputs, 0).floats[0];
    Require(inputs[1]->type == Value::kInt64 && inputs[1]->integers[0] == 0, "a step after the first");
    for (size_t i = 2; i < inputs.size(); ++i) arrays.push_back(ToTensor(Floats(inputs, i)));
  }
  Tensor& Array(size_t kind, size_t parameter) { return arrays[kind * count + parameter]; }

  // Of the parameters and states, in ONNX's order: all but the gradients, which come second.
  std::vector<Output> Outputs(double units) {
    std::vector<Output> outputs;
    for (size_t i = 0; i < arrays.size(); ++i) {
      if (i / count != 1) outputs.push_back(Within(ToValue(arrays[i]), units));
    }
    return outputs;
  }

  size_t count;
  float learning_rate = 0;
  std::vector<Tensor> arrays;
};

std::vector<Output> RunMomentum(const Node& node, const Inputs& inputs) {
  Training training(inputs, 3);
  std::vector<SgdLeaf> leaves;
  for (size_t i = 0; i < training.count; ++i) {
    leaves.push_back(
        {.param = training.Array(0, i), .grad = training.Array(1, i), .trace = training.Array(2, i), .decay = true});
  }
  // In the first step, T = 0, the gradient's factor beta isn't looked at.
  SgdUpdate({.learning_rate = training.learning_rate,
             .momentum = node.Number("alpha", 0),
             .nesterov = node.Text("mode", "") == "nesterov",
             .weight_decay = node.Number("norm_coefficient", 0)},
            leaves);
  return training.Outputs(8);
}

std::vector<Output> RunAdam(const Node& node, const Inputs& inputs) {
  Require(node.Number("norm_coefficient_post", 0) == 0, "decay after the step");
  Training training(inputs, 4);
  std::vector<AdamLeaf> leaves;
  for (size_t i = 0; i < training.count; ++i) {
    leaves.push_back({.param = training.Array(0, i),
                      .grad = training.Array(1, i),
                      .mu = training.Array(2, i),
                      .nu = training.Array(3, i),
                      .decay = true});
  }
  // T = 0: without the correction of the first steps, which after so many has gone.
  constexpr int64_t kManySteps = 1'000'000;
  AdamUpdate({.learning_rate = training.learning_rate,
              .b1 = double{node.Number("alpha", 0.9f)},
              .b2 = double{node.Number("beta", 0.999f)},
              .epsilon = node.Number("epsilon", 1e-6f),
              .weight_decay = node.Number("norm_coefficient", 0),
              .decoupled = false},
             kManySteps, leaves);
  return training.Outputs(8);
}

// ---- what moves no numbers ----

std::vector<Output> Reshaped(const Value& value, std::vector<int64_t> dims) {
  Value result = value;
  result.dims = std::move(dims);
  return {Within(std::move(result), 0)};
}

std::vector<Output> RunUnsqueeze(const Node& node, const Value& value) {
  std::vector<int64_t> dims = value.dims;
  Require(node.attributes.contains("axes"), "axes as an input");
  for (const int64_t axis : node.Integers("axes", {})) dims.insert(dims.begin() + axis, 1);
  return Reshaped(value, std::move(dims));
}

std::vector<Output> RunSqueeze(const Node& node, const Value& value) {
  std::vector<int64_t> dims = value.dims, axes = node.Integers("axes", {});
  std::ranges::sort(axes, std::greater<>());
  for (const int64_t axis : axes) dims.erase(dims.begin() + axis);
  return Reshaped(value, std::move(dims));
}

}  // namespace

std::vector<Output> Run(const Node& node, const Inputs& inputs, std::string_view conv_algorithm) {
  if (node.op == "Conv") return RunConv(node, inputs, conv_algorithm);
  if (node.op.ends_with("MaxPool") || node.op.ends_with("AveragePool")) return RunPool(node, inputs);
  if (node.op == "BatchNormalization") return RunBatchNorm(node, inputs);
  if (node.op == "Gemm" || node.op == "MatMul") return RunGemm(node, inputs);
  if (node.op == "Relu") return RunRelu(inputs);
  if (node.op == "SoftmaxCrossEntropyLoss") return RunCrossEntropy(node, inputs);
  if (node.op == "Momentum") return RunMomentum(node, inputs);
  if (node.op == "Adam") return RunAdam(node, inputs);
  if (node.op == "Constant" && node.attributes.contains("value")) {
    return {Within(node.attributes.at("value").tensor, 0)};
  }
  if (node.op == "Unsqueeze") return RunUnsqueeze(node, Floats(inputs, 0));
  if (node.op == "Squeeze") return RunSqueeze(node, Floats(inputs, 0));
  if (node.op == "Transpose" && node.Integers("perm", {}) == std::vector<int64_t>{1, 0}) {
    return {Within(ToValue(Transposed(ToTensor(Floats(inputs, 0)))), 0)};
  }
  throw Unsupported{"no kernel for " + node.op};
}

}  // namespace hwynn::testing::onnx
