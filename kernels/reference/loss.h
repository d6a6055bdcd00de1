#ifndef HWYNN_KERNELS_REFERENCE_LOSS_H_
#define HWYNN_KERNELS_REFERENCE_LOSS_H_

// What kernels/loss.h computes, written as the formulas: softmax of each row, then −Σ t·log p over W. Not for logits so
// far apart that a probability underflows.

#include <cstdint>
#include <span>

#include "hwynn/core/tensor.h"
#include "hwynn/kernels/loss.h"
#include "hwynn/kernels/reference/sums.h"

namespace hwynn::reference {

/// A loss in double, and its gradient with Σ|terms|.
struct LossAndGradient {
  double loss = 0;
  int64_t correct = 0;
  int64_t rows = 0;
  Sums grad;
};

LossAndGradient SoftmaxCrossEntropy(ConstTensorView logits, std::span<const int32_t> labels,
                                    const CrossEntropyOptions& options);
LossAndGradient MeanSquaredError(ConstTensorView predictions, ConstTensorView targets);

}  // namespace hwynn::reference

#endif  // HWYNN_KERNELS_REFERENCE_LOSS_H_
