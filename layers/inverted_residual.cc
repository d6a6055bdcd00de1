#include "hwynn/layers/inverted_residual.h"

#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/layers/conv.h"

namespace hwynn {
namespace {

BatchNormOptions WithRelu6(BatchNormOptions norm, bool relu6) {
  norm.relu = relu6;
  norm.upper = 6.0f;
  return norm;
}

Sequential MainPath(int64_t input_channels, const InvertedResidualOptions& options) {
  const BatchNormOptions norm = WithRelu6(options.norm, true);
  const int64_t inner = input_channels * options.expansion;
  const auto pointwise = [&](int64_t features) {
    return Conv({.features = features, .kernel_size = {1, 1}, .precision = options.precision, .use_bias = false});
  };
  Sequential path;
  if (options.expansion != 1) path.Add(pointwise(inner)).Add(BatchNorm(norm));
  path.Add(Conv({.features = inner,
                 .stride = {options.stride, options.stride},
                 .padding = WindowPadding(options.padding, 3),
                 .groups = inner,
                 .precision = options.precision,
                 .use_bias = false}))
      .Add(BatchNorm(norm));
  path.Add(pointwise(options.channels));
  return path;
}

}  // namespace

InvertedResidual::InvertedResidual(int64_t input_channels, const InvertedResidualOptions& options)
    : last_norm_name_(options.expansion != 1 ? "BatchNorm_2" : "BatchNorm_1"),
      last_norm_(WithRelu6(options.norm, false)),
      input_channels_(input_channels),
      adds_(options.stride == 1 && input_channels == options.channels) {
  Check(input_channels > 0 && options.channels > 0 && options.expansion > 0, "InvertedResidual: input channels (",
        input_channels, "), channels (", options.channels, ") and expansion (", options.expansion,
        ") must be positive");
  main_ = MainPath(input_channels, options);
}

Shape InvertedResidual::Init(InitScope scope, const Shape& input) const {
  Check(input.rank() == 4 && input.back() == input_channels_, "InvertedResidual: input ", input, " must be [N,H,W,",
        input_channels_, "]");
  return last_norm_.Init(scope.Child(last_norm_name_), main_.Init(scope, input));
}

Activation InvertedResidual::ForwardFused(const Scope& scope, Activation input) const {
  const Scope norm_scope = scope.Child(last_norm_name_);
  if (!adds_) return ChildForward(last_norm_, norm_scope, ChildForward(main_, scope, std::move(input)));
  Activation shortcut = input.Plain();
  Activation main = ChildForward(main_, scope, std::move(input));
  return last_norm_.ForwardAdd(norm_scope, std::move(main), std::move(shortcut));
}

GraphValue InvertedResidual::AppendTo(Graph& graph, const Scope& scope, GraphValue input) const {
  const Scope norm_scope = scope.Child(last_norm_name_);
  if (!last_norm_.IsConstant(norm_scope)) return Module::AppendTo(graph, scope, input);
  const GraphValue main = main_.AppendTo(graph, scope, input);
  return adds_ ? last_norm_.AppendAddTo(graph, norm_scope, main, input) : last_norm_.AppendTo(graph, norm_scope, main);
}

ActivationGradient InvertedResidual::BackwardFused(const Scope& scope, ActivationGradient grad_output,
                                                   Tensor grad_input) const {
  const Scope norm_scope = scope.Child(last_norm_name_);
  if (!adds_) {
    ActivationGradient grad_main = ChildBackward(last_norm_, norm_scope, std::move(grad_output));
    return ChildBackward(main_, scope, std::move(grad_main), std::move(grad_input));
  }
  // The main path's gradient comes last, and brings the sums of both for a BatchNorm before this block.
  auto [grad_main, grad_shortcut] = last_norm_.BackwardAdd(norm_scope, std::move(grad_output));
  grad_shortcut = Accumulated(std::move(grad_shortcut), std::move(grad_input));
  return ChildBackward(main_, scope, std::move(grad_main), std::move(grad_shortcut));
}

}  // namespace hwynn
