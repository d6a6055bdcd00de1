// BatchNorm beside what memory allows: forward is a read pass and a streaming copy, inference a streaming copy,
// backward two reads and two reads with a streamed write; a residual adds the arrays that it touches. Each step stands
// beside its part of that.

#include <cmath>

#include "hwynn/bench/support/bench_main.h"
#include "hwynn/bench/support/stream.h"
#include "hwynn/core/check.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/reference/batch_norm.h"
#include "hwynn/kernels/target.h"

namespace hwynn::bench {
namespace {

struct Variant {
  std::string name = "default";
  Variance variance = Variance::kStable;
  bool relu = false;
  bool residual = false;
  bool join = false;  // the residual has a norm of its own
};

const Variant kForwardVariants[] = {{},
                                    {.name = "fast", .variance = Variance::kFast},
                                    {.name = "two_pass", .variance = Variance::kTwoPass},
                                    {.name = "relu", .relu = true},
                                    {.name = "add_relu", .relu = true, .residual = true}};
const Variant kBackwardVariants[] = {
    {}, {.name = "relu", .relu = true}, {.name = "add_relu", .relu = true, .residual = true}};
const Variant kJoin{.name = "join", .relu = true, .residual = true, .join = true};

// The arrays of one case. They come from a Workspace, so that they lie on huge pages as a model's do.
struct Arrays {
  explicit Arrays(const Shape& shape)
      : input(workspace.NewTensor(shape)),
        residual(workspace.NewTensor(shape)),
        output(workspace.NewTensor(shape)),
        grad_output(workspace.NewTensor(shape)),
        grad_input(workspace.NewTensor(shape)) {
    Fill(input, 1);
    Fill(residual, 2);
    Fill(grad_output, 3);
    for (Tensor* result : {&output, &grad_input}) Fill(*result, 4);
    for (Tensor* values : {&mean, &var, &running_mean, &running_var, &scale, &bias, &grad_scale, &grad_bias}) {
      *values = Tensor({shape.back()}, 1.0f);
    }
    Fill(scale, 5);
    Fill(bias, 6);
  }

  BatchNormAffine affine() const { return {.mean = mean, .var = var, .scale = scale, .bias = bias}; }

  void Forward(const Variant& variant, bool statistics) {
    if (statistics) {
      BatchNormStatistics(input, variant.variance, mean, var, workspace);
      BatchNormUpdateRunning(0.9, mean, var, running_mean, running_var);
    }
    BatchNormNormalize(input, affine(), output, Options(variant));
  }

  BatchNormNormalizeOptions Options(const Variant& variant) const {
    return {.residual = variant.residual ? residual : ConstTensorView(),
            .residual_affine = variant.join ? affine() : BatchNormAffine(),
            .relu = variant.relu};
  }

  // grad_residual takes the place of grad_output, as in a model. Another run finds its mask there already, and leaves
  // it as it is.
  BatchNormBackwardArgs BackwardArgs(const Variant& variant) {
    return {.input = input,
            .output = variant.residual ? output : ConstTensorView(),
            .grad_output = grad_output,
            .affine = affine(),
            .relu = variant.relu,
            .grad_input = grad_input,
            .grad_residual = variant.residual ? grad_output : TensorView(),
            .grad_scale = grad_scale,
            .grad_bias = grad_bias};
  }

