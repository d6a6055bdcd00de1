#ifndef HWYNN_KERNELS_REFERENCE_BATCH_NORM_H_
#define HWYNN_KERNELS_REFERENCE_BATCH_NORM_H_

// The definition of kernels/batch_norm.h, in double.

#include <cstdint>
#include <span>
#include <vector>

#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/reference/sums.h"

namespace hwynn::reference {

/// Mean, then the squared deviations from it; rows with mask 0 left out.
BatchNormMoments BatchNormGatherMoments(ConstTensorView input, std::span<const uint8_t> mask = {});

/// Of the rows of a and b together.
BatchNormMoments BatchNormMerge(const BatchNormMoments& a, const BatchNormMoments& b);

struct Moments {
  std::vector<double> mean;  // [C]
  std::vector<double> var;   // [C], biased
};

Moments BatchNormFinalize(const BatchNormMoments& moments);
Moments BatchNormStatistics(ConstTensorView input, std::span<const uint8_t> mask = {});

/// relu?((input − mean)·scale/√(var+epsilon) + bias + residual), an element at a time.
Sums BatchNormNormalize(ConstTensorView input, const BatchNormAffine& affine,
                        const BatchNormNormalizeOptions& options = {});

struct BackwardSums {
  double count;        // rows that the mask keeps
  Sums residual;       // like args.input: g
  Sums grad;           // [C], Σ g
  Sums grad_centered;  // [C], Σ g·(input − mean)
};

/// The output views of `args` are not looked at, here and below.
BackwardSums BatchNormBackwardSums(const BatchNormBackwardArgs& args);

struct BatchNormGradients {
  Sums input;     // like args.input
  Sums residual;  // like args.input
  Sums scale;     // [C]
  Sums bias;      // [C]
};

/// The gradients of args' rows, with sums over as many rows as there are.
BatchNormGradients BatchNormGradientsOf(const BatchNormBackwardArgs& args, const BackwardSums& sums);
BatchNormGradients BatchNormBackward(const BatchNormBackwardArgs& args);

}  // namespace hwynn::reference

#endif  // HWYNN_KERNELS_REFERENCE_BATCH_NORM_H_
