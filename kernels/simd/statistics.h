#ifndef HWYNN_KERNELS_SIMD_STATISTICS_H_
#define HWYNN_KERNELS_SIMD_STATISTICS_H_

// Moments of what a kernel writes, gathered on the way: blocks of 64 rows, each shifted by its own mean and summed in
// f32, are merged in f64. A block is the next 64 rows in the order in which they come: neither the vectors nor the rows
// of a tile decide what is added to what.

#include <cstdint>

namespace hwynn {

/// Of `count` values a channel: the mean and Σ (x − mean)².
struct ChannelMoments {
  /// Adds one block: up to kBlockRows rows, `pitch` floats apart.
  void AddBlock(const float* values, int64_t pitch, int64_t rows, int64_t channels);

  /// Of the channels from c on.
  ChannelMoments From(int64_t c) const { return {mean + c, m2 + c, count}; }

  static constexpr int64_t kBlockRows = 64;
  double* mean;  // [channels]; uninitialised while count is 0
  double* m2;    // [channels]
  int64_t count = 0;
};

/// Rows of a few channels that wait here until a block of them is together.
class StatisticsRows {
 public:
  static constexpr int64_t kPitch = 64;     // between rows, and the most channels
  static constexpr int64_t kMostRows = 16;  // that come at once

  /// Starts anew.
  void Open(const ChannelMoments& to, int64_t channels);
  /// Where the next rows go; whole vectors may be written.
  float* Next() { return values_ + waiting_ * kPitch; }
  /// So many were written.
  void Advance(int64_t rows) {
    waiting_ += rows;
    if (waiting_ >= ChannelMoments::kBlockRows) AddBlock();
  }
  /// Adds the rows that still wait.
  void Close();

 private:
  void AddBlock();

  alignas(64) float values_[(ChannelMoments::kBlockRows + kMostRows) * kPitch];
  int64_t waiting_;
  int64_t channels_;
  ChannelMoments moments_;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_SIMD_STATISTICS_H_
