#include "hwynn/layers/batch_norm.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"

namespace hwynn {
namespace {

void CheckInput(const Scope& scope, const Shape& input) {
  Check(input.rank() >= 2 && input.num_elements() > 0, "BatchNorm in \"/", scope.path(), "\": input ", input,
        " must be [N,…,C] without a 0");
}

// The place of the channels' axis in `input`.
int ChannelAxis(const BatchNormOptions& options, const Shape& input) {
  const int axis = options.axis < 0 ? options.axis + input.rank() : options.axis;
  Check(axis >= 0 && axis < input.rank(), "BatchNorm: an input ", input, " has no axis ", options.axis);
  return axis;
}

// `values` with axis `from` in the place `to`, the others in their order. One of the two places is the last.
Tensor MoveAxis(const Scope& scope, ConstTensorView values, int from, int to) {
  std::vector<int64_t> extents(values.shape().extents().begin(), values.shape().extents().end());
  const int64_t moved = extents[from];
  extents.erase(extents.begin() + from);
  extents.insert(extents.begin() + to, moved);
  Tensor result = scope.NewTensor(Shape(extents));
  // The axes behind the smaller place, but the one that moves, are one axis: each matrix is transposed.
  int64_t others = 1;
  for (int axis = std::min(from, to); axis < values.shape().rank(); ++axis) others *= extents[axis];
  others /= moved;
  const int64_t rows = from < to ? moved : others;
  const int64_t columns = from < to ? others : moved;
  ParallelFor(values.size() / (rows * columns), [&](int64_t matrix) {
    const float* source = values.data() + matrix * rows * columns;
    float* target = result.data() + matrix * rows * columns;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) target[c * rows + r] = source[r * columns + c];
    }
  });
  return result;
}

}  // namespace

BatchNorm::BatchNorm(BatchNormOptions options) : options_(std::move(options)) {
  const double momentum = options_.momentum.value_or(0.0);
  Check(momentum >= 0 && momentum <= 1, "BatchNorm: momentum (", momentum, ") must be in 0 … 1");
  Check(options_.epsilon >= 0, "BatchNorm: epsilon (", options_.epsilon, ") must not be negative");
  Check(options_.upper >= 0, "BatchNorm: upper (", options_.upper, ") must be 0 or more");
  Check(options_.ghost_batch_size >= 0, "BatchNorm: the ghost batch size (", options_.ghost_batch_size,
        ") must not be negative");
}

Shape BatchNorm::Init(InitScope scope, const Shape& input) const {
  Check(input.rank() >= 2 && input.num_elements() > 0, "BatchNorm: input ", input, " must be [N,…,C] without a 0");
  const Shape channels{input[ChannelAxis(options_, input)]};
  if (options_.use_scale) scope.Param("scale", channels, options_.scale_init);
  if (options_.use_bias) scope.Param("bias", channels, options_.bias_init);
  scope.Variable(kBatchStats, "mean", channels, 0.0f);
  scope.Variable(kBatchStats, "var", channels, 1.0f);
  if (!options_.momentum) scope.Variable(kBatchStats, "count", Shape{1}, 0.0f);
  return input;
}

// What a backward pass works on.
struct BatchNorm::BackwardCall {
  const ActivationGradient& grad_output;
  TensorView grad_input;     // may be grad_output's memory
  TensorView grad_residual;  // grad_output's memory, where a residual was added
  const BatchNormCall& call;
};

Activation BatchNorm::ForwardFused(const Scope& scope, Activation input) const {
  CheckInput(scope, input.shape());
  if (ChannelAxis(options_, input.shape()) != input.shape().rank() - 1) return Forward(scope, std::move(input), {});
  if (GhostBatchSize(scope, {}, input.shape()) != 0) {
    Activation output = NormalizeGhosts(scope, input, {}, {});
    scope.Save(this, nullptr);
    return output;
  }
  Normalized normalized = Normalize(scope, std::move(input), {});
  SetRelu(normalized);
  const bool output_is_mask = normalized.folded && options_.relu;
  Activation output(std::move(normalized));
  scope.Save(this, output_is_mask ? output : nullptr);
  return output;
}

