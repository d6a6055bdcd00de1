#include "hwynn/layers/conv.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/core/split.h"
#include "hwynn/kernels/conv2d_plan.h"
#include "hwynn/module/packed_filters.h"

namespace hwynn {
namespace {

Conv2dParams KernelParams(const ConvOptions& options) {
  return {.stride = options.stride,
          .dilation = options.dilation,
          .padding = options.padding,
          .groups = options.groups,
          .precision = options.precision};
}

Conv2dParams KernelParams(const ConvOptions& options, const Scope& scope) {
  Conv2dParams params = KernelParams(options);
  params.batch_invariant = scope.batch_invariant();
  return params;
}

// The prologue of a convolution that computes its own input, a BatchNorm's output; else an empty one.
Conv2dPrologue PrologueOf(const Activation& input) {
  return input.has_values() ? Conv2dPrologue() : input.normalized()->Prologue();
}

// What the kernel reads.
ConstTensorView Source(const Activation& input) { return input.has_values() ? *input : *input.normalized()->base; }

// For the gradient of a BatchNorm's output: its mask, and the sums that the BatchNorm will ask for.
Conv2dGradientEpilogue GradientEpilogue(const Activation& input, BatchNormSums& sums) {
  const Normalized& normalized = *input.normalized();
  return {.input = normalized.folded ? *input : *normalized.base,
          .output = normalized.added || normalized.folded ? input->view() : ConstTensorView(),
          .mean = normalized.norm->mean(),
          .mul = normalized.norm->mul(),
          .bias = normalized.norm->bias(),
          .relu = normalized.relu,
          .upper = normalized.upper,
          .sums = &sums};
}

// The params' gradients where a BatchNorm was folded into the convolution, from the kernel's of grad_output as it came.
// `bias` may be empty.
void FinishFolded(const FoldedNorm& folded, ConstTensorView kernel, ConstTensorView bias, TensorView grad_kernel) {
  const int64_t channels = kernel.shape().back();
  const int64_t rows = kernel.size() / channels;
  const BatchNormAffine& affine = folded.norm->affine();
  const ConstTensorView mul = folded.norm->mul();
  constexpr int64_t kColumns = 64;
  ParallelFor(CeilDiv(channels, kColumns), [&](int64_t task) {
    const int64_t begin = task * kColumns;
    const int64_t end = std::min(channels, begin + kColumns);
    double dot[kColumns] = {};  // Σ g·conv(x)
    for (int64_t row = 0; row < rows; ++row) {
      const float* w = kernel.data() + row * channels;
      float* grad = grad_kernel.data() + row * channels;
      for (int64_t c = begin; c < end; ++c) {
        dot[c - begin] += static_cast<double>(w[c]) * static_cast<double>(grad[c]);
        grad[c] *= mul[c];
      }
    }
    if (folded.grad_scale.size() == 0) return;
    for (int64_t c = begin; c < end; ++c) {
      const double mean = affine.mean[c] - (bias.size() != 0 ? bias[c] : 0.0f);
      const double centered = dot[c - begin] - mean * folded.sum[static_cast<size_t>(c)];
      const double var = affine.var[c];
      folded.grad_scale[c] = static_cast<float>(centered / std::sqrt(var + static_cast<double>(affine.epsilon)));
    }
  });
}

// The filter of conv(x)·mul.
Tensor Scaled(ConstTensorView kernel, ConstTensorView mul, const Workspace& workspace) {
  Tensor scaled = workspace.NewTensor(kernel.shape());
  const int64_t channels = mul.size();
  ParallelFor(kernel.size() / channels, [&](int64_t row) {
    for (int64_t c = 0; c < channels; ++c) scaled[row * channels + c] = kernel[row * channels + c] * mul[c];
  });
  return scaled;
}

// [N,…]
Tensor Copy(ConstTensorView values, const Workspace& workspace) {
  Tensor copy = workspace.NewTensor(values.shape());
  ParallelFor(values.shape()[0], [&](int64_t image) {
    std::ranges::copy(values.Rows(image, 1).span(), copy.view().Rows(image, 1).data());
  });
  return copy;
}

// A call that waits for its epilogue.
class ConvCall final : public PendingConvolution {
 public:
  ConvCall(const Scope& scope, Conv2dPlan plan, Activation input, ConstTensorView kernel)
      : scope_(scope), plan_(std::move(plan)), input_(std::move(input)), kernel_(kernel) {}

  void SetBias(ConstTensorView bias) { bias_ = bias; }
  void SetPacked(std::shared_ptr<const PackedConv2dFilter> packed) { packed_ = std::move(packed); }

  const Shape& output_shape() const override { return output_shape_; }
  Tensor Run(const Conv2dEpilogue& epilogue) override;