  Workspace workspace;
  Tensor input, residual, output, grad_output, grad_input;
  Tensor mean, var, running_mean, running_var, scale, bias, grad_scale, grad_bias;
};

// Compares a sample of `actual`, an image or less, with the reference values of the same elements.
void CheckSample(const std::string& what, std::span<const float> actual, const reference::Sums& expected) {
  for (size_t i = 0; i < expected.values.size(); ++i) {
    const double error = std::abs(actual[i] - expected.values[i]);
    Check(error <= 1e-5 * expected.magnitudes[i], what, ": element ", i, " is ", actual[i], ", not ",
          expected.values[i]);
  }
}

// The first rows of a [...,C] array.
ConstTensorView FirstRows(const Tensor& all, int64_t rows) { return {all.data(), {rows, all.shape().back()}}; }

void CheckForward(Arrays& arrays, const Variant& variant, bool statistics) {
  if (statistics) {
    const reference::Moments moments = reference::BatchNormStatistics(arrays.input);
    for (size_t c = 0; c < moments.var.size(); ++c) {
      Check(std::abs(arrays.var.span()[c] - moments.var[c]) <= 1e-4 * moments.var[c], "BatchNormForward: var[", c,
            "] is ", arrays.var.span()[c], ", not ", moments.var[c]);
    }
  }
  const int64_t rows = std::min<int64_t>(100, arrays.input.size() / arrays.mean.size());
  BatchNormNormalizeOptions options = arrays.Options(variant);
  if (variant.residual) options.residual = FirstRows(arrays.residual, rows);
  CheckSample("BatchNormForward", arrays.output.span(),
              reference::BatchNormNormalize(FirstRows(arrays.input, rows), arrays.affine(), options));
}

// `grad_output` is what the kernel got: with a residual it has written over it.
void CheckBackward(Arrays& arrays, const Variant& variant, const Tensor& grad_output) {
  BatchNormBackwardArgs args = arrays.BackwardArgs(variant);
  args.grad_output = grad_output;
  args.output = arrays.output;  // near 0 a rounding decides what passes ReLU
  const reference::BatchNormGradients grads = reference::BatchNormBackward(args);
  CheckSample("BatchNormBackward: grad_input", arrays.grad_input.span(), grads.input);
  CheckSample("BatchNormBackward: grad_scale", arrays.grad_scale.span(), grads.scale);
  CheckSample("BatchNormBackward: grad_bias", arrays.grad_bias.span(), grads.bias);
  if (variant.residual) CheckSample("BatchNormBackward: grad_residual", arrays.grad_output.span(), grads.residual);
}

enum class Pass { kForward, kMoments, kInference, kBackward, kSums, kGradient };

bool IsBackward(Pass pass) { return pass == Pass::kBackward || pass == Pass::kSums || pass == Pass::kGradient; }

// Bytes that the pass must move, in arrays: forward 2 reads and a write, and so on.
int ArraysMoved(Pass pass, const Variant& variant) {
  const int residual = variant.residual ? 1 : 0;
  switch (pass) {
    case Pass::kForward:
      return 3 + residual;
    case Pass::kMoments:
      return 1;
    case Pass::kInference:
      return 2 + residual;
    case Pass::kBackward:
      return 5 + 2 * residual;
    case Pass::kSums:
      return 2 + 2 * residual + (variant.join ? 1 : 0);
    case Pass::kGradient:
      return 3;
  }
  return 0;
}

void RunLimit(Arrays& arrays, Pass pass, const Variant& variant, TensorView spare) {
  if (pass == Pass::kForward || pass == Pass::kMoments) benchmark::DoNotOptimize(ReadPass({arrays.input}));
  if (pass == Pass::kForward || pass == Pass::kInference) {
    if (variant.residual) return StreamPass({arrays.input, arrays.residual}, spare);
    return StreamPass({arrays.input}, spare);
  }
  if (pass == Pass::kBackward || pass == Pass::kSums) {
    if (variant.join) {
      StreamPass({arrays.input, arrays.grad_output, arrays.output, arrays.residual}, spare);
    } else if (variant.residual) {
      StreamPass({arrays.input, arrays.grad_output, arrays.output}, spare);
    } else {
      benchmark::DoNotOptimize(ReadPass({arrays.input, arrays.grad_output}));
    }
  }
  if (pass == Pass::kBackward || pass == Pass::kGradient) StreamPass({arrays.input, arrays.grad_output}, spare);
}

void Run(benchmark::State& state, const std::string& target, Pass pass, const Variant& variant, const Shape& shape,
         int threads) {
  SetTarget(target);
  Arrays arrays(shape);
  // Backward needs statistics and, with ReLU, the output that Forward made.
  arrays.Forward(variant, /*statistics=*/true);
  const BatchNormBackwardArgs backward = arrays.BackwardArgs(variant);
  BatchNormMoments moments;
  BatchNormSums sums;
  const auto kernel = [&] {
    switch (pass) {
      case Pass::kForward:
      case Pass::kInference:
        return arrays.Forward(variant, pass == Pass::kForward);
      case Pass::kMoments:
        moments = BatchNormGatherMoments(arrays.input, variant.variance, arrays.workspace);
        return;
      case Pass::kBackward:
        return BatchNormBackward(backward, arrays.workspace);
      case Pass::kSums:
        if (variant.join) {
          sums = BatchNormBackwardJoinSums(backward, arrays.residual, arrays.mean, arrays.workspace).input;
        } else {
          sums = BatchNormBackwardSums(backward, arrays.workspace);
        }
        return;
      case Pass::kGradient:
        return BatchNormBackwardInput(backward, sums);
    }
  };
  // The limit writes where the kernel does, so that both find memory in the same state.
  const TensorView written = IsBackward(pass) ? arrays.grad_input.view() : arrays.output.view();
  const Tensor grad_output = arrays.grad_output.Clone();
  if (pass == Pass::kGradient) sums = BatchNormBackwardSums(backward, arrays.workspace);
  kernel();
  // What a step leaves out is done here, and the whole is checked.
  if (pass == Pass::kMoments) BatchNormFinalize(moments, variant.variance, arrays.mean, arrays.var);
  if (pass == Pass::kSums) BatchNormBackwardInput(backward, sums);
  if (pass == Pass::kSums || pass == Pass::kGradient) BatchNormBackwardParams(backward, sums);
  if (IsBackward(pass)) {
    CheckBackward(arrays, variant, grad_output);
  } else {
    CheckForward(arrays, variant, pass != Pass::kInference);
  }
  const Timing timing = TimeBesideLimit(state, threads, kernel, [&] { RunLimit(arrays, pass, variant, written); });
  const double bytes = static_cast<double>(arrays.input.size()) * sizeof(float) * ArraysMoved(pass, variant);
  state.counters["gb_per_s"] = bytes / timing.kernel * 1e-9;
  state.counters["of_stream"] = timing.limit / timing.kernel;
  state.counters["median_ms"] = timing.kernel * 1e3;
  SetTarget("");
}

void Register(const std::string& shape, int64_t batch, int threads) {
  const std::vector<int64_t> extents = ParseExtents(shape, 3);
  const Shape full{batch, extents[0], extents[1], extents[2]};
  const auto add = [&](const std::string& kernel, const std::string& target, Pass pass, const Variant& variant) {
    const std::string name = CaseName(StrCat(kernel, "/", variant.name, "/", target), shape, batch, threads);
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      Run(state, target, pass, variant, full, threads);
    })->Unit(benchmark::kMillisecond);
  };
  for (const std::string& target : SupportedTargets()) {
    for (const Variant& variant : kForwardVariants) add("BatchNormForward", target, Pass::kForward, variant);
    for (const Variant& variant : kBackwardVariants) add("BatchNormBackward", target, Pass::kBackward, variant);
    add("BatchNormInference", target, Pass::kInference, {});
    add("BatchNormGatherMoments", target, Pass::kMoments, {});
    for (const Variant& variant : kBackwardVariants) add("BatchNormBackwardSums", target, Pass::kSums, variant);
    add("BatchNormInference", target, Pass::kInference, kJoin);
    add("BatchNormBackwardSums", target, Pass::kSums, kJoin);
    add("BatchNormBackwardInput", target, Pass::kGradient, {});
  }
}

}  // namespace
}  // namespace hwynn::bench

int main(int argc, char** argv) {
  using hwynn::bench::UserCase;
  return hwynn::bench::BenchMain(argc, argv, [](const UserCase* user) {
    if (user == nullptr) return hwynn::bench::Register("112x112x64", 16, 2);
    hwynn::bench::Register(user->shape, user->batch, user->threads);
  });
}
