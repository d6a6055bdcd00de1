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

/// The sums of one block of rows, a value a column of the task.
struct BlockSums {
  HWY_ALIGN float shift[kMaxChannelTaskColumns];
  HWY_ALIGN float first[kMaxChannelTaskColumns];
  HWY_ALIGN float second[kMaxChannelTaskColumns];
};

/// Adds up `rows` rows of kVectors vectors, from column `c` of the task on, in registers.
template <ChannelTerms kTerms, int kVectors, class D>
HWY_INLINE void SumTile(D d, const ChannelTask& task, int64_t row, int64_t rows, int64_t c, BlockSums& sums) {
  const auto L = static_cast<int64_t>(hn::Lanes(d));
  const int64_t column = task.column_begin + c;
  const int64_t origin = row * task.columns + column;
  hn::Vec<D> shift[kVectors], first[kVectors], second[kVectors];
  for (int v = 0; v < kVectors; ++v) first[v] = second[v] = hn::Zero(d);
  if constexpr (kTerms == ChannelTerms::kStableMoments) {
    // The first row plus the mean difference of the first few from it: equal values give exactly themselves, and a
    // power of two of rows keeps integers exact.
    int64_t few = kChannelShiftRows;
    while (few > rows) few /= 2;
    for (int v = 0; v < kVectors; ++v) shift[v] = hn::LoadU(d, task.x + origin + v * L);
    for (int64_t r = 1; r < few; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        const auto value = hn::LoadU(d, task.x + origin + r * task.columns + v * L);
        first[v] = hn::Add(first[v], hn::Sub(value, shift[v]));
      }
    }
    const auto inverse = hn::Set(d, 1.0f / static_cast<float>(few));
    for (int v = 0; v < kVectors; ++v) {
      shift[v] = hn::MulAdd(first[v], inverse, shift[v]);
      first[v] = hn::Zero(d);
      hn::StoreU(shift[v], d, sums.shift + c + v * L);
    }
  } else {
    for (int v = 0; v < kVectors; ++v) shift[v] = hn::LoadU(d, task.shift + column + v * L);
  }
  int64_t at = origin;
  for (int64_t r = 0; r < rows; ++r, at += task.columns) {
    for (int v = 0; v < kVectors; ++v) {
      const auto centered = hn::Sub(hn::LoadU(d, task.x + at + v * L), shift[v]);
      auto term = centered;
      if constexpr (kTerms == ChannelTerms::kGradient || kTerms == ChannelTerms::kReluGradient) {
        term = hn::LoadU(d, task.grad + at + v * L);
      }
      if constexpr (kTerms == ChannelTerms::kReluGradient) {
        term = hn::IfThenElseZero(hn::Gt(hn::LoadU(d, task.output + at + v * L), hn::Zero(d)), term);
      }
      first[v] = hn::Add(first[v], term);
      second[v] = hn::MulAdd(term, centered, second[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    hn::StoreU(first[v], d, sums.first + c + v * L);
    hn::StoreU(second[v], d, sums.second + c + v * L);
  }
}

/// One block of rows, all columns of the task: four vectors at a time, since each vector's additions wait for one
/// another; then single vectors, the last of which overlaps its neighbour where the columns don't fill it.
template <ChannelTerms kTerms>
HWY_INLINE void SumBlock(const ChannelTask& task, int64_t row, int64_t rows, BlockSums& sums) {
  const hn::CappedTag<float, kMinChannelColumns> d;
  const auto L = static_cast<int64_t>(hn::Lanes(d));
  const int64_t width = task.column_end - task.column_begin;
  int64_t c = 0;
  for (; c + 4 * L <= width; c += 4 * L) SumTile<kTerms, 4>(d, task, row, rows, c, sums);
  for (; c < width; c += L) SumTile<kTerms, 1>(d, task, row, rows, std::min(c, width - L), sums);
}

/// Chan's merge of a block, given as sums of x − shift, into the running mean and Σ (x − mean)² of `count` rows.
HWY_INLINE void MergeBlock(int64_t width, int64_t count, int64_t rows, const BlockSums& HWY_RESTRICT sums,
                           double* HWY_RESTRICT mean, double* HWY_RESTRICT m2) {
  const double inverse = 1.0 / static_cast<double>(rows);
  const double weight = static_cast<double>(rows) / static_cast<double>(count + rows);
  const double cross = static_cast<double>(count) * weight;
  for (int64_t c = 0; c < width; ++c) {
    const double sum = sums.first[c];
    const double offset = sum * inverse;
    const double delta = (sums.shift[c] + offset) - mean[c];
    mean[c] += delta * weight;
    m2[c] += (sums.second[c] - sum * offset) + delta * delta * cross;
  }
}

HWY_INLINE void AddBlock(int64_t width, const BlockSums& HWY_RESTRICT sums, double* HWY_RESTRICT first,
                         double* HWY_RESTRICT second) {
  for (int64_t c = 0; c < width; ++c) {
    first[c] += sums.first[c];
    second[c] += sums.second[c];
  }
}

template <ChannelTerms kTerms>
HWY_INLINE void SumTask(const ChannelTask& task) {
  BlockSums sums;
  const int64_t width = task.column_end - task.column_begin;
  std::fill_n(task.first, width, 0.0);
  std::fill_n(task.second, width, 0.0);
  for (int64_t row = task.row_begin; row < task.row_end; row += kChannelBlockRows) {
    const int64_t rows = std::min(kChannelBlockRows, task.row_end - row);
    SumBlock<kTerms>(task, row, rows, sums);
    if constexpr (kTerms == ChannelTerms::kStableMoments) {
      MergeBlock(width, row - task.row_begin, rows, sums, task.first, task.second);
    } else {
      AddBlock(width, sums, task.first, task.second);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_CHANNEL_SUMS_INL_H_
