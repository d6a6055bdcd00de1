#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/batch_norm/batch_norm.cc"
#include "hwynn/kernels/batch_norm.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "hwynn/core/check.h"
#include "hwynn/kernels/elementwise.h"
#include "hwynn/kernels/simd/channel_sums.h"
#include "hwynn/kernels/simd/flat.h"

#ifndef HWYNN_KERNELS_BATCH_NORM_TASK_
#define HWYNN_KERNELS_BATCH_NORM_TASK_
namespace hwynn {
// What the vector code gets. Per-channel tables repeat as ForEachVector wants them.
struct NormalizeTask {
  const float* input;
  const float* residual;
  float* output;
  const float* mean;
  const float* mul;
  const float* bias;
};
// grad_input = mul·g + of_centered·(input − mean) + constant
struct BackwardTask {
  const float* input;
  const float* output;  // positive where ReLU let g pass; null: no mask, or the normalised input's
  const float* grad_output;
  float* grad_input;
  const float* mean;
  const float* mul;
  const float* bias;  // of the normalised input; null: no mask, or the output's
  const float* of_centered;
  const float* constant;
};
}  // namespace hwynn
#endif  // HWYNN_KERNELS_BATCH_NORM_TASK_

#include "hwynn/kernels/batch_norm/batch_norm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

