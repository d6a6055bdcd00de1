#ifndef HWYNN_KERNELS_SIMD_CHANNEL_SUMS_TASK_H_
#define HWYNN_KERNELS_SIMD_CHANNEL_SUMS_TASK_H_

// What channel_sums.cc hands to the vector code.

#include <cstdint>

namespace hwynn {

/// Rows summed in f32 before f64 takes over: error and cost of the merge are both small there (docs/numerics.md).
inline constexpr int64_t kChannelBlockRows = 64;
/// Vectors have at most this many lanes, and tasks at least this many columns.
inline constexpr int64_t kMinChannelColumns = 16;
/// A task's sums of one block must stay in L1.
inline constexpr int64_t kMaxChannelTaskColumns = 1024;

enum class ChannelTerms {
  kSum,
  kMoments,
  kStableMoments,
  kGradient,
  kGradientReluOfOutput,  // a ReLU was behind; its mask is where `output` is in (0, last]
  kGradientReluOfInput,   // or where normalising x gives such a value
};

/// Rows [row_begin, row_end) and columns [column_begin, column_end) of arrays of `columns` columns.
struct ChannelTask {
  ChannelTerms terms;
  const float* x;
  const float* shift;        // [columns]; not for kStableMoments
  const float* grad;         // for the gradients
  const float* output;       // for kGradientReluOfOutput
  const float* mul;          // [columns]; for kGradientReluOfInput
  const float* bias;         // the same
  float last;                // a value that ReLU let pass is at most this; see ClipGradient
  float* masked;             // gets the gradient after its mask; may be grad; null: not wanted
  const float* other;        // a second x of the same gradient, or null
  const float* other_shift;  // [columns]
  int64_t columns;
  int64_t row_begin = 0, row_end = 0;
  int64_t column_begin = 0, column_end = 0;
  double* first = nullptr;  // results, a value a column of the task
  double* second = nullptr;
  double* third = nullptr;  // with `other`
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_SIMD_CHANNEL_SUMS_TASK_H_
