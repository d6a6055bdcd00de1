#include "hwynn/apps/op_driver/ops.h"

#include "hwynn/core/check.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/loss.h"
#include "hwynn/kernels/matmul.h"
#include "hwynn/kernels/pool.h"

namespace hwynn::apps {
namespace {

Conv2dParams ConvParams(const Case& c) {
  const Attributes& a = c.attributes();
  return {.stride = a.Pair("stride", {{1, 1}}),
          .dilation = a.Pair("dilation", {{1, 1}}),
          .padding = a.PaddingOr("padding", Padding::Same()),
          .groups = a.PositiveOr("groups", 1)};
}

/// Resolves the case's convolution, and notes which algorithm it takes.
Conv2dGeometry Resolve(Case& c, Conv2dPass pass, const Conv2dParams& params, const Shape& input, const Shape& filter) {
  const Conv2dGeometry g = ResolveConv2d("Conv2d", params, input, filter);
  const double padded = static_cast<double>(g.IH + g.pad_top + g.pad_bottom) * g.N *
                        static_cast<double>(g.IW + g.pad_left + g.pad_right) * g.IC;
  Check(padded <= kMaxElements, "the input ", input, " would have more than ", kMaxElements,
        " elements with the padding of ", g.pad_top, ", ", g.pad_bottom, ", ", g.pad_left, ", ", g.pad_right);
  c.Note("algorithm", c.algorithm().empty() ? ChooseConv2d(pass, g) : c.algorithm());
  return g;
}

constexpr float kEpsilon = 1e-5f;

/// A BatchNorm's normalisation of the input's channels, if its mean and variance are given, and a ReLU.
class PrologueOf {
 public:
  PrologueOf(const Case& c, int64_t channels)
      : mean_(c.Input("prologue_mean")),
        var_(c.Input("prologue_var")),
        scale_(c.Input("prologue_scale")),
        bias_(c.Input("prologue_bias")),
        relu_(c.attributes().FlagOr("prologue_relu", false)) {
    const float epsilon = c.attributes().FloatOr("prologue_epsilon", kEpsilon);
    const bool given = mean_.size() > 0;
    Check(given == (var_.size() > 0) && (given || scale_.size() + bias_.size() == 0),
          "a prologue needs \"prologue_mean\" and \"prologue_var\"");
    if (!given) return;
    mul_ = Tensor({channels});
    BatchNormMul({.mean = mean_, .var = var_, .scale = scale_, .bias = bias_, .epsilon = epsilon}, mul_);
    if (bias_.size() == 0) bias_ = Tensor({channels}, 0.0f);
  }

  Conv2dPrologue Get() const { return {.mean = mean_, .mul = mul_, .bias = bias_, .relu = relu_}; }

