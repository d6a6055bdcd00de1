// Vector code of channel_sums.h; per-target include guard.
#if defined(HWYNN_KERNELS_SIMD_CHANNEL_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_SIMD_CHANNEL_SUMS_INL_H_
#undef HWYNN_KERNELS_SIMD_CHANNEL_SUMS_INL_H_
#else
#define HWYNN_KERNELS_SIMD_CHANNEL_SUMS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "hwynn/kernels/simd/block_moments-inl.h"
#include "hwynn/kernels/simd/channel_sums_task.h"
#include "hwynn/kernels/simd/normalize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The sums of one block of rows, a value a column of the task.
struct BlockSums {
  HWY_ALIGN float first[kMaxChannelTaskColumns];
  HWY_ALIGN float second[kMaxChannelTaskColumns];
  HWY_ALIGN float third[kMaxChannelTaskColumns];
};

/// The gradient at element `at`, after its mask; stored too where that is wanted. `centered` is x − shift there.
/// Inlined with constant `terms` and `store` it has no branches.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Gradient(D d, const ChannelTask& task, ChannelTerms terms, bool store, int64_t at, V centered, V mul,
                      V bias) {
  V grad = hn::LoadU(d, task.grad + at);
  if (terms == ChannelTerms::kGradientReluOfOutput) {
    grad = ClipGradient(d, hn::LoadU(d, task.output + at), hn::Set(d, task.last), grad);
  }
  if (terms == ChannelTerms::kGradientReluOfInput) {
    grad = ClipGradient(d, Normalized(centered, mul, bias), hn::Set(d, task.last), grad);
  }
  if (store) hn::StoreU(grad, d, task.masked + at);
  return grad;
}

