#ifndef HWYNN_KERNELS_REFERENCE_BATCH_NORM_H_
#define HWYNN_KERNELS_REFERENCE_BATCH_NORM_H_

// The definition of kernels/batch_norm.h, in double, and of BiasGradient of kernels/conv2d.h. `magnitude` is Σ|terms|
// of the value beside it: what a rounding error is relative to.

#include <cstdint>
#include <span>
#include <vector>

#include "hwynn/kernels/batch_norm.h"

namespace hwynn::reference {

struct Moments {
  std::vector<double> mean;  // [C]
  std::vector<double> var;   // [C], biased
};

/// Mean, then the mean of the squared deviations; rows with mask 0 left out.
Moments BatchNormStatistics(ConstTensorView input, std::span<const uint8_t> mask = {});

struct Values {
  std::vector<double> value;
  std::vector<double> magnitude;
};

/// relu?((input − mean)·scale/√(var+epsilon) + bias + residual), an element at a time.
Values BatchNormNormalize(ConstTensorView input, const BatchNormAffine& affine, ConstTensorView residual, bool relu);

struct BatchNormGradients {
  Values input;     // like args.input
  Values residual;  // like args.input
  Values scale;     // [C]
  Values bias;      // [C]
};

/// All gradients; the output views of `args` are not looked at.
BatchNormGradients BatchNormBackward(const BatchNormBackwardArgs& args);

/// Σ over all axes but the last.
Values BiasGradient(ConstTensorView grad_output);

}  // namespace hwynn::reference

#endif  // HWYNN_KERNELS_REFERENCE_BATCH_NORM_H_
