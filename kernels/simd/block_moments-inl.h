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

/// Rows `pitch` floats apart.
struct EvenBlockRows {
  HWY_INLINE const float* operator()(int64_t row, int64_t column) const { return values + row * pitch + column; }

  const float* values;
  int64_t pitch;
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

/// Adds up to kTreeRows rows to `sums`, in trees.
template <class D, class Rows>
HWY_INLINE void AddRows(D d, const Rows& rows, int64_t row, int64_t count, int64_t c, hn::Vec<D> shift,
                        ColumnSums<D>& sums) {
  const auto add = [&](const ColumnSums<D>& tree, int64_t tree_rows) HWY_ATTR {
    sums.sum = hn::Add(sums.sum, tree.sum);
    sums.squares = hn::Add(sums.squares, tree.squares);
    row += tree_rows;
  };
  if (count == kTreeRows) return add(TreeSums<kTreeRows>(d, rows, row, c, shift), kTreeRows);
  if ((count & 8) != 0) add(TreeSums<8>(d, rows, row, c, shift), 8);
  if ((count & 4) != 0) add(TreeSums<4>(d, rows, row, c, shift), 4);
  if ((count & 2) != 0) add(TreeSums<2>(d, rows, row, c, shift), 2);
  if ((count & 1) != 0) add(TreeSums<1>(d, rows, row, c, shift), 1);
}

/// The mean of rows, given their sums of differences from the first one: equal values give exactly themselves.
template <class D>
HWY_INLINE hn::Vec<D> MeanOf(D d, hn::Vec<D> first, hn::Vec<D> sum, int64_t count) {
  return hn::MulAdd(sum, hn::Set(d, 1.0f / static_cast<float>(count)), first);
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

/// Some columns of a block, a few vectors side by side: so that lines and pages are met once. The last vector overlaps
/// its neighbour where the columns don't fill it.
template <class Rows>
class BlockColumns {
 public:
  using D = hn::CappedTag<float, kMinChannelColumns>;
  static constexpr int64_t kColumns = 4 * kMinChannelColumns;

  /// Columns [first, first + kColumns) of `columns`, as far as there are.
  HWY_INLINE BlockColumns(const Rows& rows, int64_t count, int64_t first, int64_t columns)
      : rows_(rows), count_(count), first_(first), end_(std::min(first + kColumns, columns)), columns_(columns) {}

  /// The block's own mean.
  HWY_INLINE void ShiftByMean() {
    const D d;
    for (int64_t v = 0; v < Vectors(); ++v) hn::Store(hn::LoadU(d, rows_(0, Column(v))), d, shift_ + v * Lanes());
    Sum(0);
    for (int64_t v = 0; v < Vectors(); ++v) {
      float* shift = shift_ + v * Lanes();
      hn::Store(MeanOf(d, hn::Load(d, shift), hn::Load(d, sum_ + v * Lanes()), count_), d, shift);
    }
  }
  HWY_INLINE void ShiftBy(const RunningMoments& moments) {
    for (int64_t v = 0; v < Vectors(); ++v) {
      std::fill_n(shift_ + v * Lanes(), Lanes(), 0.0f);
      ShiftsOf(moments, {Column(v), std::min(Column(v) + Lanes(), moments.width)}, shift_ + v * Lanes());
    }
  }
  /// Fetches what lies `ahead` floats behind the rows into the second-level cache, unless that is 0: the hardware's own
  /// prefetchers lose the columns at each row's end.
  HWY_INLINE void Sum(int64_t ahead) {
    const D d;
    for (int64_t i = 0; i < Vectors() * Lanes(); ++i) sum_[i] = squares_[i] = 0;
    for (int64_t row = 0; row < count_; row += kTreeRows) {
      const int64_t rows = std::min(kTreeRows, count_ - row);
      for (int64_t r = 0; ahead != 0 && r < rows; ++r) {
        for (int64_t c = first_; c < end_; c += kLine) __builtin_prefetch(rows_(row + r, c) + ahead, 0, 2);
      }
      for (int64_t v = 0; v < Vectors(); ++v) {
        const int64_t at = v * Lanes();
        ColumnSums<D> sums{hn::Load(d, sum_ + at), hn::Load(d, squares_ + at)};
        AddRows(d, rows_, row, rows, Column(v), hn::Load(d, shift_ + at), sums);
        hn::Store(sums.sum, d, sum_ + at);
        hn::Store(sums.squares, d, squares_ + at);
      }
    }
  }
  HWY_INLINE void Merge(const RunningMoments& moments) const {
    for (int64_t v = 0; v < Vectors(); ++v) {
      const int64_t at = v * Lanes();
      const Range fresh{first_ + at, std::min(Column(v) + Lanes(), moments.width)};
      MergeColumns({shift_ + at, sum_ + at, squares_ + at}, count_, Column(v), fresh, moments);
    }
  }

 private:
  static constexpr int64_t kLine = 16;  // floats

  static HWY_INLINE int64_t Lanes() { return static_cast<int64_t>(hn::Lanes(D())); }
  HWY_INLINE int64_t Vectors() const { return CeilDiv(end_ - first_, Lanes()); }
  HWY_INLINE int64_t Column(int64_t v) const { return std::min(first_ + v * Lanes(), columns_ - Lanes()); }

  const Rows rows_;
  const int64_t count_, first_, end_, columns_;
  HWY_ALIGN float shift_[kColumns];
  HWY_ALIGN float sum_[kColumns];
  HWY_ALIGN float squares_[kColumns];
};

/// Adds a block of up to kChannelBlockRows rows, of which at least kMinChannelColumns columns can be read. It is
/// shifted by the mean of the rows before it, if those are as many; else by its own, which takes another look at rows
/// that are in the first-level cache then. So its squares add up to no more than twice what it adds to the variance,
/// and a rounding of them is one of the variance. `next` is the distance in floats of the next block, which is fetched;
/// 0: none.
template <class Rows>
HWY_INLINE void AddBlock(const Rows& rows, int64_t count, int64_t next, const RunningMoments& moments) {
  const int64_t width = std::max(moments.width, kMinChannelColumns);
  for (int64_t first = 0; first < width; first += BlockColumns<Rows>::kColumns) {
    BlockColumns<Rows> columns(rows, count, first, width);
    if (moments.count < count) {
      columns.ShiftByMean();
    } else {
      columns.ShiftBy(moments);
    }
    // The next columns, or the first ones of the next block.
    const bool more = first + BlockColumns<Rows>::kColumns < width;
    columns.Sum(next == 0 ? 0 : more ? BlockColumns<Rows>::kColumns : next - first);
    columns.Merge(moments);
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