ActivationGradient BatchNorm::BackwardFused(const Scope& scope, ActivationGradient grad_output,
                                            Tensor grad_input) const {
  if (ChannelAxis(options_, grad_output.values.shape()) != grad_output.values.shape().rank() - 1) {
    return {.values = Accumulated(Backward(scope, std::move(grad_output.values), {}), std::move(grad_input))};
  }
  const Kept kept = TakeKept(scope, this);
  if (kept.input == nullptr) {
    HWYNN_DCHECK(grad_input.empty());  // paths that part read numbers
    FoldedNorm folded = Fold(scope, kept, grad_output);
    return {.values = std::move(grad_output.values), .folded = std::move(folded)};
  }
  Differentiate(scope, kept, {grad_output, grad_output.values, {}, {}});
  return {.values = Accumulated(std::move(grad_output.values), std::move(grad_input))};
}

Activation BatchNorm::Forward(const Scope& scope, Activation input, const BatchNormCall& call) const {
  CheckInput(scope, input.shape());
  const int last = input.shape().rank() - 1;
  const int axis = ChannelAxis(options_, input.shape());
  // Plain: who calls this pair has no convolution that Backward could be folded into.
  Activation channels_last = axis == last ? input.Plain() : MakeActivation(MoveAxis(scope, *input, axis, last));
  input.reset();
  Activation output;
  if (GhostBatchSize(scope, call, channels_last.shape()) != 0) {
    output = NormalizeGhosts(scope, channels_last, call, {});
  } else {
    Normalized normalized = Normalize(scope, std::move(channels_last), call);
    SetRelu(normalized);
    output = Activation(std::move(normalized)).Plain();
  }
  scope.Save(this, nullptr);
  return axis == last ? output : MakeActivation(MoveAxis(scope, *output, last, axis));
}

Tensor BatchNorm::Backward(const Scope& scope, Tensor grad_output, const BatchNormCall& call) const {
  const int last = grad_output.shape().rank() - 1;
  const int axis = ChannelAxis(options_, grad_output.shape());
  ActivationGradient gradient{axis == last ? std::move(grad_output) : MoveAxis(scope, grad_output, axis, last)};
  Differentiate(scope, TakeKept(scope, this), {gradient, gradient.values, {}, call});
  return axis == last ? std::move(gradient.values) : MoveAxis(scope, gradient.values, last, axis);
}

Activation BatchNorm::ForwardAdd(const Scope& scope, Activation input, Activation residual) const {
  CheckInput(scope, input.shape());
  Check(ChannelAxis(options_, input.shape()) == input.shape().rank() - 1,
        "BatchNorm: ForwardAdd has the channels on the last axis only");
  if (GhostBatchSize(scope, {}, input.shape()) != 0) {
    Activation output = NormalizeGhosts(scope, input, {}, *residual);
    scope.Save(this, options_.relu ? output : nullptr);
    return output;
  }
  Normalized sum = Normalize(scope, std::move(input), {});
  sum.addend = std::move(residual);
  SetRelu(sum);
  const Activation output(std::move(sum));
  output.Value();
  scope.Save(this, options_.relu ? output : nullptr);
  // How it was made is for Backward, and holds memory.
  return scope.fusion() && scope.has_tape() ? output : output.Plain();
}

BatchNorm::AddGradients BatchNorm::BackwardAdd(const Scope& scope, ActivationGradient grad_output) const {
  const Kept kept = TakeKept(scope, this);
  if (kept.input == nullptr) {
    FoldedNorm folded = Fold(scope, kept, grad_output);
    auto [main, residual] = Share(std::move(grad_output.values));
    return {{.values = std::move(main), .folded = std::move(folded)}, std::move(residual)};
  }
  Tensor grad_input = scope.NewTensor(grad_output.values.shape());
  Differentiate(scope, kept, {grad_output, grad_input, /*grad_residual=*/grad_output.values, {}});
  return {{.values = std::move(grad_input)}, std::move(grad_output.values)};
}

GraphValue BatchNorm::AppendTo(Graph& graph, const Scope& scope, GraphValue input) const {
  if (!IsConstant(scope)) return Module::AppendTo(graph, scope, input);
  const GraphValue output = graph.Append(scope, ConstantOp(scope), {input});
  return options_.relu ? graph.Append(scope, ReluOp{.upper = options_.upper}, {output}) : output;
}

