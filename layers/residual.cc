#include "hwynn/layers/residual.h"

#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/pool.h"

namespace hwynn {
namespace {

Conv SquareConv(int64_t features, int64_t size, int64_t stride, const ResidualBlockOptions& options,
                int64_t groups = 1) {
  return Conv({.features = features,
               .kernel_size = {size, size},
               .stride = {stride, stride},
               .padding = WindowPadding(options.padding, size),
               .groups = groups,
               .precision = options.precision,
               .use_bias = false});
}

BatchNormOptions WithRelu(BatchNormOptions norm, bool relu = true) {
  norm.relu = relu;
  return norm;
}

// Scale 0: at first a block is the identity, or its projection.
BatchNormOptions LastNorm(BatchNormOptions norm) {
  norm.scale_init = initializers::Zeros();
  return WithRelu(std::move(norm));
}

Sequential BasicPath(const ResidualBlockOptions& options) {
  Sequential path;
  path.Add(SquareConv(options.filters, 3, options.stride, options)).Add(BatchNorm(WithRelu(options.norm)));
  path.Add(SquareConv(options.filters, 3, 1, options));
  return path;
}

Sequential BottleneckPath(const ResidualBlockOptions& options) {
  const int64_t width = options.width > 0 ? options.width : options.filters;
  Sequential path;
  path.Add(SquareConv(width, 1, 1, options)).Add(BatchNorm(WithRelu(options.norm)));
  path.Add(SquareConv(width, 3, options.stride, options, options.groups)).Add(BatchNorm(WithRelu(options.norm)));
  path.Add(SquareConv(4 * options.filters, 1, 1, options));
  return path;
}

}  // namespace

ResidualBlock::ResidualBlock(const ResidualBlockOptions& options, Sequential main, std::string last_norm_name,
                             int64_t output_channels)
    : main_(std::move(main)),
      last_norm_name_(std::move(last_norm_name)),
      last_norm_(LastNorm(options.norm)),
      stride_(options.stride),
      output_channels_(output_channels) {
  const bool pools = options.average_projection && options.stride > 1;
  if (pools) {
    projection_.Add("pool_proj", AveragePool({.window = {options.stride, options.stride},
                                              .stride = {options.stride, options.stride},
                                              .ceil_mode = true,
                                              .count_include_pad = false}));
  }
  projection_.Add("conv_proj", SquareConv(output_channels, 1, pools ? 1 : options.stride, options))
      .Add("norm_proj", BatchNorm(WithRelu(options.norm, false)));
}

Shape ResidualBlock::Init(InitScope scope, const Shape& input) const {
  const Shape output = last_norm_.Init(scope.Child(last_norm_name_), main_.Init(scope, input));
  if (Projects(input)) projection_.Init(scope, input);
  return output;
}

// Both padding rules make ⌈extent/stride⌉ pixels of an extent, in both paths.
bool ResidualBlock::Projects(const Shape& input) const {
  Check(input.rank() == 4, TypeName(), ": input ", input, " must be [N,H,W,C]");
  return input.back() != output_channels_ || (stride_ > 1 && (input[1] > 1 || input[2] > 1));
}

Activation ResidualBlock::ForwardFused(const Scope& scope, Activation input) const {
  const Shape input_shape = input.shape();
  // Backward goes the other way round: the main path's gradient comes last, and brings the sums of both for a BatchNorm
  // before this block.
  Activation shortcut = input.Plain();
  Activation main = ChildForward(main_, scope, std::move(input));
  if (Projects(input_shape)) shortcut = ChildForward(projection_, scope, std::move(shortcut));
  Activation output = last_norm_.ForwardAdd(scope.Child(last_norm_name_), std::move(main), std::move(shortcut));
  scope.SaveShape(this, input_shape);
  return output;
}

GraphValue ResidualBlock::AppendTo(Graph& graph, const Scope& scope, GraphValue input) const {
  const Scope norm_scope = scope.Child(last_norm_name_);
  if (!last_norm_.IsConstant(norm_scope)) return Module::AppendTo(graph, scope, input);
  const GraphValue main = main_.AppendTo(graph, scope, input);
  // There is a projection where the input's shape isn't the output's; where Init found that, it has variables.
  const bool projects = scope.Child("conv_proj").HasVariable(kParams, "kernel");
  const GraphValue shortcut = projects ? projection_.AppendTo(graph, scope, input) : input;
  return last_norm_.AppendAddTo(graph, norm_scope, main, shortcut);
}

ActivationGradient ResidualBlock::BackwardFused(const Scope& scope, ActivationGradient grad_output,
                                                Tensor grad_input) const {
  const bool projects = Projects(scope.Saved(this).shape());
  auto [grad_main, grad_shortcut] = last_norm_.BackwardAdd(scope.Child(last_norm_name_), std::move(grad_output));
  if (projects) {
    grad_shortcut = ChildBackward(projection_, scope, {std::move(grad_shortcut)}, std::move(grad_input)).values;
  } else {
    grad_shortcut = Accumulated(std::move(grad_shortcut), std::move(grad_input));
  }
  return ChildBackward(main_, scope, std::move(grad_main), std::move(grad_shortcut));
}

ResNetBlock::ResNetBlock(const ResidualBlockOptions& options)
    : ResidualBlock(options, BasicPath(options), "BatchNorm_1", options.filters) {
  Check(options.groups == 1 && options.width == 0, "ResNetBlock: groups and width are a bottleneck's");
}

BottleneckResNetBlock::BottleneckResNetBlock(const ResidualBlockOptions& options)
    : ResidualBlock(options, BottleneckPath(options), "BatchNorm_2", 4 * options.filters) {}

}  // namespace hwynn
