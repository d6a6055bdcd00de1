#ifndef HWYNN_KERNELS_BATCH_NORM_BATCH_NORM_TASK_H_
#define HWYNN_KERNELS_BATCH_NORM_BATCH_NORM_TASK_H_

// What the passes that write hand to the vector code. Per-channel tables repeat as ForEachVector wants them.

namespace hwynn {

/// Tables that normalise: (x − mean)·mul + bias.
struct NormTables {
  const float* mean;
  const float* mul;
  const float* bias;
};

struct NormalizeTask {
  const float* input;
  const float* residual;
  float* output;
  NormTables norm;
  NormTables residual_norm;  // null: the residual is added as it is
  float upper;               // of the ReLU
};

// grad_input = mul·g + of_centered·(input − mean) + constant
struct BackwardTask {
  const float* input;
  const float* output;  // 0 < output ≤ last where ReLU let g pass; null: no mask, or the normalised input's
  const float* grad_output;
  float* grad_input;
  const float* mean;
  const float* mul;
  const float* bias;  // of the normalised input; null: no mask, or the output's
  const float* of_centered;
  const float* constant;
  float last;  // see ClipGradient
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_BATCH_NORM_BATCH_NORM_TASK_H_
