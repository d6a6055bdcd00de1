#ifndef HWYNN_KERNELS_SIMD_CHANNEL_SUMS_H_
#define HWYNN_KERNELS_SIMD_CHANNEL_SUMS_H_

// Sums over the rows of a dense [rows,channels] array, per channel: what BatchNorm's statistics, its gradients and
// the gradient of a bias are made of. Nothing is checked here.
//
// Numerics: 64 rows are summed in f32, such blocks in f64. Channels whose sums or squares leave the range of f32 are
// summed in f64 from the start, and no other channel notices. Determinism: the same bits for any number of threads, and
// on every target that has a fused multiply-add: the cut doesn't know the number of lanes.

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "hwynn/core/workspace.h"

namespace hwynn {

/// Two sums a channel.
struct ChannelSums {
  std::vector<double> first;
  std::vector<double> second;
};

/// A dense [rows,channels] array, rows ≥ 1.
struct ChannelRows {
  const float* data;
  int64_t rows;
  int64_t channels;
};

/// Σ (x − mean)² of `rows` values, given their Σ (x − shift) and Σ (x − shift)². A rounding can't make it negative; NaN
/// stays NaN.
inline double CentralSquares(double rows, double sum, double squares) {
  const double m2 = squares - sum * sum / rows;
  return m2 < 0 ? 0.0 : m2;
}

/// Chan's formula: adds the moments (mean_b, m2_b) of rows_b rows to those of `rows` rows; m2 = Σ (x − mean)².
inline void MergeMoments(double rows, double& mean, double& m2, double rows_b, double mean_b, double m2_b) {
  const double delta = mean_b - mean;
  const double weight = rows_b / (rows + rows_b);
  mean += delta * weight;
  m2 += m2_b + delta * delta * rows * weight;
}

/// Σ x.
std::vector<double> SumRows(const ChannelRows& x, const Workspace& workspace);

/// first = Σ (x − shift), second = Σ (x − shift)²; an empty shift is 0.
ChannelSums SumMoments(const ChannelRows& x, std::span<const float> shift, const Workspace& workspace);

/// first = mean, second = Σ (x − mean)², in one pass: each block of 16 to 64 rows is shifted by the mean of those
/// before it, the first by its own, which keeps the cancellation of Σx² − (Σx)²/n as small as the variance; Chan's
/// formula merges blocks.
ChannelSums StableMoments(const ChannelRows& x, const Workspace& workspace);

/// Makes channels of StableMoments, or of moments gathered like them, again in f64 where f32 was too narrow for them: a
/// sum overflowed, or squares lost bits below the smallest normal number. The others keep their bits.
void MakeLostMomentsAgain(const ChannelRows& x, ChannelSums& moments, const Workspace& workspace);

/// SumMoments over the rows with mask[row] ≠ 0, all in f64; over all rows with an empty mask.
ChannelSums SumMaskedMoments(const ChannelRows& x, std::span<const uint8_t> mask, std::span<const float> shift,
                             const Workspace& workspace);

/// A gradient and the ReLU that it comes back through, which lets it pass where 0 < y ≤ last. y is one of three:
/// `output`; with `mul` and `bias`, (x − mean)·mul + bias as BatchNormNormalize computes it, bit by bit; or there is no
/// ReLU.
struct MaskedGradient {
  const float* grad = nullptr;                          // as x
  const float* output = nullptr;                        // as x: y, clipped or not
  const float* mul = nullptr;                           // [channels]
  const float* bias = nullptr;                          // [channels]
  float last = std::numeric_limits<float>::infinity();  // LastBelow the ReLU's upper end
  float* masked = nullptr;                              // gets what passes; may be grad; null: not wanted
};

/// An array whose norm a gradient goes back through.
struct CenteredRows {
  const float* data;
  std::span<const float> mean;  // [channels]
};

/// first = Σ g, second = Σ g·(x − mean), where g is what passes of the gradient.
ChannelSums SumGradients(const ChannelRows& x, std::span<const float> mean, const MaskedGradient& gradient,
                         const Workspace& workspace);

/// The same of two arrays that see the same gradient, in one pass, each with the bits of a pass of its own. The
/// gradient has no mul.
std::array<ChannelSums, 2> SumGradientsOfTwo(const ChannelRows& x, std::span<const float> mean,
                                             const CenteredRows& other, const MaskedGradient& gradient,
                                             const Workspace& workspace);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_SIMD_CHANNEL_SUMS_H_
