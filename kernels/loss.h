#ifndef HWYNN_KERNELS_LOSS_H_
#define HWYNN_KERNELS_LOSS_H_

// Losses with their gradients: optax's formulas, in double throughout and rounded once.
//
// Determinism: the same bits for any number of threads and any instruction set. Throws std::invalid_argument, before
// anything is written, for shapes that don't fit or hold a 0.

#include <cstdint>
#include <span>

#include "hwynn/core/tensor.h"

namespace hwynn {

struct LossResult {
  double loss = 0;      // mean over the rows (elements for MSE)
  int64_t correct = 0;  // rows whose arg max is the label (lowest index on ties; no row with a NaN); 0 for MSE
};

/// Mean softmax cross-entropy with integer labels: Σ_n (logsumexp(z_n) − Σ_k t_nk·z_nk)/N with targets
/// t = (1 − label_smoothing)·onehot + label_smoothing/K. grad_logits = (softmax(z) − t)/N; empty: not wanted.
/// Shapes: logits [N,K]; labels N values in 0 … K−1; label_smoothing in [0,1); grad_logits [N,K]; may be logits.
/// Throws std::invalid_argument for a label out of range (before anything is written).
LossResult SoftmaxCrossEntropy(ConstTensorView logits, std::span<const int32_t> labels, float label_smoothing,
                               TensorView grad_logits);

/// Mean squared error Σ (p − y)²/size; grad_predictions = 2(p − y)/size; empty: not wanted; may be predictions.
LossResult MeanSquaredError(ConstTensorView predictions, ConstTensorView targets, TensorView grad_predictions);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_LOSS_H_
