#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/batch_norm/backward.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/batch_norm/batch_norm-inl.h"
#include "hwynn/kernels/batch_norm/channels.h"
#include "hwynn/kernels/elementwise.h"
#include "hwynn/kernels/simd/channel_sums.h"
#include "hwynn/kernels/simd/epilogue.h"
#include "hwynn/kernels/simd/flat.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

void BackwardRange(const BackwardTask& task, bool statistics, bool stream, int64_t begin, int64_t end, int64_t period) {
  RunFlat<BackwardOp>(task, begin, end, period, statistics, task.output != nullptr, task.bias != nullptr, stream);
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
namespace {

HWY_EXPORT(BackwardRange);

// Tables behind those that normalise.
enum BackwardTable { kOfCentered = kNormTables, kConstant, kBackwardTables };

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
  BatchNormJoinSums JoinSums(const CenteredRows& residual, const Workspace& workspace) const;
  void WriteResidual() const;
  void WriteParams(const BatchNormSums& sums) const;
  void WriteInput(const BatchNormSums& sums);

 private:
  MaskedGradient Gradient() const;
  BatchNormSums SumsOf(ChannelSums sums) const;

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
      tables_(kBackwardTables, C_) {
  const Shape& shape = args.input.shape();
  CheckLikeInput(function, "grad_output", args.grad_output, shape);
  CheckAffine(function, args.affine, C_);
  CheckUpper(function, args.upper);
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
  FillNormTables(args.affine, tables_);
}

MaskedGradient BackwardCall::Gradient() const {
  return {.grad = args_.grad_output.data(),
          .output = relu_of_output_ ? args_.output.data() : nullptr,
          .mul = relu_of_input_ ? tables_[kMul] : nullptr,
          .bias = relu_of_input_ ? tables_[kBias] : nullptr,
          .last = LastBelow(args_.upper),
          .masked = writes_residual_ ? args_.grad_residual.data() : nullptr};
}

BatchNormSums BackwardCall::SumsOf(ChannelSums sums) const {
  return {.count = count_, .grad = std::move(sums.first), .grad_centered = std::move(sums.second)};
}

// Every row's gradient enters the sums; a mask only says on which rows the statistics depend.
BatchNormSums BackwardCall::Sums(const Workspace& workspace) const {
  return SumsOf(SumGradients({args_.input.data(), rows_, C_}, args_.affine.mean.span(), Gradient(), workspace));
}

BatchNormJoinSums BackwardCall::JoinSums(const CenteredRows& residual, const Workspace& workspace) const {
  auto [of_input, of_residual] =
      SumGradientsOfTwo({args_.input.data(), rows_, C_}, args_.affine.mean.span(), residual, Gradient(), workspace);
  return {SumsOf(std::move(of_input)), SumsOf(std::move(of_residual))};
}

void BackwardCall::WriteResidual() const {
  if (!writes_residual_) return;
  if (args_.relu) {
    ReluBackward(args_.output, args_.grad_output, args_.grad_residual, {.upper = args_.upper});
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
                          .constant = tables_[kConstant],
                          .last = LastBelow(args_.upper)};
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

BatchNormJoinSums BatchNormBackwardJoinSums(const BatchNormBackwardArgs& args, ConstTensorView residual,
                                            ConstTensorView residual_mean, const Workspace& workspace) {
  constexpr const char* kName = "BatchNormBackwardJoinSums";
  const BackwardCall call(kName, args);
  CheckLikeInput(kName, "residual", residual, args.input.shape());
  CheckChannels(kName, "residual_mean", residual_mean, args.input.shape().back());
  Check(!args.relu || args.output.data() != nullptr, kName, ": relu's mask needs the output");
  return call.JoinSums({residual.data(), residual_mean.span()}, workspace);
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