 private:
  Scope scope_;
  Conv2dPlan plan_;
  Shape output_shape_ = plan_.geometry().output_shape();
  Activation input_;
  ConstTensorView kernel_, bias_;
  std::shared_ptr<const PackedConv2dFilter> packed_;  // null: the kernel as it is
};

Tensor ConvCall::Run(const Conv2dEpilogue& epilogue) {
  Conv2dForwardOptions call{.prologue = PrologueOf(input_), .epilogue = epilogue};
  // (y + bias − center)·scale, with the bias in the center's place.
  Tensor center;
  if (bias_.size() != 0) {
    if (epilogue.center.size() == 0) {
      call.epilogue.bias = bias_;
    } else {
      center = scope_.NewTensor(bias_.shape());
      for (int64_t c = 0; c < center.size(); ++c) center[c] = epilogue.center[c] - bias_[c];
      call.epilogue.center = center;
    }
  }
  Tensor output = scope_.NewTensor(output_shape_);
  const WorkTimer timer =
      scope_.Observe("forward", WorkKind::kConvolution, {Source(input_), kernel_, epilogue.residual, output});
  if (packed_ != nullptr) {
    plan_.RunForward(Source(input_), *packed_, output, scope_.workspace(), call);
  } else {
    plan_.RunForward(Source(input_), kernel_, output, scope_.workspace(), call);
  }
  return output;
}

}  // namespace

Conv::Conv(ConvOptions options) : options_(std::move(options)) {
  Check(options_.features > 0, "Conv: features (", options_.features, ") must be positive");
  Check(options_.groups > 0, "Conv: groups (", options_.groups, ") must be positive");
}

Shape Conv::Init(InitScope scope, const Shape& input) const {
  Check(input.rank() == 4, "Conv: input ", input, " must be [N,H,W,C]");
  const auto [height, width] = options_.kernel_size;
  const Shape kernel{height, width, input.back() / options_.groups, options_.features};
  const Shape output = ResolveConv2d("Conv", KernelParams(options_), input, kernel).output_shape();
  scope.Param("kernel", kernel, options_.kernel_init);
  if (options_.use_bias) scope.Param("bias", {options_.features}, options_.bias_init);
  return output;
}

Activation Conv::ForwardFused(const Scope& scope, Activation input) const {
  const bool in_prologue = !input.has_values() && input.normalized() != nullptr && input.normalized()->IsPrologue();
  if (!in_prologue) input.Value();
  const ConstTensorView kernel = scope.Param("kernel");
  PackedFilters* filters = scope.train() ? nullptr : scope.packed_filters();
  Conv2dPlan plan =
      Conv2dPlan::Forward(KernelParams(options_, scope), input.shape(), kernel.shape(),
                          {.packed_filter = filters != nullptr, .prologue = in_prologue, .statistics = true});
  scope.Save(this, input);
  auto packed = filters != nullptr ? filters->Get(scope.path(), plan, kernel) : nullptr;
  auto call = std::make_unique<ConvCall>(scope, std::move(plan), std::move(input), kernel);
  if (options_.use_bias) call->SetBias(scope.Param("bias"));
  call->SetPacked(std::move(packed));
  return Activation(std::move(call));
}

GraphValue Conv::AppendTo(Graph& graph, const Scope& scope, GraphValue input) const {
  const ConstTensorView bias = options_.use_bias ? scope.Param("bias") : ConstTensorView();
  return graph.Append(scope, Conv2dOp{.params = KernelParams(options_), .filter = scope.Param("kernel"), .bias = bias},
                      {input});
}

ActivationGradient Conv::BackwardFused(const Scope& scope, ActivationGradient grad_output, Tensor grad_input) const {
  Check(options_.input_gradient || grad_input.empty(), "Conv in \"/", scope.path(), "\": made without input_gradient");
  Activation input = scope.Saved(this);
  const Shape shape = input.shape();
  const Tensor& gradient = grad_output.values;
  {
    const TensorView grad_kernel = scope.Gradient("kernel");
    const WorkTimer timer =
        scope.Observe("backward filter", WorkKind::kConvolution, {Source(input), gradient, grad_kernel});
    Conv2dBackwardFilter(KernelParams(options_), Source(input), gradient, grad_kernel, scope.workspace(),
                         {.prologue = PrologueOf(input)});
  }
  ConstTensorView kernel = scope.Param("kernel");
  Tensor scaled;
  if (const auto& folded = grad_output.folded) {
    const ConstTensorView bias = options_.use_bias ? scope.Param("bias") : ConstTensorView();
    FinishFolded(*folded, kernel, bias, scope.Gradient("kernel"));
    const TensorView grad_bias = options_.use_bias ? scope.Gradient("bias") : TensorView();
    for (int64_t c = 0; c < grad_bias.size(); ++c) {
      grad_bias[c] = static_cast<float>(folded->norm->mul()[c] * folded->sum[static_cast<size_t>(c)]);
    }
    if (options_.input_gradient) {
      scaled = Scaled(kernel, folded->norm->mul(), scope.workspace());
      kernel = scaled;
    }
  } else if (options_.use_bias) {
    const WorkTimer timer = scope.Observe("backward bias", WorkKind::kPass, {gradient});
    BiasGradient(gradient, scope.Gradient("bias"), scope.workspace());
  }
  if (!options_.input_gradient) return {};
  // A block's gradient goes both ways as one array where no norm stands between: its main path's only convolution is to
  // add to what it reads.
  if (Overlap(gradient, grad_input)) grad_input = Copy(grad_input, scope.workspace());
  ActivationGradient result;
  Conv2dBackwardInputOptions call{.accumulate = !grad_input.empty()};
  if (input.normalized() != nullptr) {
    result.sums.emplace();
    call.epilogue = GradientEpilogue(input, *result.sums);
  } else {
    input.reset();  // its memory may serve for the gradient
  }
  result.values = grad_input.empty() ? scope.NewTensor(shape) : std::move(grad_input);
  const WorkTimer timer = scope.Observe("backward input", WorkKind::kConvolution,
                                        {gradient, kernel, result.values, call.epilogue.input, call.epilogue.output});
  Conv2dBackwardInput(KernelParams(options_, scope), gradient, kernel, result.values, scope.workspace(), call);
  return result;
}

}  // namespace hwynn
