#ifndef HWYNN_KERNELS_REFERENCE_POOL_H_
#define HWYNN_KERNELS_REFERENCE_POOL_H_

// What kernels/pool.h computes, one window at a time. Results are laid out as its outputs; arguments aren't checked.

#include "hwynn/core/tensor.h"
#include "hwynn/kernels/pool.h"
#include "hwynn/kernels/reference/sums.h"

namespace hwynn::reference {

Sums MaxPoolForward(const PoolParams& params, ConstTensorView input);
/// Finds the first maximum of each window in `input` itself; input holds no NaN.
Sums MaxPoolBackward(const PoolParams& params, ConstTensorView input, ConstTensorView grad_output);
Sums AveragePoolForward(const PoolParams& params, ConstTensorView input);
Sums AveragePoolBackward(const PoolParams& params, ConstTensorView grad_output, const Shape& input_shape);
Sums GlobalAveragePoolForward(ConstTensorView input);
Sums GlobalAveragePoolBackward(ConstTensorView grad_output, const Shape& input_shape);

}  // namespace hwynn::reference

#endif  // HWYNN_KERNELS_REFERENCE_POOL_H_
