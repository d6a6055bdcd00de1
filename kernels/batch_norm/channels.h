#ifndef HWYNN_KERNELS_BATCH_NORM_CHANNELS_H_
#define HWYNN_KERNELS_BATCH_NORM_CHANNELS_H_

// Not for users: checks of what BatchNorm's kernels get, and per-channel tables for their passes.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/split.h"
#include "hwynn/core/stack_memory.h"
#include "hwynn/core/tensor.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/simd/flat.h"

namespace hwynn {

/// Channels of `input`, which must hold at least one row.
inline int64_t CheckInput(const char* function, ConstTensorView input) {
  Check(input.shape().rank() >= 1 && input.size() > 0, function, ": input ", input.shape(),
        " must be [...,C] with at least one element");
  return input.shape().back();
}

inline void CheckChannels(const char* function, const char* name, ConstTensorView view, int64_t C) {
  Check(view.shape() == Shape{C}, function, ": ", name, " ", view.shape(), " must be [", C,
        "] as the input's channels");
}

inline void CheckLikeInput(const char* function, const char* name, ConstTensorView view, const Shape& input) {
  Check(view.shape() == input, function, ": ", name, " ", view.shape(), " != input ", input);
}

inline void CheckAffine(const char* function, const BatchNormAffine& affine, int64_t C) {
  CheckChannels(function, "mean", affine.mean, C);
  CheckChannels(function, "var", affine.var, C);
  if (affine.scale.data() != nullptr) CheckChannels(function, "scale", affine.scale, C);
  if (affine.bias.data() != nullptr) CheckChannels(function, "bias", affine.bias, C);
}

inline void CheckUpper(const char* function, float upper) {
  Check(upper >= 0, function, ": a ReLU's upper end must be 0 or more, not ", upper);
}

/// Rows that count: all, or those that the mask keeps.
inline int64_t CountRows(const char* function, int64_t rows, std::span<const uint8_t> mask) {
  if (mask.empty()) return rows;
  Check(static_cast<int64_t>(mask.size()) == rows, function, ": mask has ", mask.size(), " values for ", rows, " rows");
  return std::count_if(mask.begin(), mask.end(), [](uint8_t keep) { return keep != 0; });
}

/// Per-channel values for ForEachVector: each table repeats its channels up to a common period, and its start once
/// more behind it.
class FlatTables {
 public:
  FlatTables(int tables, int64_t channels)
      : channels_(channels),
        period_(RoundUp(kMinFlatPeriod, channels)),
        stride_(RoundUp(period_ + kMinFlatPeriod, kMinFlatPeriod)),
        values_(static_cast<float*>(memory_.resource()->allocate(static_cast<size_t>(tables * stride_) * sizeof(float),
                                                                 kTensorAlignmentBytes))) {}

  int64_t period() const { return period_; }
  const float* operator[](int table) const { return values_ + table * stride_; }

  template <class Value>
  void Fill(int table, const Value& value) {
    float* to = values_ + table * stride_;
    for (int64_t c = 0; c < channels_; ++c) to[c] = static_cast<float>(value(c));
    for (int64_t c = channels_; c < stride_; ++c) to[c] = to[c - channels_];
  }

 private:
  int64_t channels_, period_, stride_;
  StackMemory<32 << 10> memory_;
  float* values_;
};

/// 1/√(var + epsilon), exact to a double's rounding.
inline double InverseStd(const BatchNormAffine& affine, int64_t c) {
  return 1.0 / std::sqrt(static_cast<double>(affine.var[c]) + static_cast<double>(affine.epsilon));
}

inline double Scale(const BatchNormAffine& affine, int64_t c) {
  return affine.scale.data() == nullptr ? 1.0 : affine.scale[c];
}

/// The tables that normalise, first in every FlatTables: forward and backward must agree on their bits.
enum NormTable { kMean, kMul, kBias, kNormTables };

/// From table `first` on.
inline void FillNormTables(const BatchNormAffine& affine, FlatTables& tables, int first = 0) {
  tables.Fill(first + kMean, [&](int64_t c) { return affine.mean[c]; });
  tables.Fill(first + kMul, [&](int64_t c) { return Scale(affine, c) * InverseStd(affine, c); });
  tables.Fill(first + kBias, [&](int64_t c) { return affine.bias.data() == nullptr ? 0.0f : affine.bias[c]; });
}

/// The results of steps must be of one problem.
inline void CheckChannelValues(const char* function, const char* what, const std::vector<double>& values, int64_t C) {
  Check(static_cast<int64_t>(values.size()) == C, function, ": ", what, " of ", values.size(), " channels, not ", C);
}

}  // namespace hwynn

#endif  // HWYNN_KERNELS_BATCH_NORM_CHANNELS_H_
