#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/simd/statistics.cc"
#include "hwynn/kernels/simd/statistics.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>

#include "hwynn/kernels/simd/block_moments-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

RunningMoments Running(const ChannelMoments& moments, int64_t channels) {
  return {moments.mean, moments.m2, moments.count, channels};
}

// At least kMinChannelColumns columns can be read.
void AddEvenRows(const float* values, int64_t pitch, int64_t rows, int64_t channels, const ChannelMoments& to) {
  AddBlock(EvenBlockRows{values, pitch}, rows, 0, Running(to, channels));
}

// Up to 16 rows into the sums of a block; `first` of all, of an early block, they are those whose mean shifts it.
void AddListedRows(const float* const* rows, int64_t num_rows, int64_t channels, bool first,
                   StatisticsRows::BlockSums& block) {
  using D = hn::CappedTag<float, kMinChannelColumns>;
  const D d;
  const ListedBlockRows listed{rows};
  for (int64_t c = 0; c < channels; c += static_cast<int64_t>(hn::Lanes(d))) {
    ColumnSums<D> sums{hn::Zero(d), hn::Zero(d)};
    if (first) {
      const auto row = hn::LoadU(d, listed(0, c));
      AddRows(d, listed, 0, num_rows, c, row, sums);
      hn::Store(MeanOf(d, row, sums.sum, num_rows), d, block.shift + c);
      sums = {hn::Zero(d), hn::Zero(d)};
    } else if (block.rows != 0) {
      sums = {hn::Load(d, block.sum + c), hn::Load(d, block.squares + c)};
    }
    AddRows(d, listed, 0, num_rows, c, hn::Load(d, block.shift + c), sums);
    hn::Store(sums.sum, d, block.sum + c);
    hn::Store(sums.squares, d, block.squares + c);
  }
  block.rows += num_rows;
}

// Merges a block, and shifts the next by the mean then.
void MergeListedRows(int64_t channels, const ChannelMoments& to, StatisticsRows::BlockSums& block) {
  RunningMoments moments = Running(to, channels);
  MergeColumns({block.shift, block.sum, block.squares}, block.rows, 0, {0, channels}, moments);
  ShiftsOf(moments, {0, channels}, block.shift);
}

void MergeChannels(const ChannelMoments& from, int64_t channels, const ChannelMoments& to) {
  MergeMomentsOf(Running(from, channels), Running(to, channels));
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {

HWY_EXPORT(AddEvenRows);
HWY_EXPORT(AddListedRows);
HWY_EXPORT(MergeListedRows);
HWY_EXPORT(MergeChannels);

namespace {

void Clear(const ChannelMoments& moments, int64_t channels) {
  std::fill_n(moments.mean, channels, 0.0);
  std::fill_n(moments.m2, channels, 0.0);
}

}  // namespace

void ChannelMoments::Merge(const ChannelMoments& other, int64_t channels) {
  if (count == 0) Clear(*this, channels);
  HWY_DYNAMIC_DISPATCH(MergeChannels)(other, channels, *this);
  count += other.count;
}

void ChannelMoments::AddBlock(const float* values, int64_t pitch, int64_t rows, int64_t channels) {
  if (count == 0) Clear(*this, channels);
  float copy[kBlockRows * kMinChannelColumns];
  if (pitch < kMinChannelColumns) {  // vectors would reach beyond the last row
    std::fill(std::begin(copy), std::end(copy), 0.0f);
    for (int64_t row = 0; row < rows; ++row) {
      std::copy_n(values + row * pitch, channels, copy + row * kMinChannelColumns);
    }
    values = copy;
    pitch = kMinChannelColumns;
  }
  HWY_DYNAMIC_DISPATCH(AddEvenRows)(values, pitch, rows, channels, *this);
  count += rows;
}

void StatisticsRows::Open(const ChannelMoments& to, int64_t channels, bool streamed) {
  const bool fills_vectors = channels % kMinChannelColumns == 0;
  copies_ = streamed || !fills_vectors;
  if (!fills_vectors) std::fill(std::begin(values_), std::end(values_), 0.0f);
  copied_ = 0;
  waiting_ = 0;
  channels_ = channels;
  moments_ = to;
  block_.rows = 0;
  if (to.count == 0) {
    Clear(to, channels);
  } else {
    std::fill(std::begin(block_.shift), std::end(block_.shift), 0.0f);
    for (int64_t c = 0; c < channels; ++c) block_.shift[c] = static_cast<float>(to.mean[c]);
  }
}

void StatisticsRows::ListCopies(int64_t rows) {
  for (int64_t i = 0; i < rows; ++i) rows_[waiting_ + i] = Next() + i * kPitch;
  copied_ += rows;
  if (copied_ + kMostRows > kCopies) copied_ = 0;
}

void StatisticsRows::AddGroups() {
  AddGroup(rows_, kGroupRows);
  waiting_ -= kGroupRows;
  std::copy_n(rows_ + kGroupRows, waiting_, rows_);
}

void StatisticsRows::AddGroup(const float* const* rows, int64_t num_rows) {
  const bool first = moments_.count < kGroupRows;
  HWY_DYNAMIC_DISPATCH(AddListedRows)(rows, num_rows, channels_, first, block_);
  if (first || block_.rows >= std::min(moments_.count, ChannelMoments::kBlockRows)) MergeBlock();
}

void StatisticsRows::MergeBlock() {
  HWY_DYNAMIC_DISPATCH(MergeListedRows)(channels_, moments_, block_);
  moments_.count += block_.rows;
  block_.rows = 0;
}

void StatisticsRows::Close() {
  if (waiting_ != 0) AddGroup(rows_, waiting_);
  if (block_.rows != 0) MergeBlock();
  waiting_ = 0;
}

}  // namespace hwynn
#endif  // HWY_ONCE
