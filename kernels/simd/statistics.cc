#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/simd/statistics.cc"
#include "hwynn/kernels/simd/statistics.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>

#include "hwynn/core/split.h"
#include "hwynn/kernels/simd/channel_sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

// √64: with as many values in each, two levels round the least.
inline constexpr int64_t kFewRows = 8;

// sum += Σ (x − shift) and squares += Σ (x − shift)² over `rows` rows.
template <int kVectors, class V, class D = hn::DFromV<V>>
HWY_INLINE void AddFewRows(const float* row, int64_t pitch, int64_t rows, const V (&shift)[kVectors],
                           V (&sum)[kVectors], V (&squares)[kVectors]) {
  const D d;
  V few_sum[kVectors], few_squares[kVectors];
  for (int v = 0; v < kVectors; ++v) few_sum[v] = few_squares[v] = hn::Zero(d);
  HWY_UNROLL(8) for (int64_t r = 0; r < rows; ++r, row += pitch) {
    for (int v = 0; v < kVectors; ++v) {
      const V centered = hn::Sub(hn::LoadU(d, row + v * static_cast<int64_t>(hn::Lanes(d))), shift[v]);
      few_sum[v] = hn::Add(few_sum[v], centered);
      few_squares[v] = hn::MulAdd(centered, centered, few_squares[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    sum[v] = hn::Add(sum[v], few_sum[v]);
    squares[v] = hn::Add(squares[v], few_squares[v]);
  }
}

// The same over a block, in two levels.
template <int kVectors, class V>
HWY_INLINE void SumRows(const float* row, int64_t pitch, int64_t rows, const V (&shift)[kVectors], V (&sum)[kVectors],
                        V (&squares)[kVectors]) {
  for (int v = 0; v < kVectors; ++v) sum[v] = squares[v] = hn::Zero(hn::DFromV<V>());
  for (; rows >= kFewRows; rows -= kFewRows, row += kFewRows * pitch) {
    AddFewRows(row, pitch, kFewRows, shift, sum, squares);
  }
  if (rows > 0) AddFewRows(row, pitch, rows, shift, sum, squares);
}

// Sums of kVectors vectors of columns from c on. Shifted by the block's own mean, which costs another look at rows that
// are in the first-level cache, and in two levels: with fewer roundings in a row than any data could make large. Many
// equal values, such as padding or a ReLU leaves, all round in the same direction when they meet a large sum.
template <int kVectors, class D>
HWY_INLINE void SumColumns(D d, const float* values, int64_t pitch, int64_t rows, int64_t c, BlockSums& sums) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  values += c;
  hn::Vec<D> shift[kVectors], sum[kVectors], squares[kVectors];
  // By differences from the first row: equal values give exactly themselves.
  for (int v = 0; v < kVectors; ++v) shift[v] = hn::LoadU(d, values + v * lanes);
  SumRows(values, pitch, rows, shift, sum, squares);
  const auto inverse = hn::Set(d, 1.0f / static_cast<float>(rows));
  for (int v = 0; v < kVectors; ++v) shift[v] = hn::MulAdd(sum[v], inverse, shift[v]);
  SumRows(values, pitch, rows, shift, sum, squares);
  for (int v = 0; v < kVectors; ++v) {
    hn::StoreU(shift[v], d, sums.shift + c + v * lanes);
    hn::StoreU(sum[v], d, sums.first + c + v * lanes);
    hn::StoreU(squares[v], d, sums.second + c + v * lanes);
  }
}

// Columns [begin, end) of a block; at least kMinChannelColumns from `begin` on can be read.
void AddColumns(const float* values, int64_t pitch, int64_t rows, int64_t begin, int64_t end,
                const ChannelMoments& to) {
  const hn::CappedTag<float, kMinChannelColumns> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t width = std::max(end - begin, kMinChannelColumns);
  BlockSums sums;
  int64_t c = 0;
  for (; c + 2 * lanes <= width; c += 2 * lanes) SumColumns<2>(d, values + begin, pitch, rows, c, sums);
  // The last vector overlaps its neighbour where the columns don't fill it.
  for (; c < width; c += lanes) SumColumns<1>(d, values + begin, pitch, rows, std::min(c, width - lanes), sums);
  MergeBlock(end - begin, to.count, rows, sums, to.mean + begin, to.m2 + begin);
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {

HWY_EXPORT(AddColumns);

void ChannelMoments::AddBlock(const float* values, int64_t pitch, int64_t rows, int64_t channels) {
  if (count == 0) {
    std::fill_n(mean, channels, 0.0);
    std::fill_n(m2, channels, 0.0);
  }
  float copy[kBlockRows * kMinChannelColumns];
  if (pitch < kMinChannelColumns) {  // vectors would reach beyond the last row
    std::fill(std::begin(copy), std::end(copy), 0.0f);
    for (int64_t row = 0; row < rows; ++row) {
      std::copy_n(values + row * pitch, channels, copy + row * kMinChannelColumns);
    }
    values = copy;
    pitch = kMinChannelColumns;
  }
  // As many columns as stay in the first-level cache; of several pieces each has at least kMinChannelColumns.
  const EvenSplit pieces(channels, StatisticsRows::kPitch);
  for (int64_t i = 0; i < pieces.count; ++i) {
    HWY_DYNAMIC_DISPATCH(AddColumns)(values, pitch, rows, pieces.Begin(i), pieces.End(i), *this);
  }
  count += rows;
}

void StatisticsRows::Open(const ChannelMoments& to, int64_t channels) {
  if (channels % kMinChannelColumns != 0) std::fill(std::begin(values_), std::end(values_), 0.0f);
  waiting_ = 0;
  channels_ = channels;
  moments_ = to;
}

void StatisticsRows::AddBlock() {
  constexpr int64_t kBlock = ChannelMoments::kBlockRows;
  moments_.AddBlock(values_, kPitch, kBlock, channels_);
  waiting_ -= kBlock;
  std::copy_n(values_ + kBlock * kPitch, waiting_ * kPitch, values_);
}

void StatisticsRows::Close() {
  if (waiting_ > 0) moments_.AddBlock(values_, kPitch, waiting_, channels_);
  waiting_ = 0;
}

}  // namespace hwynn
#endif  // HWY_ONCE