void NormalizeRange(const NormalizeTask& task, bool relu, bool stream, int64_t begin, int64_t end, int64_t period) {
  RunFlat<NormalizeOp>(task, begin, end, period, task.residual != nullptr, relu, stream);
}
void BackwardRange(const BackwardTask& task, bool statistics, bool stream, int64_t begin, int64_t end, int64_t period) {
  RunFlat<BackwardOp>(task, begin, end, period, statistics, task.output != nullptr, task.bias != nullptr, stream);
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
namespace {

HWY_EXPORT(NormalizeRange);
HWY_EXPORT(BackwardRange);

// Channels of `input`, which must hold at least one row.
int64_t CheckInput(const char* function, ConstTensorView input) {
  Check(input.shape().rank() >= 1 && input.size() > 0, function, ": input ", input.shape(),
        " must be [...,C] with at least one element");
  return input.shape().back();
}

void CheckChannels(const char* function, const char* name, ConstTensorView view, int64_t C) {
  Check(view.shape() == Shape{C}, function, ": ", name, " ", view.shape(), " must be [", C,
        "] as the input's channels");
}

void CheckLikeInput(const char* function, const char* name, ConstTensorView view, const Shape& input) {
  Check(view.shape() == input, function, ": ", name, " ", view.shape(), " != input ", input);
}

void CheckAffine(const char* function, const BatchNormAffine& affine, int64_t C) {
  CheckChannels(function, "mean", affine.mean, C);
  CheckChannels(function, "var", affine.var, C);
  if (affine.scale.data() != nullptr) CheckChannels(function, "scale", affine.scale, C);
  if (affine.bias.data() != nullptr) CheckChannels(function, "bias", affine.bias, C);
}

// Rows that count: all, or those that the mask keeps.
int64_t CountRows(const char* function, int64_t rows, std::span<const uint8_t> mask) {
  if (mask.empty()) return rows;
  Check(static_cast<int64_t>(mask.size()) == rows, function, ": mask has ", mask.size(), " values for ", rows, " rows");
  const int64_t kept = std::count_if(mask.begin(), mask.end(), [](uint8_t keep) { return keep != 0; });
  Check(kept > 0, function, ": the mask keeps none of ", rows, " rows");
  return kept;
}

// Per-channel values for ForEachVector: each table repeats its channels up to a common period, and its start once
// more behind it.
class FlatTables {
 public:
  FlatTables(int tables, int64_t channels)
      : channels_(channels),
        period_((kMinFlatPeriod + channels - 1) / channels * channels),
        stride_((period_ + 2 * kMinFlatPeriod - 1) / kMinFlatPeriod * kMinFlatPeriod),
        values_({tables, stride_}) {}

  int64_t period() const { return period_; }
  const float* operator[](int table) const { return values_.data() + table * stride_; }

  template <class Value>
  void Fill(int table, const Value& value) {
    float* to = values_.data() + table * stride_;
    for (int64_t c = 0; c < channels_; ++c) to[c] = static_cast<float>(value(c));
    for (int64_t c = channels_; c < stride_; ++c) to[c] = to[c - channels_];
  }

 private:
  int64_t channels_, period_, stride_;
  Tensor values_;
};

// 1/√(var + epsilon), exact to a double's rounding.
double InverseStd(const BatchNormAffine& affine, int64_t c) {
  return 1.0 / std::sqrt(static_cast<double>(affine.var[c]) + static_cast<double>(affine.epsilon));
}

double Scale(const BatchNormAffine& affine, int64_t c) {
  return affine.scale.data() == nullptr ? 1.0 : affine.scale[c];
}

// The tables that normalise, first in every FlatTables: forward and backward must agree on their bits.
enum Table { kMean, kMul, kBias, kOfCentered, kConstant };

FlatTables NormalizeTables(const BatchNormAffine& affine, int tables, int64_t C) {
  FlatTables result(tables, C);
  result.Fill(kMean, [&](int64_t c) { return affine.mean[c]; });
  result.Fill(kMul, [&](int64_t c) { return Scale(affine, c) * InverseStd(affine, c); });
  result.Fill(kBias, [&](int64_t c) { return affine.bias.data() == nullptr ? 0.0f : affine.bias[c]; });
  return result;
}

float NotNegative(float value) { return value < 0 ? 0.0f : value; }  // keeps NaN

}  // namespace

void BatchNormStatistics(ConstTensorView input, Variance variance, TensorView mean, TensorView var,
                         const Workspace& workspace, std::span<const uint8_t> mask) {
  constexpr const char* kName = "BatchNormStatistics";
  const int64_t C = CheckInput(kName, input);
  CheckChannels(kName, "mean", mean, C);
  CheckChannels(kName, "var", var, C);
  const ChannelRows rows{input.data(), input.size() / C, C};
  const int64_t count = CountRows(kName, rows.rows, mask);
  const auto sum_moments = [&](std::span<const float> shift) {
    return mask.empty() ? SumMoments(rows, shift, workspace) : SumMaskedMoments(rows, mask, shift, workspace);
  };

  if (variance == Variance::kFast) {
    // In f32 from here on, with Flax's multiplication by the rounded reciprocal.
    const ChannelSums sums = sum_moments({});
    const float inverse_count = 1.0f / static_cast<float>(count);
    for (int64_t c = 0; c < C; ++c) {
      const auto at = static_cast<size_t>(c);
      mean[c] = static_cast<float>(sums.first[at]) * inverse_count;
      var[c] = NotNegative(static_cast<float>(sums.second[at]) * inverse_count - mean[c] * mean[c]);
    }
    return;
  }
  const auto n = static_cast<double>(count);
  if (variance == Variance::kStable && mask.empty()) {
    const ChannelSums moments = StableMoments(rows, workspace);
    for (int64_t c = 0; c < C; ++c) {
      const auto at = static_cast<size_t>(c);
      mean[c] = static_cast<float>(moments.first[at]);
      var[c] = NotNegative(static_cast<float>(moments.second[at] / n));
    }
    return;
  }
  // Two passes; also what kStable does under a mask, where the sums are in f64 and rows come in no fixed blocks.
  const ChannelSums sums = sum_moments({});
  for (int64_t c = 0; c < C; ++c) mean[c] = static_cast<float>(sums.first[static_cast<size_t>(c)] / n);
  const ChannelSums deviations = sum_moments(mean.span());
  for (int64_t c = 0; c < C; ++c) var[c] = static_cast<float>(deviations.second[static_cast<size_t>(c)] / n);
}

void BatchNormMul(const BatchNormAffine& affine, TensorView mul) {
  constexpr const char* kName = "BatchNormMul";
  const int64_t C = mul.size();
  CheckChannels(kName, "mul", mul, C);
  CheckChannels(kName, "var", affine.var, C);
  if (affine.scale.size() != 0) CheckChannels(kName, "scale", affine.scale, C);
  for (int64_t c = 0; c < C; ++c) mul[c] = static_cast<float>(Scale(affine, c) * InverseStd(affine, c));
}

void BatchNormNormalize(ConstTensorView input, const BatchNormAffine& affine, ConstTensorView residual, bool relu,
                        TensorView output) {
  constexpr const char* kName = "BatchNormNormalize";
  const int64_t C = CheckInput(kName, input);
  CheckAffine(kName, affine, C);
  CheckLikeInput(kName, "output", output, input.shape());
  if (residual.data() != nullptr) CheckLikeInput(kName, "residual", residual, input.shape());

  const FlatTables tables = NormalizeTables(affine, 3, C);
  const NormalizeTask task{.input = input.data(),
                           .residual = residual.data(),
                           .output = output.data(),
                           .mean = tables[kMean],
                           .mul = tables[kMul],
                           .bias = tables[kBias]};
  const bool stream = WorthStreaming(output, {input, residual});
  ParallelForFlat(input.size(), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(NormalizeRange)(task, relu, stream, begin, end, tables.period());
  });
}

void BatchNormUpdateRunning(double momentum, ConstTensorView batch_mean, ConstTensorView batch_var,
                            TensorView running_mean, TensorView running_var) {
  constexpr const char* kName = "BatchNormUpdateRunning";
  const int64_t C = CheckInput(kName, batch_mean);
  CheckChannels(kName, "batch_mean", batch_mean, C);
  CheckChannels(kName, "batch_var", batch_var, C);
  CheckChannels(kName, "running_mean", running_mean, C);
  CheckChannels(kName, "running_var", running_var, C);
  const auto kept = static_cast<float>(momentum);
  const auto added = static_cast<float>(1.0 - momentum);
  for (int64_t c = 0; c < C; ++c) {
    running_mean[c] = std::fma(kept, running_mean[c], added * batch_mean[c]);
    running_var[c] = std::fma(kept, running_var[c], added * batch_var[c]);
  }
}

