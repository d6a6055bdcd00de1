#ifndef HWYNN_KERNELS_POOL_H_
#define HWYNN_KERNELS_POOL_H_

// Pools over NHWC images, with Flax's geometry and semantics. OH and OW follow from `Padding` as for a convolution.
//
// Shapes: input and grad_input [N,IH,IW,C]; output and grad_output [N,OH,OW,C]. Aliasing: what is written overlaps
// nothing else. Determinism: the same bits for any number of threads, any cut and any instruction set. Throws
// std::invalid_argument, before anything is written, for shapes that don't fit or hold a 0.

#include <array>
#include <string_view>

#include "hwynn/core/tensor.h"
#include "hwynn/kernels/padding.h"

namespace hwynn {

struct PoolParams {
  std::array<int64_t, 2> window = {2, 2};
  std::array<int64_t, 2> stride = {1, 1};
  Padding padding = Padding::Valid();
};

/// [N,OH,OW,C] of a pool over `input` [N,IH,IW,C]. Throws std::invalid_argument, `function` in front, for bad ones.
Shape PoolOutputShape(std::string_view function, const PoolParams& params, const Shape& input);

/// output = the window's maximum; padding is −∞. A NaN in a window makes its output NaN.
void MaxPoolForward(const PoolParams& params, ConstTensorView input, TensorView output);

/// The gradient goes to the first maximum of each window in row-major order, never to padding; windows accumulate in
/// row-major order. `output` is what MaxPoolForward made of `input`: of a window whose output is NaN nobody gets the
/// gradient.
void MaxPoolBackward(const PoolParams& params, ConstTensorView input, ConstTensorView output,
                     ConstTensorView grad_output, TensorView grad_input);

/// output = Σ window / (window height·width): padding counts as zeros (Flax's count_include_pad=True).
void AveragePoolForward(const PoolParams& params, ConstTensorView input, TensorView output);

/// grad_input = (Σ over the windows that hold the pixel of grad_output) / (window height·width).
void AveragePoolBackward(const PoolParams& params, ConstTensorView grad_output, TensorView grad_input);

/// output[n,c] = (Σ over H,W of input[n,·,·,c])·(1/(H·W)): [N,H,W,C] → [N,C]. The reciprocal is rounded once, as in
/// JAX's mean.
void GlobalAveragePoolForward(ConstTensorView input, TensorView output);

/// grad_input[n,·,·,c] = grad_output[n,c]·(1/(H·W)).
void GlobalAveragePoolBackward(ConstTensorView grad_output, TensorView grad_input);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_POOL_H_
