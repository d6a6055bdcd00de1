#ifndef HWYNN_KERNELS_SIMD_STATISTICS_H_
#define HWYNN_KERNELS_SIMD_STATISTICS_H_

// Moments of what a kernel writes, gathered on the way: blocks of up to 64 rows, summed in f32 as trees of 16 and
// merged in f64 (block_moments-inl.h). A block is the next rows in the order in which they come: neither the vectors
// nor the rows of a tile decide what is added to what.

#include <cstdint>

namespace hwynn {

/// Of `count` values a channel: the mean and Σ (x − mean)².
struct ChannelMoments {
  /// Adds one block: up to kBlockRows rows, `pitch` floats apart.
  void AddBlock(const float* values, int64_t pitch, int64_t rows, int64_t channels);

  /// Adds the moments of `other` values of the channels.
  void Merge(const ChannelMoments& other, int64_t channels);

  /// Of the channels from c on.
  ChannelMoments From(int64_t c) const { return {mean + c, m2 + c, count}; }

  static constexpr int64_t kBlockRows = 64;
  double* mean;  // [channels]; uninitialised while count is 0
  double* m2;    // [channels]
  int64_t count = 0;
};

/// Rows of a few channels, gathered as they come: where the kernel wrote them, or as copies. 16 at a time, while they
/// are in the first-level cache, they are added to a block's sums; a block has as many rows as are merged before it, at
/// least 16 and at most 64.
class StatisticsRows {
 public:
  static constexpr int64_t kPitch = 64;     // between copied rows, and the most channels
  static constexpr int64_t kMostRows = 16;  // that come at once

  /// Starts anew. Rows whose stores bypass the caches are copied, and those whose channels don't fill vectors.
  void Open(const ChannelMoments& to, int64_t channels, bool streamed);
  /// Whether the next rows go to Next(), kPitch floats apart, where whole vectors may be written; else Put says where
  /// they are.
  bool copies() const { return copies_; }
  float* Next() { return values_ + copied_ * kPitch; }
  void Put(int64_t i, const float* row) { rows_[waiting_ + i] = row; }
  /// So many are there now.
  void Advance(int64_t rows) {
    if (copies_) ListCopies(rows);
    waiting_ += rows;
    if (waiting_ >= kGroupRows) AddGroups();
  }
  /// Adds the rows that still wait.
  void Close();

  /// A block's sums so far: of x − shift and of its squares.
  struct BlockSums {
    alignas(64) float shift[kPitch];
    alignas(64) float sum[kPitch];
    alignas(64) float squares[kPitch];
    int64_t rows;
  };

 private:
  static constexpr int64_t kGroupRows = 16;
  // Room for the next rows behind those that wait, wherever those are.
  static constexpr int64_t kCopies = 2 * kGroupRows + kMostRows;

  void ListCopies(int64_t rows);
  void AddGroups();
  void AddGroup(const float* const* rows, int64_t num_rows);
  void MergeBlock();

  alignas(64) float values_[kCopies * kPitch];
  const float* rows_[kGroupRows + kMostRows];
  bool copies_;
  int64_t copied_;   // where the next copies go
  int64_t waiting_;  // rows in the list
  int64_t channels_;
  BlockSums block_;
  ChannelMoments moments_;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_SIMD_STATISTICS_H_