/// Adds up `rows` rows of kVectors vectors, from column `c` of the task on, in registers. Fetches the same rows `ahead`
/// elements later into the second-level cache, unless that is 0: the hardware's own prefetchers lose the columns at
/// each row's end, and reach two thirds of a core's memory bandwidth where one array is read.
template <ChannelTerms kTerms, bool kStore, bool kOther, int kVectors, class D>
HWY_INLINE void SumTile(D d, const ChannelTask& task, int64_t row, int64_t rows, int64_t c, int64_t ahead,
                        BlockSums& sums) {
  const auto L = static_cast<int64_t>(hn::Lanes(d));
  const int64_t column = task.column_begin + c;
  const int64_t origin = row * task.columns + column;
  constexpr int64_t kLine = 16;  // floats
  constexpr bool kGradients = kTerms == ChannelTerms::kGradient || kTerms == ChannelTerms::kGradientReluOfOutput ||
                              kTerms == ChannelTerms::kGradientReluOfInput;
  constexpr bool kNormalizes = kTerms == ChannelTerms::kGradientReluOfInput;
  hn::Vec<D> shift[kVectors], mul[kVectors], bias[kVectors], first[kVectors], second[kVectors];
  hn::Vec<D> other_shift[kVectors], third[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    first[v] = second[v] = third[v] = hn::Zero(d);
    other_shift[v] = kOther ? hn::LoadU(d, task.other_shift + column + v * L) : hn::Zero(d);
    mul[v] = kNormalizes ? hn::LoadU(d, task.mul + column + v * L) : hn::Zero(d);
    bias[v] = kNormalizes ? hn::LoadU(d, task.bias + column + v * L) : hn::Zero(d);
  }
  for (int v = 0; v < kVectors; ++v) shift[v] = hn::LoadU(d, task.shift + column + v * L);
  int64_t at = origin;
  for (int64_t r = 0; r < rows; ++r, at += task.columns) {
    for (int64_t line = at + ahead; ahead != 0 && line < at + ahead + kVectors * L; line += kLine) {
      __builtin_prefetch(task.x + line, 0, 2);
      if (kGradients) __builtin_prefetch(task.grad + line, 0, 2);
      if (kTerms == ChannelTerms::kGradientReluOfOutput) __builtin_prefetch(task.output + line, 0, 2);
      if (kOther) __builtin_prefetch(task.other + line, 0, 2);
    }
    for (int v = 0; v < kVectors; ++v) {
      const auto x = hn::LoadU(d, task.x + at + v * L);
      if constexpr (kTerms == ChannelTerms::kSum) {
        first[v] = hn::Add(first[v], x);
        continue;
      }
      const auto centered = hn::Sub(x, shift[v]);
      auto term = centered;
      if constexpr (kGradients) {
        term = Gradient(d, task, kTerms, kStore, at + v * L, centered, mul[v], bias[v]);
      }
      first[v] = hn::Add(first[v], term);
      second[v] = hn::MulAdd(term, centered, second[v]);
      if constexpr (kOther) {
        const auto other = hn::Sub(hn::LoadU(d, task.other + at + v * L), other_shift[v]);
        third[v] = hn::MulAdd(term, other, third[v]);
      }
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    hn::StoreU(first[v], d, sums.first + c + v * L);
    hn::StoreU(second[v], d, sums.second + c + v * L);
    if constexpr (kOther) hn::StoreU(third[v], d, sums.third + c + v * L);
  }
}

/// One block of rows, all columns of the task: four vectors at a time, since each vector's additions wait for one
/// another; then single vectors, the last of which overlaps its neighbour where the columns don't fill it.
template <ChannelTerms kTerms, bool kStore, bool kOther>
HWY_INLINE void SumBlock(const ChannelTask& task, int64_t row, int64_t rows, BlockSums& sums) {
  const hn::CappedTag<float, kMinChannelColumns> d;
  const auto L = static_cast<int64_t>(hn::Lanes(d));
  const int64_t width = task.column_end - task.column_begin;
  int64_t c = 0;
  for (; c + 4 * L <= width; c += 4 * L) {
    // The next columns, or the first ones of the next block.
    const int64_t ahead = c + 8 * L <= width ? 4 * L : rows * task.columns - c;
    SumTile<kTerms, kStore, kOther, 4>(d, task, row, rows, c, ahead, sums);
  }
  for (; c < width; c += L) SumTile<kTerms, kStore, kOther, 1>(d, task, row, rows, std::min(c, width - L), 0, sums);
}

HWY_INLINE void AddSums(int64_t width, const float* HWY_RESTRICT block, double* HWY_RESTRICT sums) {
  for (int64_t c = 0; c < width; ++c) sums[c] += block[c];
}

template <ChannelTerms kTerms, bool kStore = false, bool kOther = false>
HWY_INLINE void SumTask(const ChannelTask& task) {
  BlockSums sums;
  const int64_t width = task.column_end - task.column_begin;
  std::fill_n(task.first, width, 0.0);
  std::fill_n(task.second, width, 0.0);
  if (kOther) std::fill_n(task.third, width, 0.0);
  for (int64_t row = task.row_begin; row < task.row_end; row += kChannelBlockRows) {
    const int64_t rows = std::min(kChannelBlockRows, task.row_end - row);
    SumBlock<kTerms, kStore, kOther>(task, row, rows, sums);
    AddSums(width, sums.first, task.first);
    AddSums(width, sums.second, task.second);
    if constexpr (kOther) AddSums(width, sums.third, task.third);
  }
}

/// first = mean, second = Σ (x − mean)².
HWY_INLINE void MomentsTask(const ChannelTask& task) {
  const int64_t width = task.column_end - task.column_begin;
  std::fill_n(task.first, width, 0.0);
  std::fill_n(task.second, width, 0.0);
  int64_t rows = 0;
  for (int64_t row = task.row_begin; row < task.row_end; row += rows) {
    const int64_t before = row - task.row_begin;
    rows = std::min(std::clamp(before, kTreeRows, kChannelBlockRows), task.row_end - row);
    const EvenBlockRows block{task.x + row * task.columns + task.column_begin, task.columns};
    AddBlock(block, rows, rows * task.columns, {task.first, task.second, before, width});
  }
}

/// The sums of gradients, which are stored or not, over one array or two. A mask made from the input is that of a
/// norm without a residual, so there is no second array.
template <ChannelTerms kTerms>
HWY_INLINE void SumGradientTask(const ChannelTask& task) {
  if constexpr (kTerms != ChannelTerms::kGradientReluOfInput) {
    if (task.other != nullptr) {
      return task.masked == nullptr ? SumTask<kTerms, false, true>(task) : SumTask<kTerms, true, true>(task);
    }
  }
  return task.masked == nullptr ? SumTask<kTerms>(task) : SumTask<kTerms, true>(task);
}

/// The gradients in the task's columns of its first row, one by one: with the bits that the sums see.
HWY_INLINE void RowGradients(const ChannelTask& task, float* gradients) {
  const hn::CappedTag<float, 1> d;
  const bool normalizes = task.terms == ChannelTerms::kGradientReluOfInput;
  for (int64_t c = task.column_begin; c < task.column_end; ++c) {
    const int64_t at = task.row_begin * task.columns + c;
    const auto centered = hn::Sub(hn::LoadU(d, task.x + at), hn::LoadU(d, task.shift + c));
    const auto mul = normalizes ? hn::LoadU(d, task.mul + c) : hn::Zero(d);
    const auto bias = normalizes ? hn::LoadU(d, task.bias + c) : hn::Zero(d);
    hn::StoreU(Gradient(d, task, task.terms, task.masked != nullptr, at, centered, mul, bias), d, gradients + c);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_SIMD_CHANNEL_SUMS_INL_H_
