#include "hwynn/tests/conformance/onnx_ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "hwynn/core/check.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/elementwise.h"
#include "hwynn/kernels/matmul.h"
#include "hwynn/kernels/pool.h"
#include "hwynn/kernels/reference/conv2d.h"
#include "hwynn/tests/conformance/onnx_training_ops.h"
#include "hwynn/tests/conformance/onnx_values.h"

namespace hwynn::testing::onnx {
namespace {

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
