#ifndef HWYNN_KERNELS_SIMD_GRADIENT_SUMS_H_
#define HWYNN_KERNELS_SIMD_GRADIENT_SUMS_H_

// What happens to a gradient on its way out of a kernel, where it is one of y = relu?((z − mean)·mul + bias): the mask
// of the ReLU, and the two sums a channel that the gradients of the normalisation are made of. Sums of 64 rows in f32,
// each a chain in the order in which rows come, such sums in f64: neither the vectors nor the rows of a tile decide
// what is added to what.

#include <cstdint>

#include "hwynn/kernels/simd/epilogue.h"

namespace hwynn {

/// A gradient [pixels][C], and what its mask and sums are made of.
struct GradientEpilogue {
  float* grad;
  const float* input;   // z, laid out like the gradient
  const float* output;  // y, likewise; null: the mask is that of the normalised z
  Normalization norm;   // of z; without its relu there is no mask
};

/// Rows of a few channels: the gradient before its mask, and where it goes.
struct GradientRows {
  const float* from;  // row r at from + r·from_pitch
  int64_t from_pitch;
  int64_t rows;
  float* to;  // row r at to + r·to_pitch, or to + offsets[r]; may be where it comes from
  int64_t to_pitch;
  const int64_t* offsets;
  bool accumulate;    // what is there is added before the mask
  bool stream;        // non-temporal stores: whole vectors of channels, aligned
  int64_t ahead = 0;  // fetches what lies so many floats behind each row; 0: nothing
};

/// Masks rows, writes them and adds them up.
class GradientSums {
 public:
  static constexpr int64_t kMostChannels = 64;
  static constexpr int64_t kBlockRows = 64;

  /// Starts anew, for `channels` channels from `channel` on: the rows' sums Σ g go to grad[channels], Σ g·(z − mean) to
  /// grad_centered[channels]; both are overwritten.
  void Open(const GradientEpilogue& epilogue, int64_t channel, int64_t channels, double* grad, double* grad_centered);
  void Add(const GradientRows& rows);
  /// Adds what is left. At least one row must have come.
  void Close();

  /// For a kernel that masks, writes and adds up a few rows by itself (gradient_sums-inl.h): makes room for their sums,
  /// which it adds to those of the block. Where a block ends then depends on how many rows come together.
  void Take(int64_t rows) {
    if (waiting_ + rows > kBlockRows) CloseBlock();
    waiting_ += rows;
  }
  float* block_grad() { return block_grad_; }
  float* block_centered() { return block_centered_; }
  const Normalization& norm() const { return epilogue_.norm; }
  float last() const { return last_; }

  /// z and y of the gradients at `to`; y is null where it isn't looked at.
  const float* InputOf(const float* to) const { return epilogue_.input + (to - epilogue_.grad); }
  const float* OutputOf(const float* to) const {
    return epilogue_.output != nullptr ? epilogue_.output + (to - epilogue_.grad) : nullptr;
  }

 private:
  void CloseBlock();

  alignas(64) float block_grad_[kMostChannels];  // of the rows that wait
  alignas(64) float block_centered_[kMostChannels];
  GradientEpilogue epilogue_;  // norm: of these channels
  float last_;                 // of its upper end: see ClipGradient
  int64_t channels_, waiting_;
  bool first_;  // no block was closed yet
  double* grad_;
  double* grad_centered_;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_SIMD_GRADIENT_SUMS_H_
