#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/batch_norm/batch_norm.cc"
#include "hwynn/kernels/batch_norm.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/split.h"
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
  return std::count_if(mask.begin(), mask.end(), [](uint8_t keep) { return keep != 0; });
}

// Per-channel values for ForEachVector: each table repeats its channels up to a common period, and its start once
// more behind it.
class FlatTables {
 public:
  FlatTables(int tables, int64_t channels)
      : channels_(channels),
        period_(RoundUp(kMinFlatPeriod, channels)),
        stride_(RoundUp(period_ + kMinFlatPeriod, kMinFlatPeriod)),
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

void FillNormalizeTables(const BatchNormAffine& affine, FlatTables& tables) {
  tables.Fill(kMean, [&](int64_t c) { return affine.mean[c]; });
  tables.Fill(kMul, [&](int64_t c) { return Scale(affine, c) * InverseStd(affine, c); });
  tables.Fill(kBias, [&](int64_t c) { return affine.bias.data() == nullptr ? 0.0f : affine.bias[c]; });
}

// The results of steps must be of one problem.
void CheckChannelValues(const char* function, const char* what, const std::vector<double>& values, int64_t C) {
  Check(static_cast<int64_t>(values.size()) == C, function, ": ", what, " of ", values.size(), " channels, not ", C);
}

template <class Value>
Value NotNegative(Value value) {
  return value <= 0 ? Value(0) : value;  // nor −0; NaN stays
}

BatchNormMoments GatherMoments(const char* function, ConstTensorView input, Variance variance,
                               const Workspace& workspace, std::span<const uint8_t> mask) {
  const int64_t C = CheckInput(function, input);
  const ChannelRows rows{input.data(), input.size() / C, C};
  const auto count = static_cast<double>(CountRows(function, rows.rows, mask));
  const auto sum_moments = [&](std::span<const float> shift) {
    return mask.empty() ? SumMoments(rows, shift, workspace) : SumMaskedMoments(rows, mask, shift, workspace);
  };
  if (count == 0) {
    return {.mean = std::vector<double>(static_cast<size_t>(C)), .m2 = std::vector<double>(static_cast<size_t>(C))};
  }
  if (variance == Variance::kStable && mask.empty()) {
    ChannelSums moments = StableMoments(rows, workspace);
    return {.count = count, .mean = std::move(moments.first), .m2 = std::move(moments.second)};
  }
  if (variance == Variance::kFast) {
    ChannelSums sums = sum_moments({});
    for (size_t c = 0; c < sums.first.size(); ++c) {
      sums.first[c] /= count;
      sums.second[c] -= count * sums.first[c] * sums.first[c];
    }
    return {.count = count, .mean = std::move(sums.first), .m2 = std::move(sums.second)};
  }
  // Two passes; also what kStable does under a mask, where the sums are in f64 and rows come in no fixed blocks. The
  // deviations are from the rounded mean of the first pass, and say how far that is off.
  ChannelSums sums = sum_moments({});
  std::vector<float> shift(sums.first.size());
  for (size_t c = 0; c < shift.size(); ++c) shift[c] = static_cast<float>(sums.first[c] / count);
  ChannelSums deviations = sum_moments(shift);
  for (size_t c = 0; c < shift.size(); ++c) {
    deviations.second[c] = CentralSquares(count, deviations.first[c], deviations.second[c]);
    deviations.first[c] = shift[c] + deviations.first[c] / count;
  }
  return {.count = count, .mean = std::move(deviations.first), .m2 = std::move(deviations.second)};
}

void Finalize(const char* function, const BatchNormMoments& moments, Variance variance, TensorView mean,
              TensorView var) {
  Check(moments.count > 0, function, ": the mask keeps none of the rows, or there are none");
  for (size_t c = 0; c < moments.mean.size(); ++c) {
    const auto at = static_cast<int64_t>(c);
    const double biased = moments.m2[c] / moments.count;
    mean[at] = static_cast<float>(moments.mean[c]);
    if (variance == Variance::kFast) {
      const auto mean_square = static_cast<float>(biased + moments.mean[c] * moments.mean[c]);
      var[at] = NotNegative(mean_square - mean[at] * mean[at]);
    } else {
      var[at] = static_cast<float>(NotNegative(biased));
    }
  }
}

// BatchNormBackwardArgs, checked, and the steps that work on them.
class BackwardCall {
 public:
  BackwardCall(const char* function, const BatchNormBackwardArgs& args);