 private:
  Tensor mean_, var_, scale_, bias_, mul_;
  bool relu_;
};

void RunConv2dForward(Case& c) {
  const Conv2dParams params = ConvParams(c);
  const Tensor input = c.Input("input"), filter = c.Input("filter");
  const Tensor scale = c.Input("epilogue_scale"), bias = c.Input("bias"), residual = c.Input("residual");
  const bool statistics = c.attributes().FlagOr("statistics", false);
  const bool relu = c.attributes().FlagOr("relu", false);
  const Conv2dGeometry g = Resolve(c, Conv2dPass::kForward, params, input.shape(), filter.shape());
  const PrologueOf prologue(c, g.IC);
  Conv2dForwardOptions options{.prologue = prologue.Get(),
                               .epilogue = {.scale = scale, .bias = bias, .residual = residual, .relu = relu},
                               .algorithm = c.algorithm()};
  if (statistics) {
    options.epilogue.mean = c.NewOutput("mean", {g.OC});
    options.epilogue.var = c.NewOutput("var", {g.OC});
  }
  Conv2dForward(params, input, filter, c.NewOutput("output", g.output_shape()), c.workspace(), options);
}

void RunConv2dBackwardInput(Case& c) {
  const Conv2dParams params = ConvParams(c);
  const Tensor grad_output = c.Input("grad_output"), filter = c.Input("filter");
  const Shape input_shape = c.attributes().Shape4("input_shape");
  Resolve(c, Conv2dPass::kBackwardInput, params, input_shape, filter.shape());
  Conv2dBackwardInput(params, grad_output, filter, c.NewOutput("grad_input", input_shape), c.workspace(),
                      {.algorithm = c.algorithm()});
}

void RunConv2dBackwardFilter(Case& c) {
  const Conv2dParams params = ConvParams(c);
  const Tensor input = c.Input("input"), grad_output = c.Input("grad_output");
  const Shape filter_shape = c.attributes().Shape4("filter_shape");
  const Conv2dGeometry g = Resolve(c, Conv2dPass::kBackwardFilter, params, input.shape(), filter_shape);
  const PrologueOf prologue(c, g.IC);
  Conv2dBackwardFilter(params, input, grad_output, c.NewOutput("grad_filter", filter_shape), c.workspace(),
                       {.prologue = prologue.Get(), .algorithm = c.algorithm()});
  BiasGradient(grad_output, c.NewOutput("grad_bias", {filter_shape[3]}), c.workspace());
}

Variance VarianceOf(const Case& c) {
  constexpr Variance kValues[] = {Variance::kStable, Variance::kFast, Variance::kTwoPass};
  return kValues[c.attributes().WordOrFirst("variance", {"stable", "fast", "two_pass"})];
}

/// The mask, a byte for each row of `input` [...,C]. It is given without the last axis of the input or with a last
/// extent of 1; any other extent may be 1 too, and then holds for all.
std::vector<uint8_t> RowMask(const Case& c, const Shape& input) {
  if (!c.Has("mask")) return {};
  const Shape& shape = c.InputShape("mask");
  const int leading = input.rank() - 1;
  bool fits = shape.rank() == leading || (shape.rank() == leading + 1 && shape.back() == 1);
  for (int axis = 0; axis < leading && fits; ++axis) fits = shape[axis] == 1 || shape[axis] == input[axis];
  Check(fits, "mask ", shape, " must have the extents of input ", input,
        ", or 1 in their place; its last is 1 or left out");
  const std::vector<uint8_t> given = c.Bytes("mask");
  std::vector<uint8_t> rows(static_cast<size_t>(input.num_elements() / input.back()));
  for (size_t row = 0; row < rows.size(); ++row) {
    auto left = static_cast<int64_t>(row);
    int64_t at = 0;
    int64_t stride = 1;
    for (int axis = leading - 1; axis >= 0; --axis) {
      if (shape[axis] != 1) at += left % input[axis] * stride;
      left /= input[axis];
      stride *= shape[axis];
    }
    rows[row] = given[static_cast<size_t>(at)];
  }
  return rows;
}

void CheckBatchNormInput(const Shape& input) { Check(input.rank() >= 1, "input ", input, " must be [...,C]"); }

void RunBatchNormForward(Case& c) {
  const float epsilon = c.attributes().FloatOr("epsilon", kEpsilon);
  const bool relu = c.attributes().FlagOr("relu", false);
  const Variance variance = VarianceOf(c);
  const Tensor input = c.Input("input"), scale = c.Input("scale"), bias = c.Input("bias");
  const Tensor residual = c.Input("residual");
  CheckBatchNormInput(input.shape());
  const Shape channels = {input.shape().back()};
  const TensorView mean = c.NewOutput("mean", channels), var = c.NewOutput("var", channels);
  BatchNormStatistics(input, variance, mean, var, c.workspace(), RowMask(c, input.shape()));
  BatchNormNormalize(input, {.mean = mean, .var = var, .scale = scale, .bias = bias, .epsilon = epsilon},
                     c.NewOutput("output", input.shape()), {.residual = residual, .relu = relu});
}

void RunBatchNormInference(Case& c) {
  const float epsilon = c.attributes().FloatOr("epsilon", kEpsilon);
  const bool relu = c.attributes().FlagOr("relu", false);
  const Tensor input = c.Input("input"), scale = c.Input("scale"), bias = c.Input("bias");
  const Tensor mean = c.Input("mean"), var = c.Input("var"), residual = c.Input("residual");
  BatchNormNormalize(input, {.mean = mean, .var = var, .scale = scale, .bias = bias, .epsilon = epsilon},
                     c.NewOutput("output", input.shape()), {.residual = residual, .relu = relu});
}

void RunBatchNormBackward(Case& c) {
  const float epsilon = c.attributes().FloatOr("epsilon", kEpsilon);
  const Variance variance = VarianceOf(c);
  const Tensor input = c.Input("input"), scale = c.Input("scale"), grad_output = c.Input("grad_output");
  CheckBatchNormInput(input.shape());
  const Shape channels = {input.shape().back()};
  Tensor mean(channels), var(channels);
  BatchNormStatistics(input, variance, mean, var, c.workspace());
  BatchNormBackward({.input = input,
                     .grad_output = grad_output,
                     .affine = {.mean = mean, .var = var, .scale = scale, .epsilon = epsilon},
                     .zero_variance_factor = variance == Variance::kFast ? 0.5f : 1.0f,
                     .grad_input = c.NewOutput("grad_input", input.shape()),
                     .grad_scale = c.NewOutput("grad_scale", channels),
                     .grad_bias = c.NewOutput("grad_bias", channels)},
                    c.workspace());
}

PoolParams Pool(const Case& c) {
  const Attributes& a = c.attributes();
  return {.window = a.Pair("window"),
          .stride = a.Pair("stride", {{1, 1}}),
          .dilation = a.Pair("dilation", {{1, 1}}),
          .padding = a.PaddingOr("padding", Padding::Valid()),
          .ceil_mode = a.FlagOr("ceil_mode", false),
          .count_include_pad = a.FlagOr("count_include_pad", true)};
}

void RunMaxPoolForward(Case& c) {
  const PoolParams params = Pool(c);
  const Tensor input = c.Input("input");
  MaxPoolForward(params, input, c.NewOutput("output", PoolOutputShape("MaxPoolForward", params, input.shape())));
}

void RunMaxPoolBackward(Case& c) {
  const PoolParams params = Pool(c);
  const Tensor input = c.Input("input"), grad_output = c.Input("grad_output");
  const Shape output_shape = PoolOutputShape("MaxPoolBackward", params, input.shape());
  Check(grad_output.shape() == output_shape, "MaxPoolBackward: grad_output ", grad_output.shape(), " must be ",
        output_shape, "; input ", input.shape());
  Tensor output(output_shape);
  MaxPoolForward(params, input, output);
  MaxPoolBackward(params, input, output, grad_output, c.NewOutput("grad_input", input.shape()));
}

void RunAveragePoolForward(Case& c) {
  const PoolParams params = Pool(c);
  const Tensor input = c.Input("input");
  AveragePoolForward(params, input,
                     c.NewOutput("output", PoolOutputShape("AveragePoolForward", params, input.shape())));
}

void RunAveragePoolBackward(Case& c) {
  AveragePoolBackward(Pool(c), c.Input("grad_output"), c.NewOutput("grad_input", c.InputShape("input")));
}

void RunMatmulForward(Case& c) {
  const Tensor a = c.Input("a"), b = c.Input("b");
  Check(a.shape().rank() == 2 && b.shape().rank() == 2 && a.shape()[1] == b.shape()[0],
        "MatmulForward: shapes must be a [M,K] and b [K,N]; they are ", a.shape(), " and ", b.shape());
  MatmulForward(a, b, {}, c.NewOutput("output", {a.shape()[0], b.shape()[1]}), c.workspace());
}

void RunSoftmaxCrossEntropy(Case& c) {
  const Tensor logits = c.Input("logits");
  const Shape& labels = c.InputShape("labels");
  Check(labels.rank() == 1, "SoftmaxCrossEntropy: labels ", labels, " must be [N]");
  const Tensor class_weights = c.Input("class_weights");
  Check(class_weights.size() == 0 || class_weights.shape().rank() == 1, "SoftmaxCrossEntropy: class_weights ",
        class_weights.shape(), " must be [K]");
  const CrossEntropyOptions options = {.label_smoothing = c.attributes().FloatOr("label_smoothing", 0.0f),
                                       .ignore_index = c.attributes().MaybeInteger("ignore_index"),
                                       .class_weights = class_weights.span()};
  const LossResult result =
      SoftmaxCrossEntropy(logits, c.Integers("labels"), options, c.NewOutput("grad_logits", logits.shape()));
  c.NewOutput("loss", {1})[0] = static_cast<float>(result.loss);
}

constexpr AttributeSpec kStride = {"stride", "[h,w]; [1,1] if not given"};
constexpr AttributeSpec kDilation = {"dilation", "[h,w]; [1,1] if not given"};
constexpr AttributeSpec kConvPadding = {"padding",
                                        R"("SAME", "VALID" or [[top,bottom],[left,right]]; "SAME" if not given)"};
constexpr AttributeSpec kPoolPadding = {
    "padding", R"("SAME", "VALID" or [[top,bottom],[left,right]], negative to crop; "VALID" if not given)"};
constexpr AttributeSpec kCeilMode = {"ceil_mode", "true or false: PyTorch's; false if not given"};
constexpr AttributeSpec kCountIncludePad = {"count_include_pad", "true or false; true if not given"};
constexpr AttributeSpec kGroups = {"groups", "a positive integer; 1 if not given"};
constexpr AttributeSpec kInputShape = {"input_shape", "[N,IH,IW,IC]; required"};
constexpr AttributeSpec kFilterShape = {"filter_shape", "[KH,KW,IC/groups,OC]; required"};
constexpr AttributeSpec kWindow = {"window", "[h,w]; required"};
constexpr AttributeSpec kEpsilonSpec = {"epsilon", "a number from 0 on; 1e-5 if not given"};
constexpr AttributeSpec kVariance = {"variance", R"("stable", "fast" or "two_pass"; "stable" if not given)"};
constexpr AttributeSpec kRelu = {"relu", "true or false; false if not given"};
constexpr AttributeSpec kIgnoreIndex = {"ignore_index", "an integer; none if not given"};
constexpr AttributeSpec kLabelSmoothing = {"label_smoothing", "a number from 0 to below 1; 0 if not given"};

constexpr AttributeSpec kStatistics = {"statistics", "true or false; false if not given. True: mean and var are made"};
constexpr AttributeSpec kPrologueEpsilon = {"prologue_epsilon", kEpsilonSpec.form};
constexpr AttributeSpec kPrologueRelu = {"prologue_relu", kRelu.form};

InputSpec Optional(std::string_view name) { return {.name = name, .optional = true}; }

std::vector<Op> MakeOps() {
  const std::vector<AttributeSpec> max_pool = {kWindow, kStride, kDilation, kPoolPadding, kCeilMode};
  std::vector<AttributeSpec> average_pool = max_pool;
  average_pool.push_back(kCountIncludePad);
  return {
      {.name = "conv2d_forward",
       .inputs = {{"input"},
                  {"filter"},
                  Optional("prologue_mean"),
                  Optional("prologue_var"),
                  Optional("prologue_scale"),
                  Optional("prologue_bias"),
                  Optional("epilogue_scale"),
                  Optional("bias"),
                  Optional("residual")},
       .outputs = {"output", "[mean]", "[var]"},
       .attributes = {kStride, kDilation, kConvPadding, kGroups, kPrologueEpsilon, kPrologueRelu, kRelu, kStatistics},
       .pass = Conv2dPass::kForward,
       .run = RunConv2dForward},
      {.name = "conv2d_backward_input",
       .inputs = {{"grad_output"}, {"filter"}},
       .outputs = {"grad_input"},
       .attributes = {kInputShape, kStride, kDilation, kConvPadding, kGroups},
       .pass = Conv2dPass::kBackwardInput,
       .run = RunConv2dBackwardInput},
      {.name = "conv2d_backward_filter",
       .inputs = {{"input"},
                  {"grad_output"},
                  Optional("prologue_mean"),
                  Optional("prologue_var"),
                  Optional("prologue_scale"),
                  Optional("prologue_bias")},
       .outputs = {"grad_filter", "grad_bias"},
       .attributes = {kFilterShape, kStride, kDilation, kConvPadding, kGroups, kPrologueEpsilon, kPrologueRelu},
       .pass = Conv2dPass::kBackwardFilter,
       .run = RunConv2dBackwardFilter},
      {.name = "batch_norm_forward",
       .inputs = {{"input"},
                  {"scale"},
                  {"bias"},
                  Optional("residual"),
                  {.name = "mask", .dtypes = {"BOOL", "U8"}, .optional = true}},
       .outputs = {"output", "mean", "var"},
       .attributes = {kEpsilonSpec, kVariance, kRelu},
       .pass = {},
       .run = RunBatchNormForward},
      {.name = "batch_norm_inference",
       .inputs = {{"input"}, {"scale"}, {"bias"}, {"mean"}, {"var"}, Optional("residual")},
       .outputs = {"output"},
       .attributes = {kEpsilonSpec, kRelu},
       .pass = {},
       .run = RunBatchNormInference},
      {.name = "batch_norm_backward",
       .inputs = {{"input"}, {"scale"}, {"grad_output"}},
       .outputs = {"grad_input", "grad_scale", "grad_bias"},
       .attributes = {kEpsilonSpec, kVariance},
       .pass = {},
       .run = RunBatchNormBackward},
      {.name = "max_pool_forward",
       .inputs = {{"input"}},
       .outputs = {"output"},
       .attributes = max_pool,
       .pass = {},
       .run = RunMaxPoolForward},
      {.name = "max_pool_backward",
       .inputs = {{"input"}, {"grad_output"}},
       .outputs = {"grad_input"},
       .attributes = max_pool,
       .pass = {},
       .run = RunMaxPoolBackward},
      {.name = "average_pool_forward",
       .inputs = {{"input"}},
       .outputs = {"output"},
       .attributes = average_pool,
       .pass = {},
       .run = RunAveragePoolForward},
      {.name = "average_pool_backward",
       .inputs = {{"input"}, {"grad_output"}},
       .outputs = {"grad_input"},
       .attributes = average_pool,
       .pass = {},
       .run = RunAveragePoolBackward},
      {.name = "matmul_forward",
       .inputs = {{"a"}, {"b"}},
       .outputs = {"output"},
       .attributes = {},
       .pass = {},
       .run = RunMatmulForward},
      {.name = "softmax_cross_entropy",
       .inputs = {{"logits"}, {.name = "labels", .dtypes = {"I32"}}, Optional("class_weights")},
       .outputs = {"loss", "grad_logits"},
       .attributes = {kIgnoreIndex, kLabelSmoothing},
       .pass = {},
       .run = RunSoftmaxCrossEntropy},
  };
}

}  // namespace

const std::vector<Op>& Ops() {
  static const std::vector<Op> ops = MakeOps();
  return ops;
}

const Op& FindOp(std::string_view name) {
  std::string names;
  for (const Op& op : Ops()) {
    if (op.name == name) return op;
    names += StrCat(names.empty() ? "" : ", ", op.name);
  }
  throw std::invalid_argument(StrCat("no op \"", name, "\"; there are ", names));
}

}  // namespace hwynn::apps
