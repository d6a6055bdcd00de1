#ifndef HWYNN_KERNELS_MATMUL_H_
#define HWYNN_KERNELS_MATMUL_H_

// Row-major matrix products with the convolution's micro-kernels; a dense layer is a 1×1 convolution.

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"
#include "hwynn/core/workspace.h"

namespace HWYNN_EXPORT hwynn {

/// output[m,n] = Σ_k a[m,k]·b[k,n] (+ bias[n]).
/// Shapes: a [M,K]; b [K,N]; bias [N] or empty; output [M,N].
void MatmulForward(ConstTensorView a, ConstTensorView b, ConstTensorView bias, TensorView output,
                   const Workspace& workspace);

/// grad_a[m,k] = Σ_n grad_output[m,n]·b[k,n].
void MatmulBackwardA(ConstTensorView grad_output, ConstTensorView b, TensorView grad_a, const Workspace& workspace);

/// grad_b[k,n] = Σ_m a[m,k]·grad_output[m,n].
void MatmulBackwardB(ConstTensorView a, ConstTensorView grad_output, TensorView grad_b, const Workspace& workspace);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_MATMUL_H_
