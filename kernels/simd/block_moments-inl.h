// Moments of blocks of rows: what BatchNorm's statistics and a convolution's epilogue gather. Per-target include guard.
#if defined(HWYNN_KERNELS_SIMD_BLOCK_MOMENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_SIMD_BLOCK_MOMENTS_INL_H_
#undef HWYNN_KERNELS_SIMD_BLOCK_MOMENTS_INL_H_
#else
#define HWYNN_KERNELS_SIMD_BLOCK_MOMENTS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "hwynn/core/split.h"
#include "hwynn/kernels/simd/channel_sums_task.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Rows `pitch` floats apart. With `ahead` the same columns so many floats later are fetched into the second-level
/// cache.
struct EvenBlockRows {
  HWY_INLINE const float* operator()(int64_t row, int64_t column) const {
    const float* at = values + row * pitch + column;
    if (ahead != 0) __builtin_prefetch(at + ahead, 0, 2);
    return at;
  }

  const float* values;
  int64_t pitch;
  int64_t ahead = 0;
};

/// Rows that lie anywhere.
struct ListedBlockRows {
  HWY_INLINE const float* operator()(int64_t row, int64_t column) const { return rows[row] + column; }

  const float* const* rows;
};

/// Rows that are added up as one binary tree.
inline constexpr int64_t kTreeRows = 16;

template <class D>
struct ColumnSums {
  hn::Vec<D> sum;      // of x − shift
  hn::Vec<D> squares;  // of its squares
};

/// Of kRows rows of one vector of columns, as a binary tree: its few roundings in a row can't make large errors, and
/// equal values, such as padding or a ReLU leaves, come out exact. In sequential sums of them all roundings go the same
/// way.
template <int kRows, class D, class Rows>
HWY_INLINE ColumnSums<D> TreeSums(D d, const Rows& rows, int64_t row, int64_t c, hn::Vec<D> shift) {
  if constexpr (kRows == 1) {
    const auto x = hn::Sub(hn::LoadU(d, rows(row, c)), shift);
    return {x, hn::Mul(x, x)};
  } else if constexpr (kRows == 2) {
    const auto x = hn::Sub(hn::LoadU(d, rows(row, c)), shift);
    const auto y = hn::Sub(hn::LoadU(d, rows(row + 1, c)), shift);
    return {hn::Add(x, y), hn::MulAdd(y, y, hn::Mul(x, x))};
  } else {
    const ColumnSums<D> a = TreeSums<kRows / 2>(d, rows, row, c, shift);
    const ColumnSums<D> b = TreeSums<kRows / 2>(d, rows, row + kRows / 2, c, shift);
    return {hn::Add(a.sum, b.sum), hn::Add(a.squares, b.squares)};
  }
}

/// Adds rows [begin, begin + count) to `sums`, in trees.
template <class D, class Rows>
HWY_INLINE void AddRows(D d, const Rows& rows, Range range, int64_t c, hn::Vec<D> shift, ColumnSums<D>& sums) {
  int64_t row = range.begin;
  const auto add = [&](const ColumnSums<D>& tree, int64_t count) HWY_ATTR {
    sums.sum = hn::Add(sums.sum, tree.sum);
    sums.squares = hn::Add(sums.squares, tree.squares);
    row += count;
  };
  while (row + kTreeRows <= range.end) add(TreeSums<kTreeRows>(d, rows, row, c, shift), kTreeRows);
  if (row + 8 <= range.end) add(TreeSums<8>(d, rows, row, c, shift), 8);
  if (row + 4 <= range.end) add(TreeSums<4>(d, rows, row, c, shift), 4);
  if (row + 2 <= range.end) add(TreeSums<2>(d, rows, row, c, shift), 2);
  if (row + 1 <= range.end) add(TreeSums<1>(d, rows, row, c, shift), 1);
}

/// The mean of `count` rows, by differences from the first one: equal values give exactly themselves.
template <class D, class Rows>
HWY_INLINE hn::Vec<D> MeanOf(D d, const Rows& rows, int64_t count, int64_t c) {
  const auto first = hn::LoadU(d, rows(0, c));
  ColumnSums<D> sums{hn::Zero(d), hn::Zero(d)};
  AddRows(d, rows, {0, count}, c, first, sums);
  return hn::MulAdd(sums.sum, hn::Set(d, 1.0f / static_cast<float>(count)), first);
}

/// Calls body(d, c) for vectors of double, and for what is left over with a tag of one lane.
template <class Body>
HWY_INLINE void ForDoubles(int64_t begin, int64_t end, const Body& body) {
  const hn::CappedTag<double, 8> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t c = begin;
  for (; c + lanes <= end; c += lanes) body(d, c);
  for (; c < end; ++c) body(hn::CappedTag<double, 1>(), c);
}

template <class D>
HWY_INLINE hn::Vec<D> LoadAsDouble(D d, const float* from) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, D>(), from));
}

