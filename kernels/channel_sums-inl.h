// Vector code of channel_sums.h; per-target include guard.
#if defined(HWYNN_KERNELS_CHANNEL_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_CHANNEL_SUMS_INL_H_
#undef HWYNN_KERNELS_CHANNEL_SUMS_INL_H_
#else
#define HWYNN_KERNELS_CHANNEL_SUMS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "hwynn/kernels/channel_sums_task.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Adds up `rows` rows of kVectors vectors of columns in registers. `first` and `second` are overwritten.
template <ChannelTerms kTerms, int kVectors, class D>
HWY_INLINE void SumTile(D d, const ChannelTask& task, int64_t row, int64_t rows, int64_t column, const float* shift,
                        float* first, float* second) {
  const auto L = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> shifts[kVectors], sums[kVectors], seconds[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    shifts[v] = hn::LoadU(d, shift + v * L);
    sums[v] = seconds[v] = hn::Zero(d);
  }
  int64_t at = row * task.columns + column;
  for (int64_t r = 0; r < rows; ++r, at += task.columns) {
    for (int v = 0; v < kVectors; ++v) {
      const auto centered = hn::Sub(hn::LoadU(d, task.x + at + v * L), shifts[v]);
      auto term = centered;
      if constexpr (kTerms == ChannelTerms::kGradient || kTerms == ChannelTerms::kReluGradient) {
        term = hn::LoadU(d, task.grad + at + v * L);
      }
      if constexpr (kTerms == ChannelTerms::kReluGradient) {
        term = hn::IfThenElseZero(hn::Gt(hn::LoadU(d, task.output + at + v * L), hn::Zero(d)), term);
      }
      sums[v] = hn::Add(sums[v], term);
      seconds[v] = hn::MulAdd(term, centered, seconds[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    hn::StoreU(sums[v], d, first + v * L);
    hn::StoreU(seconds[v], d, second + v * L);
  }
}

/// One block of rows, all columns of the task: four vectors at a time, since each vector's additions wait for one
/// another; then single vectors, the last of which overlaps its neighbour where the columns don't fill it.
template <ChannelTerms kTerms>
HWY_INLINE void SumBlock(const ChannelTask& task, int64_t row, int64_t rows, const float* shift, float* first,
                         float* second) {
  const hn::CappedTag<float, kMinChannelColumns> d;
  const auto L = static_cast<int64_t>(hn::Lanes(d));
  const int64_t width = task.column_end - task.column_begin;
  int64_t c = 0;
  for (; c + 4 * L <= width; c += 4 * L) {
    SumTile<kTerms, 4>(d, task, row, rows, task.column_begin + c, shift + c, first + c, second + c);
  }
  for (; c < width; c += L) {
    const int64_t from = std::min(c, width - L);
    SumTile<kTerms, 1>(d, task, row, rows, task.column_begin + from, shift + from, first + from, second + from);
  }
}

/// Chan's merge of a block, given as sums of x − shift, into the running mean and Σ (x − mean)² of `count` rows.
HWY_INLINE void MergeBlock(int64_t width, int64_t count, int64_t rows, const float* HWY_RESTRICT shift,
                           const float* HWY_RESTRICT sum, const float* HWY_RESTRICT sum2, double* HWY_RESTRICT mean,
                           double* HWY_RESTRICT m2) {
  const double inverse = 1.0 / static_cast<double>(rows);
  const double weight = static_cast<double>(rows) / static_cast<double>(count + rows);
  const double cross = static_cast<double>(count) * weight;
  for (int64_t c = 0; c < width; ++c) {
    const double block_sum = sum[c];
    const double offset = block_sum * inverse;
    const double delta = (shift[c] + offset) - mean[c];
    mean[c] += delta * weight;
    m2[c] += (sum2[c] - block_sum * offset) + delta * delta * cross;
  }
}

HWY_INLINE void AddBlock(int64_t width, const float* HWY_RESTRICT first, const float* HWY_RESTRICT second,
                         double* HWY_RESTRICT total_first, double* HWY_RESTRICT total_second) {
  for (int64_t c = 0; c < width; ++c) {
    total_first[c] += first[c];
    total_second[c] += second[c];
  }
}

template <ChannelTerms kTerms>
HWY_INLINE void SumTask(const ChannelTask& task) {
  HWY_ALIGN float first[kMaxChannelTaskColumns];
  HWY_ALIGN float second[kMaxChannelTaskColumns];
  const int64_t width = task.column_end - task.column_begin;
  std::fill_n(task.first, width, 0.0);
  std::fill_n(task.second, width, 0.0);
  for (int64_t row = task.row_begin; row < task.row_end; row += kChannelBlockRows) {
    const int64_t rows = std::min(kChannelBlockRows, task.row_end - row);
    if constexpr (kTerms == ChannelTerms::kStableMoments) {
      const float* shift = task.x + row * task.columns + task.column_begin;
      SumBlock<kTerms>(task, row, rows, shift, first, second);
      MergeBlock(width, row - task.row_begin, rows, shift, first, second, task.first, task.second);
    } else {
      SumBlock<kTerms>(task, row, rows, task.shift + task.column_begin, first, second);
      AddBlock(width, first, second, task.first, task.second);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_CHANNEL_SUMS_INL_H_
