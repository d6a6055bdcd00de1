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
#include "hwynn/kernels/batch_norm/batch_norm-inl.h"
#include "hwynn/kernels/batch_norm/channels.h"
#include "hwynn/kernels/simd/channel_sums.h"
#include "hwynn/kernels/simd/flat.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

void NormalizeRange(const NormalizeTask& task, bool relu, bool stream, int64_t begin, int64_t end, int64_t period) {
  RunFlat<NormalizeOp>(task, begin, end, period, task.residual != nullptr, task.residual_norm.mul != nullptr, relu,
                       stream);
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
namespace {

HWY_EXPORT(NormalizeRange);

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
  const bool normalizes_residual = options.residual_affine.mean.data() != nullptr;
  constexpr const char* kName = "BatchNormNormalize";
  const int64_t C = CheckInput(kName, input);
  CheckAffine(kName, affine, C);
  CheckLikeInput(kName, "output", output, input.shape());
  if (residual.data() != nullptr) CheckLikeInput(kName, "residual", residual, input.shape());
  CheckUpper(kName, options.upper);
  if (normalizes_residual) {
    Check(residual.data() != nullptr, kName, ": residual_affine without a residual");
    CheckAffine(kName, options.residual_affine, C);
  }

  FlatTables tables(normalizes_residual ? 2 * kNormTables : kNormTables, C);
  FillNormTables(affine, tables);
  if (normalizes_residual) FillNormTables(options.residual_affine, tables, kNormTables);
  const auto norm_of = [&](int first) {
    return NormTables{tables[first + kMean], tables[first + kMul], tables[first + kBias]};
  };
  const NormalizeTask task{.input = input.data(),
                           .residual = residual.data(),
                           .output = output.data(),
                           .norm = norm_of(0),
                           .residual_norm = normalizes_residual ? norm_of(kNormTables) : NormTables{},
                           .upper = options.upper};
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

}  // namespace hwynn
#endif  // HWY_ONCE