/// The running mean and Σ (x − mean)² of `count` rows of `width` columns.
struct RunningMoments {
  double* HWY_RESTRICT mean;
  double* HWY_RESTRICT m2;
  int64_t count;
  int64_t width;
};

/// A block's sums of a few columns, as AddRows makes them.
struct BlockSumsView {
  const float* shift;
  const float* sum;
  const float* squares;
};

/// Chan's merge of `rows` rows of columns [begin, end); the sums' first column is c.
HWY_INLINE void MergeColumns(const BlockSumsView& sums, int64_t rows, int64_t c, Range columns,
                             const RunningMoments& moments) {
  const double weight = static_cast<double>(rows) / static_cast<double>(moments.count + rows);
  const double cross = static_cast<double>(moments.count) * weight;
  const double inverse = 1.0 / static_cast<double>(rows);
  ForDoubles(columns.begin, columns.end, [&](auto d, int64_t column) HWY_ATTR {
    const int64_t at = column - c;
    const auto sum = LoadAsDouble(d, sums.sum + at);
    const auto offset = hn::Mul(sum, hn::Set(d, inverse));
    const auto mean = hn::LoadU(d, moments.mean + column);
    const auto delta = hn::Sub(hn::Add(LoadAsDouble(d, sums.shift + at), offset), mean);
    hn::StoreU(hn::Add(mean, hn::Mul(delta, hn::Set(d, weight))), d, moments.mean + column);
    const auto within = hn::Sub(LoadAsDouble(d, sums.squares + at), hn::Mul(sum, offset));
    // A rounding mustn't make it negative; NaN stays.
    const auto not_negative = hn::IfThenZeroElse(hn::Lt(within, hn::Zero(d)), within);
    const auto across = hn::Mul(hn::Mul(delta, delta), hn::Set(d, cross));
    hn::StoreU(hn::Add(hn::LoadU(d, moments.m2 + column), hn::Add(not_negative, across)), d, moments.m2 + column);
  });
}

/// shift[i] = the mean so far of column begin + i.
HWY_INLINE void ShiftsOf(const RunningMoments& moments, Range columns, float* HWY_RESTRICT shift) {
  ForDoubles(columns.begin, columns.end, [&](auto d, int64_t c) HWY_ATTR {
    const hn::Rebind<float, decltype(d)> df;
    hn::StoreU(hn::DemoteTo(df, hn::LoadU(d, moments.mean + c)), df, shift + (c - columns.begin));
  });
}

/// Adds a block of up to kChannelBlockRows rows, of which at least kMinChannelColumns columns can be read. It is
/// shifted by the mean of the rows before it, if those are as many; else by its own, which takes another look at rows
/// that are in the first-level cache then. So its squares add up to no more than twice what it adds to the variance,
/// and a rounding of them is one of the variance.
template <class Rows>
HWY_INLINE void AddBlock(const Rows& rows, int64_t count, const RunningMoments& moments) {
  using D = hn::CappedTag<float, kMinChannelColumns>;
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t columns = std::max(moments.width, kMinChannelColumns);
  HWY_ALIGN float shift[kMinChannelColumns] = {};
  HWY_ALIGN float sum[kMinChannelColumns];
  HWY_ALIGN float squares[kMinChannelColumns];
  for (int64_t fresh = 0; fresh < columns; fresh += lanes) {
    // The last vector overlaps its neighbour where the columns don't fill it.
    const int64_t c = std::min(fresh, columns - lanes);
    const Range merged{fresh, std::min(moments.width, c + lanes)};
    if (merged.end <= merged.begin) break;
    if (moments.count < count) {
      hn::Store(MeanOf(d, rows, count, c), d, shift);
    } else {
      ShiftsOf(moments, merged, shift + (fresh - c));
    }
    ColumnSums<D> sums{hn::Zero(d), hn::Zero(d)};
    AddRows(d, rows, {0, count}, c, hn::Load(d, shift), sums);
    hn::Store(sums.sum, d, sum);
    hn::Store(sums.squares, d, squares);
    MergeColumns({shift, sum, squares}, count, c, merged, moments);
  }
}

/// Chan's merge of moments of the same columns.
HWY_INLINE void MergeMomentsOf(const RunningMoments& from, const RunningMoments& to) {
  const double weight = static_cast<double>(from.count) / static_cast<double>(to.count + from.count);
  const double cross = static_cast<double>(to.count) * weight;
  ForDoubles(0, to.width, [&](auto d, int64_t c) HWY_ATTR {
    const auto mean = hn::LoadU(d, to.mean + c);
    const auto delta = hn::Sub(hn::LoadU(d, from.mean + c), mean);
    hn::StoreU(hn::Add(mean, hn::Mul(delta, hn::Set(d, weight))), d, to.mean + c);
    const auto across = hn::Mul(hn::Mul(delta, delta), hn::Set(d, cross));
    hn::StoreU(hn::Add(hn::LoadU(d, to.m2 + c), hn::Add(hn::LoadU(d, from.m2 + c), across)), d, to.m2 + c);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_SIMD_BLOCK_MOMENTS_INL_H_