  double count() const { return count_; }
  bool needs_sums() const {
    return (wants_input_ && !args_.frozen_statistics) || args_.grad_scale.data() != nullptr ||
           args_.grad_bias.data() != nullptr;
  }
  /// Writes grad_residual too.
  BatchNormSums Sums(const Workspace& workspace) const;
  void WriteResidual() const;
  void WriteParams(const BatchNormSums& sums) const;
  void WriteInput(const BatchNormSums& sums);

 private:
  const BatchNormBackwardArgs& args_;
  int64_t C_, rows_;
  bool wants_input_, wants_residual_;
  bool relu_of_output_ = false, relu_of_input_ = false;  // where the mask comes from, if there is one
  bool writes_residual_ = false;                         // it isn't what grad_output is already
  double count_ = 0;
  FlatTables tables_;
};

BackwardCall::BackwardCall(const char* function, const BatchNormBackwardArgs& args)
    : args_(args),
      C_(CheckInput(function, args.input)),
      rows_(args.input.size() / C_),
      wants_input_(args.grad_input.data() != nullptr),
      wants_residual_(args.grad_residual.data() != nullptr),
      tables_(5, C_) {
  const Shape& shape = args.input.shape();
  CheckLikeInput(function, "grad_output", args.grad_output, shape);
  CheckAffine(function, args.affine, C_);
  relu_of_output_ = args.relu && (args.output.data() != nullptr || wants_residual_);
  relu_of_input_ = args.relu && !relu_of_output_;
  if (relu_of_output_) CheckLikeInput(function, "output", args.output, shape);
  if (wants_input_) CheckLikeInput(function, "grad_input", args.grad_input, shape);
  if (wants_residual_) {
    CheckLikeInput(function, "grad_residual", args.grad_residual, shape);
    Check(args.grad_residual.data() != args.grad_input.data(), function,
          ": grad_residual and grad_input are one array");
  }
  if (args.grad_scale.data() != nullptr) CheckChannels(function, "grad_scale", args.grad_scale, C_);
  if (args.grad_bias.data() != nullptr) CheckChannels(function, "grad_bias", args.grad_bias, C_);
  writes_residual_ = wants_residual_ && (args.relu || args.grad_residual.data() != args.grad_output.data());
  count_ = static_cast<double>(CountRows(function, rows_, args.mask));
  FillNormalizeTables(args.affine, tables_);
}

BatchNormSums BackwardCall::Sums(const Workspace& workspace) const {
  // Every row's gradient enters the sums; a mask only says on which rows the statistics depend.
  ChannelSums sums = SumGradients({args_.input.data(), rows_, C_}, args_.affine.mean.span(),
                                  {.grad = args_.grad_output.data(),
                                   .output = relu_of_output_ ? args_.output.data() : nullptr,
                                   .mul = relu_of_input_ ? tables_[kMul] : nullptr,
                                   .bias = relu_of_input_ ? tables_[kBias] : nullptr,
                                   .masked = writes_residual_ ? args_.grad_residual.data() : nullptr},
                                  workspace);
  return {.count = count_, .grad = std::move(sums.first), .grad_centered = std::move(sums.second)};
}

void BackwardCall::WriteResidual() const {
  if (!writes_residual_) return;
  if (args_.relu) {
    ReluBackward(args_.output, args_.grad_output, args_.grad_residual);
  } else {
    std::copy_n(args_.grad_output.data(), args_.grad_output.size(), args_.grad_residual.data());
  }
}

void BackwardCall::WriteParams(const BatchNormSums& sums) const {
  for (int64_t c = 0; c < C_; ++c) {
    const auto at = static_cast<size_t>(c);
    if (args_.grad_scale.data() != nullptr) {
      args_.grad_scale[c] = static_cast<float>(sums.grad_centered[at] * InverseStd(args_.affine, c));
    }
    if (args_.grad_bias.data() != nullptr) args_.grad_bias[c] = static_cast<float>(sums.grad[at]);
  }
}

void BackwardCall::WriteInput(const BatchNormSums& sums) {
  const bool statistics = !args_.frozen_statistics;
  if (statistics) {
    tables_.Fill(kOfCentered, [&](int64_t c) {
      const double r = InverseStd(args_.affine, c);
      const double factor = args_.affine.var[c] == 0 ? args_.zero_variance_factor : 1.0;
      return -factor * Scale(args_.affine, c) * r * r * r * sums.grad_centered[static_cast<size_t>(c)] / sums.count;
    });
    tables_.Fill(kConstant, [&](int64_t c) {
      return -Scale(args_.affine, c) * InverseStd(args_.affine, c) * sums.grad[static_cast<size_t>(c)] / sums.count;
    });
  }
  // A grad_residual has its mask already and stands for grad_output.
  const ConstTensorView gradient = wants_residual_ ? ConstTensorView(args_.grad_residual) : args_.grad_output;
  const bool masks = !wants_residual_;
  const BackwardTask task{.input = args_.input.data(),
                          .output = masks && relu_of_output_ ? args_.output.data() : nullptr,
                          .grad_output = gradient.data(),
                          .grad_input = args_.grad_input.data(),
                          .mean = tables_[kMean],
                          .mul = tables_[kMul],
                          .bias = masks && relu_of_input_ ? tables_[kBias] : nullptr,
                          .of_centered = tables_[kOfCentered],
                          .constant = tables_[kConstant]};
  // Pieces between masked rows don't begin where a vector is aligned.
  const bool stream =
      args_.mask.empty() && WorthStreaming(args_.grad_input, {args_.input, args_.output, args_.grad_output});
  const auto kept = [&](int64_t row) { return args_.mask[static_cast<size_t>(row)] != 0; };
  ParallelForFlat(args_.input.size(), [&](int64_t begin, int64_t end) {
    while (begin < end) {
      int64_t next = end;
      bool depends = statistics;
      if (statistics && !args_.mask.empty()) {
        int64_t row = begin / C_;
        depends = kept(row);
        while (row * C_ < end && kept(row) == depends) ++row;
        next = std::min(end, row * C_);
      }
      HWY_DYNAMIC_DISPATCH(BackwardRange)(task, depends, stream, begin, next, tables_.period());
      begin = next;
    }
  });
}

}  // namespace

