#ifndef HWYNN_KERNELS_LOSS_H_
#define HWYNN_KERNELS_LOSS_H_

// Losses with their gradients: optax's formulas, in double throughout and rounded once.
//
// Determinism: the same bits for any number of threads, any instruction set and C library (core/math.h). Throws
// std::invalid_argument, before anything is written, for shapes that don't fit or hold a 0.

#include <cstdint>
#include <optional>
#include <span>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"

namespace HWYNN_EXPORT hwynn {

struct LossResult {
  double loss = 0;      // mean over the rows (elements for MSE)
  int64_t correct = 0;  // rows whose arg max is the label (lowest index on ties; no row with a NaN); 0 for MSE
  int64_t rows = 0;     // rows that counted: those that weren't ignored; 0 for MSE
};

struct CrossEntropyOptions {
  float label_smoothing = 0.0f;                        // in [0,1)
  std::optional<int32_t> ignore_index = std::nullopt;  // rows with this label count for nothing
  std::span<const float> class_weights = {};           // [K], finite and not negative; empty: all 1
  std::span<const int32_t> second_labels = {};         // [N], of mixed inputs; empty: a row has one label
  float first_share = 1.0f;                            // of the first of two labels, in [0,1]
};

/// Softmax cross-entropy with integer labels y, over the rows n with y_n ≠ ignore_index: L = Σ_n Σ_k
/// t_nk·(logsumexp(z_n) − z_nk)/W with targets t_nk = w_k·((1 − label_smoothing)·[k = y_n] + label_smoothing/K) and W =
/// Σ_n w_{y_n}, as PyTorch has it: the mean, where all weights are 1. grad_logits = (softmax(z_n)·Σ_k t_nk − t_n)/W, 0
/// in rows that are ignored; empty: not wanted. If every row is ignored, the loss is NaN (0/0) and grad_logits 0.
///
/// With second labels y′ and s = first_share, s·[k = y_n] + (1 − s)·[k = y′_n] takes the place of [k = y_n], and
/// s·w_{y_n} + (1 − s)·w_{y′_n} that of w_{y_n}: with class weights of 1 that is s·L(y) + (1 − s)·L(y′), as mixup has
/// it. `correct` counts the first labels.
///
/// Shapes: logits [N,K]; labels N values in 0 … K−1, or ignore_index; grad_logits [N,K]; may be logits.
///
/// Throws std::invalid_argument for a label or weight out of range, or second labels together with ignore_index (before
/// anything is written).
LossResult SoftmaxCrossEntropy(ConstTensorView logits, std::span<const int32_t> labels,
                               const CrossEntropyOptions& options, TensorView grad_logits);

/// Mean squared error Σ (p − y)²/size; grad_predictions = 2(p − y)/size; empty: not wanted; may be predictions.
LossResult MeanSquaredError(ConstTensorView predictions, ConstTensorView targets, TensorView grad_predictions);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_LOSS_H_