GraphValue BatchNorm::AppendAddTo(Graph& graph, const Scope& scope, GraphValue input, GraphValue residual) const {
  Check(IsConstant(scope), "BatchNorm in \"/", scope.path(), "\": AppendAddTo of one that isn't constant");
  const GraphValue normalized = graph.Append(scope, ConstantOp(scope), {input});
  const GraphValue output = graph.Append(scope, AddOp{}, {normalized, residual});
  return options_.relu ? graph.Append(scope, ReluOp{.upper = options_.upper}, {output}) : output;
}

// An axis from the front is the last one for some ranks only.
bool BatchNorm::IsConstant(const Scope& scope) const { return options_.axis == -1 && UsesRunningAverage(scope, {}); }

BatchNormOp BatchNorm::ConstantOp(const Scope& scope) const {
  return {Affine(scope, scope.Variable(kBatchStats, "mean"), scope.Variable(kBatchStats, "var"))};
}

bool BatchNorm::UsesRunningAverage(const Scope& scope, const BatchNormCall& call) const {
  if (options_.use_running_average && call.use_running_average) scope.CheckGivenTwice("use_running_average");
  if (call.use_running_average) return *call.use_running_average;
  return options_.use_running_average.value_or(!scope.train() || scope.statistics() == BatchStatistics::kFrozen);
}

BatchNormAffine BatchNorm::Affine(const Scope& scope, ConstTensorView mean, ConstTensorView var) const {
  BatchNormAffine affine{.mean = mean, .var = var, .epsilon = options_.epsilon};
  if (options_.use_scale) affine.scale = scope.Param("scale");
  if (options_.use_bias) affine.bias = scope.Param("bias");
  return affine;
}

BatchNorm::Running BatchNorm::RunningStatistics(const Scope& scope) const {
  if (scope.averages() || scope.statistics() == BatchStatistics::kKeep) return {};
  return {.mean = scope.MutableVariable(kBatchStats, "mean"),
          .var = scope.MutableVariable(kBatchStats, "var"),
          .count = options_.momentum ? TensorView() : scope.MutableVariable(kBatchStats, "count")};
}

void BatchNorm::Update(const Scope& scope, const Running& running, int64_t images, const Tensor& mean,
                       const Tensor& var) const {
  if (scope.averages()) scope.averages()->Add(scope.path(), static_cast<double>(images), mean, var);
  if (running.mean.size() == 0) return;
  if (running.count.size() != 0) running.count[0] += 1.0f;  // up to 2^24: an average over so many steps stands still
  const double momentum = options_.momentum ? *options_.momentum : 1.0 - 1.0 / static_cast<double>(running.count[0]);
  BatchNormUpdateRunning(momentum, mean, var, running.mean, running.var);
}

Normalized BatchNorm::Normalize(const Scope& scope, Activation input, const BatchNormCall& call) const {
  Activation mean;
  Activation var;
  bool folded = false;
  if (UsesRunningAverage(scope, call)) {
    mean = BorrowActivation(scope.Variable(kBatchStats, "mean"));
    var = BorrowActivation(scope.Variable(kBatchStats, "var"));
    folded = scope.has_tape() && scope.fusion() && input.is_convolution();
    if (scope.has_tape() && !folded) input.Value();  // Backward needs it
  } else {
    const Running running = RunningStatistics(scope);
    const Shape channels{input.shape().back()};
    Tensor batch_mean = scope.NewTensor(channels);
    Tensor batch_var = scope.NewTensor(channels);
    if (input.is_convolution() && options_.variance == Variance::kStable && call.mask.empty()) {
      input = MakeActivation(RunConvolution(input, {.mean = batch_mean, .var = batch_var}));
    } else {
      const WorkTimer timer = scope.Observe("statistics", WorkKind::kPass, {*input});
      BatchNormStatistics(*input, options_.variance, batch_mean, batch_var, scope.workspace(), call.mask);
    }
    Update(scope, running, input.shape()[0], batch_mean, batch_var);
    mean = MakeActivation(std::move(batch_mean));
    var = MakeActivation(std::move(batch_var));
  }
  scope.Save(this, folded ? nullptr : input);
  scope.Save(this, mean);
  scope.Save(this, var);
  const BatchNormAffine affine = Affine(scope, *mean, *var);
  return {.base = std::move(input),
          .norm = std::make_shared<const ChannelNorm>(std::move(mean), std::move(var), affine, scope.workspace()),
          .folded = folded,
          .scope = scope};
}