BatchNormMoments BatchNormGatherMoments(ConstTensorView input, Variance variance, const Workspace& workspace,
                                        std::span<const uint8_t> mask) {
  return GatherMoments("BatchNormGatherMoments", input, variance, workspace, mask);
}

void BatchNormMerge(const BatchNormMoments& other, BatchNormMoments& moments) {
  if (other.count == 0) return;
  if (moments.count == 0) {
    moments = other;
    return;
  }
  CheckChannelValues("BatchNormMerge", "moments", other.mean, static_cast<int64_t>(moments.mean.size()));
  for (size_t c = 0; c < moments.mean.size(); ++c) {
    MergeMoments(moments.count, moments.mean[c], moments.m2[c], other.count, other.mean[c], other.m2[c]);
  }
  moments.count += other.count;
}

void BatchNormFinalize(const BatchNormMoments& moments, Variance variance, TensorView mean, TensorView var) {
  constexpr const char* kName = "BatchNormFinalize";
  const auto C = static_cast<int64_t>(moments.mean.size());
  CheckChannels(kName, "mean", mean, C);
  CheckChannels(kName, "var", var, C);
  Finalize(kName, moments, variance, mean, var);
}

void BatchNormStatistics(ConstTensorView input, Variance variance, TensorView mean, TensorView var,
                         const Workspace& workspace, std::span<const uint8_t> mask) {
  constexpr const char* kName = "BatchNormStatistics";
  const int64_t C = CheckInput(kName, input);
  CheckChannels(kName, "mean", mean, C);
  CheckChannels(kName, "var", var, C);
  Finalize(kName, GatherMoments(kName, input, variance, workspace, mask), variance, mean, var);
}

