#ifndef HWYNN_KERNELS_CONV2D_DEPTHWISE_ROWS_H_
#define HWYNN_KERNELS_CONV2D_DEPTHWISE_ROWS_H_

// Not for users: how depthwise convolution goes by rows. Rows of source and target are counted over all images.

#include <algorithm>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include "hwynn/core/scratch.h"
#include "hwynn/core/split.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/conv2d/depthwise.h"

namespace hwynn {

inline constexpr int64_t kMaxDepthwiseTerms = 256;

/// Positions k of the target along an axis, first ≤ k < end, meet the source at shift + k·step.
struct AxisTap {
  int64_t tap, shift, first, end;
};

/// One axis: the target's position phase + k·phases is number k of its phase, and meets the taps of that phase.
struct Axis {
  int64_t target, source;  // extents
  int64_t phases, step;
  std::vector<std::vector<AxisTap>> taps;  // [phase]

  int64_t Count(int64_t phase) const { return CeilDiv(target - phase, phases); }
  void Add(int64_t phase, int64_t tap, int64_t shift) {
    const int64_t first = shift < 0 ? CeilDiv(-shift, step) : 0;
    const int64_t end = shift < source ? std::min(Count(phase), (source - 1 - shift) / step + 1) : 0;
    if (first < end) taps[static_cast<size_t>(phase)].push_back({tap, shift, first, end});
  }
  /// The taps that position `at` meets: tap(tap, source position).
  template <class Tap>
  void ForEachTap(int64_t at, const Tap& tap) const {
    const int64_t k = at / phases;
    for (const AxisTap& t : taps[static_cast<size_t>(at % phases)]) {
      if (t.first <= k && k < t.end) tap(t.tap, t.shift + k * step);
    }
  }
  /// Whether positions [at, at + count) meet the same taps.
  bool Alike(int64_t at, int64_t count) const {
    return phases == 1 && at + count <= target && std::ranges::all_of(taps.front(), [&](const AxisTap& tap) {
             return (tap.first <= at && at + count <= tap.end) || at + count <= tap.first || tap.end <= at;
           });
  }
};

/// A tap of a row of pixels.
struct RowTap {
  DepthwiseTerm term;
  int64_t first, end;  // pixels that it meets
};

using RowTaps = std::pmr::vector<RowTap>;

/// Both axes, and where they lie: source [N,h.source,w.source,C], filter [·,KW,C].
struct DepthwiseProblem {
  /// Of forward and backward-filter, and of backward-input.
  static DepthwiseProblem Forward(const Conv2dGeometry& g);
  static DepthwiseProblem Backward(const Conv2dGeometry& g);

  Axis h, w;
  int64_t C, KW;

  int64_t target_row_floats() const { return w.target * C; }
  int64_t source_row_floats() const { return w.source * C; }

  /// Taps of the pixels of one phase of a target row, in a source whose memory begins with row `source_row`.
  void FindTaps(int64_t row, int64_t phase, int64_t source_row, RowTaps& taps) const;
  /// The source rows that target rows [row, row + count) meet; empty if they meet none.
  Range SourceRows(int64_t row, int64_t count) const;
};

/// Calls run(begin, end, terms, count) for runs of pixels that meet the same taps.
template <class Run>
void ForEachRun(const RowTaps& taps, int64_t pixels, const Run& run) {
  DepthwiseTerm terms[kMaxDepthwiseTerms];
  for (int64_t begin = 0, end; begin < pixels; begin = end) {
    int64_t count = 0;
    end = pixels;
    for (const RowTap& tap : taps) {
      if (begin < tap.first) {
        end = std::min(end, tap.first);
      } else if (begin < tap.end) {
        terms[count++] = tap.term;
        end = std::min(end, tap.end);
      }
    }
    run(begin, end, terms, count);
  }
}

/// Where the rows of a source are: as they came, or strips of them with a prologue applied, in which each is normalised
/// about once instead of once a tap.
class RowSource {
 public:
  /// The rows of a strip, where steps take at most `step` target rows. 0: they would take more than kMaxBytes, and a
  /// prologue is for the caller.
  static int64_t StripRows(const DepthwiseProblem& problem, int64_t images, int64_t step);
  static constexpr int64_t kMaxBytes = int64_t{4} << 20;
  static int64_t ScratchBytes(const DepthwiseProblem& problem, int64_t strip_rows) {
    return Scratch::Bytes<float>(strip_rows * problem.source_row_floats());
  }

  /// In place.
  RowSource(const DepthwiseProblem& problem, const float* source) : problem_(problem), source_(source) {}
  /// In strips.
  RowSource(const DepthwiseProblem& problem, const float* source, const Normalization& prologue, int64_t strip_rows,
            Scratch& scratch)
      : problem_(problem),
        source_(source),
        prologue_(&prologue),
        strip_rows_(strip_rows),
        strip_(scratch.Take<float>(strip_rows * problem.source_row_floats())) {}

  /// Makes sure of what target rows [row, row + count) meet; with it comes what the rows behind them meet, before row
  /// `end`.
  void Take(int64_t row, int64_t count, int64_t end);
  /// The target row whose source is to be fetched where the one of `row` would be: beyond the strip.
  int64_t Ahead(int64_t row) const { return prologue_ == nullptr ? row : target_.end + row - target_.begin; }

  /// Memory, and the row with which it begins.
  const float* data() const { return prologue_ == nullptr ? source_ : strip_; }
  int64_t first_row() const { return rows_.begin; }

 private:
  const DepthwiseProblem& problem_;
  const float* source_;
  const Normalization* prologue_ = nullptr;
  int64_t strip_rows_ = 0;
  float* strip_ = nullptr;
  Range rows_{0, 0};    // in the strip
  Range target_{0, 0};  // that it serves
};

/// The memory that a task will come to, each row asked for once.
class RowsAhead {
 public:
  /// Appends what target rows [row, row + count) meet and no rows before.
  void Append(const DepthwiseProblem& problem, const float* source, int64_t row, int64_t count, PrefetchPieces& pieces);

 private:
  int64_t end_ = 0;
};

/// An array of so many floats isn't in the last-level cache any more.
bool WorthFetching(int64_t floats);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_DEPTHWISE_ROWS_H_