void BatchNormBackward(const BatchNormBackwardArgs& args, const Workspace& workspace) {
  constexpr const char* kName = "BatchNormBackward";
  const int64_t C = CheckInput(kName, args.input);
  const Shape& shape = args.input.shape();
  CheckLikeInput(kName, "grad_output", args.grad_output, shape);
  CheckAffine(kName, args.affine, C);
  const bool wants_input = args.grad_input.data() != nullptr;
  const bool wants_residual = args.grad_residual.data() != nullptr;
  const bool relu_of_output = args.relu && (args.output.data() != nullptr || wants_residual);
  const bool relu_of_input = args.relu && !relu_of_output;
  if (relu_of_output) CheckLikeInput(kName, "output", args.output, shape);
  if (wants_input) CheckLikeInput(kName, "grad_input", args.grad_input, shape);
  if (wants_residual) {
    CheckLikeInput(kName, "grad_residual", args.grad_residual, shape);
    Check(args.grad_residual.data() != args.grad_input.data(), kName, ": grad_residual and grad_input are one array");
  }
  if (args.grad_scale.data() != nullptr) CheckChannels(kName, "grad_scale", args.grad_scale, C);
  if (args.grad_bias.data() != nullptr) CheckChannels(kName, "grad_bias", args.grad_bias, C);
  const bool writes_residual = wants_residual && (args.relu || args.grad_residual.data() != args.grad_output.data());
  const int64_t rows = args.input.size() / C;
  const auto count = static_cast<double>(CountRows(kName, rows, args.mask));

  FlatTables tables = NormalizeTables(args.affine, 5, C);
  MaskedGradient gradient{.grad = args.grad_output.data(),
                          .output = relu_of_output ? args.output.data() : nullptr,
                          .mul = relu_of_input ? tables[kMul] : nullptr,
                          .bias = relu_of_input ? tables[kBias] : nullptr,
                          .masked = writes_residual ? args.grad_residual.data() : nullptr};
  // Every row's gradient enters the sums; a mask only says on which rows the statistics depend.
  const bool statistics = wants_input && !args.frozen_statistics;
  ChannelSums sums;
  if (statistics || args.grad_scale.data() != nullptr || args.grad_bias.data() != nullptr) {
    sums = SumGradients({args.input.data(), rows, C}, args.affine.mean.span(), gradient, workspace);
  } else if (writes_residual && args.relu) {
    ReluBackward(args.output, args.grad_output, args.grad_residual);
  } else if (writes_residual) {
    std::copy_n(args.grad_output.data(), args.grad_output.size(), args.grad_residual.data());
  }
  for (int64_t c = 0; c < C; ++c) {
    const auto at = static_cast<size_t>(c);
    if (args.grad_scale.data() != nullptr) {
      args.grad_scale[c] = static_cast<float>(sums.second[at] * InverseStd(args.affine, c));
    }
    if (args.grad_bias.data() != nullptr) args.grad_bias[c] = static_cast<float>(sums.first[at]);
  }
  if (!wants_input) return;

  // From here on grad_residual, which has its mask, stands for grad_output.
  if (wants_residual) gradient = {.grad = args.grad_residual.data()};
  if (statistics) {
    tables.Fill(kOfCentered, [&](int64_t c) {
      const double r = InverseStd(args.affine, c);
      const double factor = args.affine.var[c] == 0 ? args.zero_variance_factor : 1.0;
      return -factor * Scale(args.affine, c) * r * r * r * sums.second[static_cast<size_t>(c)] / count;
    });
    tables.Fill(kConstant, [&](int64_t c) {
      return -Scale(args.affine, c) * InverseStd(args.affine, c) * sums.first[static_cast<size_t>(c)] / count;
    });
  }
  const BackwardTask task{.input = args.input.data(),
                          .output = gradient.output,
                          .grad_output = gradient.grad,
                          .grad_input = args.grad_input.data(),
                          .mean = tables[kMean],
                          .mul = tables[kMul],
                          .bias = gradient.bias,
                          .of_centered = tables[kOfCentered],
                          .constant = tables[kConstant]};
  // Pieces between masked rows don't begin where a vector is aligned.
  const bool stream = args.mask.empty() && WorthStreaming(args.grad_input, {args.input, args.output, args.grad_output});
  const auto kept = [&](int64_t row) { return args.mask[static_cast<size_t>(row)] != 0; };
  ParallelForFlat(args.input.size(), [&](int64_t begin, int64_t end) {
    while (begin < end) {
      int64_t next = end;
      bool depends = statistics;
      if (statistics && !args.mask.empty()) {
        int64_t row = begin / C;
        depends = kept(row);
        while (row * C < end && kept(row) == depends) ++row;
        next = std::min(end, row * C);
      }
      HWY_DYNAMIC_DISPATCH(BackwardRange)(task, depends, stream, begin, next, tables.period());
      begin = next;
    }
  });
}

}  // namespace hwynn
#endif  // HWY_ONCE