void BatchNormMul(const BatchNormAffine& affine, TensorView mul) {
  constexpr const char* kName = "BatchNormMul";
  const int64_t C = mul.size();
  CheckChannels(kName, "mul", mul, C);
  CheckChannels(kName, "var", affine.var, C);
  if (affine.scale.size() != 0) CheckChannels(kName, "scale", affine.scale, C);
  for (int64_t c = 0; c < C; ++c) mul[c] = static_cast<float>(Scale(affine, c) * InverseStd(affine, c));
}

void BatchNormNormalize(ConstTensorView input, const BatchNormAffine& affine, TensorView output,
                        const BatchNormNormalizeOptions& options) {
  const ConstTensorView residual = options.residual;
  constexpr const char* kName = "BatchNormNormalize";
  const int64_t C = CheckInput(kName, input);
  CheckAffine(kName, affine, C);
  CheckLikeInput(kName, "output", output, input.shape());
  if (residual.data() != nullptr) CheckLikeInput(kName, "residual", residual, input.shape());

  FlatTables tables(3, C);
  FillNormalizeTables(affine, tables);
  const NormalizeTask task{.input = input.data(),
                           .residual = residual.data(),
                           .output = output.data(),
                           .mean = tables[kMean],
                           .mul = tables[kMul],
                           .bias = tables[kBias]};
  const bool stream = WorthStreaming(output, {input, residual});
  ParallelForFlat(input.size(), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(NormalizeRange)(task, options.relu, stream, begin, end, tables.period());
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
  BackwardCall call("BatchNormBackward", args);
  Check(call.count() > 0, "BatchNormBackward: the mask keeps none of the rows");
  BatchNormSums sums;
  if (call.needs_sums()) {
    sums = call.Sums(workspace);
    call.WriteParams(sums);
  } else {
    call.WriteResidual();
  }
  if (args.grad_input.data() != nullptr) call.WriteInput(sums);
}

BatchNormSums BatchNormBackwardSums(const BatchNormBackwardArgs& args, const Workspace& workspace) {
  return BackwardCall("BatchNormBackwardSums", args).Sums(workspace);
}

void BatchNormMerge(const BatchNormSums& other, BatchNormSums& sums) {
  if (other.grad.empty()) return;
  if (sums.grad.empty()) {
    sums = other;
    return;
  }
  CheckChannelValues("BatchNormMerge", "sums", other.grad, static_cast<int64_t>(sums.grad.size()));
  sums.count += other.count;
  for (size_t c = 0; c < sums.grad.size(); ++c) {
    sums.grad[c] += other.grad[c];
    sums.grad_centered[c] += other.grad_centered[c];
  }
}

void BatchNormBackwardParams(const BatchNormBackwardArgs& args, const BatchNormSums& sums) {
  constexpr const char* kName = "BatchNormBackwardParams";
  const BackwardCall call(kName, args);
  CheckChannelValues(kName, "sums", sums.grad, args.input.shape().back());
  call.WriteParams(sums);
}

void BatchNormBackwardInput(const BatchNormBackwardArgs& args, const BatchNormSums& sums) {
  constexpr const char* kName = "BatchNormBackwardInput";
  BackwardCall call(kName, args);
  Check(args.grad_input.data() != nullptr, kName, ": there is no grad_input");
  if (!args.frozen_statistics) {
    CheckChannelValues(kName, "sums", sums.grad, args.input.shape().back());
    Check(sums.count > 0, kName, ": the sums are of no rows");
  }
  call.WriteInput(sums);
}

}  // namespace hwynn
#endif  // HWY_ONCE
