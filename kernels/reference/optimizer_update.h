#ifndef HWYNN_KERNELS_REFERENCE_OPTIMIZER_UPDATE_H_
#define HWYNN_KERNELS_REFERENCE_OPTIMIZER_UPDATE_H_

// What kernels/optimizer_update.h computes, for one element at a time and in double.

#include <cstdint>

#include "hwynn/core/tensor.h"
#include "hwynn/kernels/optimizer_update.h"

namespace hwynn::reference {

/// A parameter and its state, and the Σ|terms| of each.
struct SgdElement {
  double param, trace;
  double param_magnitude = 0, trace_magnitude = 0;
};
SgdElement SgdUpdate(const SgdParams& params, SgdElement before, double grad, bool decay);

struct AdamElement {
  double param, mu, nu;
  double param_magnitude = 0, mu_magnitude = 0, nu_magnitude = 0;
};
AdamElement AdamUpdate(const AdamParams& params, int64_t count, AdamElement before, double grad, bool decay);

double SumOfSquares(ConstTensorView array);

}  // namespace hwynn::reference

#endif  // HWYNN_KERNELS_REFERENCE_OPTIMIZER_UPDATE_H_