void BatchNorm::SetRelu(Normalized& normalized) const {
  normalized.relu = options_.relu;
  normalized.upper = options_.upper;
}

BatchNorm::Kept BatchNorm::TakeKept(const Scope& scope, const Module* owner) {
  Kept kept;
  for (Activation* entry : {&kept.output, &kept.var, &kept.mean, &kept.input}) *entry = scope.Saved(owner);
  return kept;
}

FoldedNorm BatchNorm::Fold(const Scope& scope, const Kept& kept, ActivationGradient& grad_output) const {
  const BatchNormAffine affine = Affine(scope, *kept.mean, *kept.var);
  Tensor& gradient = grad_output.values;
  if (!grad_output.sums) {
    BatchNormBackwardArgs args{.input = gradient, .grad_output = gradient, .affine = affine};
    if (kept.output != nullptr) {  // of the ReLU
      args.input = args.output = *kept.output;
      args.relu = true;
      args.upper = options_.upper;
      args.grad_residual = gradient;
    }
    const WorkTimer timer = scope.Observe("backward sums", WorkKind::kPass, {args.input, gradient, args.grad_residual});
    grad_output.sums = BatchNormBackwardSums(args, scope.workspace());
  }
  FoldedNorm folded{.norm = std::make_shared<const ChannelNorm>(kept.mean, kept.var, affine, scope.workspace()),
                    .sum = std::move(grad_output.sums->grad)};
  grad_output.sums.reset();
  if (options_.use_scale) folded.grad_scale = scope.Gradient("scale");
  if (options_.use_bias) {
    const TensorView grad_bias = scope.Gradient("bias");
    for (int64_t c = 0; c < grad_bias.size(); ++c)
      grad_bias[c] = static_cast<float>(folded.sum[static_cast<size_t>(c)]);
  }
  return folded;
}

void BatchNorm::Differentiate(const Scope& scope, const Kept& kept, const BackwardCall& backward) const {
  const int64_t ghost_images = GhostBatchSize(scope, backward.call, kept.input.shape());
  BatchNormBackwardArgs args{.input = *kept.input,
                             .grad_output = backward.grad_output.values,
                             .affine = Affine(scope, *kept.mean, *kept.var),
                             .frozen_statistics = UsesRunningAverage(scope, backward.call),
                             // The derivative of the clamp max(0, ·), which the fast form has alone, at 0.
                             .zero_variance_factor = options_.variance == Variance::kFast ? 0.5f : 1.0f,
                             .mask = backward.call.mask,
                             .grad_input = backward.grad_input};
  if (options_.use_scale) args.grad_scale = scope.Gradient("scale");
  if (options_.use_bias) args.grad_bias = scope.Gradient("bias");
  if (backward.grad_output.sums) {  // of a gradient that has come back through the ReLU already
    const WorkTimer timer = scope.Observe("backward", WorkKind::kPass, {args.input, args.grad_output, args.grad_input});
    BatchNormBackwardParams(args, *backward.grad_output.sums);
    BatchNormBackwardInput(args, *backward.grad_output.sums);
    return;
  }
  args.relu = options_.relu;
  args.upper = options_.upper;
  if (kept.output != nullptr) args.output = *kept.output;
  args.grad_residual = backward.grad_residual;
  const WorkTimer timer =
      scope.Observe("backward", WorkKind::kPass,
                    {args.input, args.grad_output, args.output, args.grad_residual,  // the sums' pass
                     args.input, args.grad_output, args.grad_input});
  if (ghost_images != 0) {
    DifferentiateGhosts(scope, kept, ghost_images, args);
  } else {
    BatchNormBackward(args, scope.workspace());
  }
}

}  // namespace hwynn
