#ifndef HWYNN_KERNELS_REFERENCE_MATMUL_H_
#define HWYNN_KERNELS_REFERENCE_MATMUL_H_

#include "hwynn/core/tensor.h"
#include "hwynn/kernels/reference/sums.h"

namespace hwynn::reference {

/// Σ_k a[m,k]·b[k,n], with magnitudes; double accumulation.
Sums MatmulForward(ConstTensorView a, ConstTensorView b);
Sums MatmulBackwardA(ConstTensorView grad_output, ConstTensorView b);
Sums MatmulBackwardB(ConstTensorView a, ConstTensorView grad_output);

}  // namespace hwynn::reference

#endif  // HWYNN_KERNELS_REFERENCE_MATMUL_H_
