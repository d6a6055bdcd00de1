#ifndef HWYNN_KERNELS_POOL_H_
#define HWYNN_KERNELS_POOL_H_

// Pools over NHWC images, with Flax's geometry and semantics.

#include <array>

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

/// output = the window's maximum; padding is −∞.
void MaxPoolForward(const PoolParams& params, ConstTensorView input, TensorView output);
/// The gradient goes to the first maximum of each window in row-major order (never to padding); windows accumulate.
void MaxPoolBackward(const PoolParams& params, ConstTensorView input, ConstTensorView output,
                     ConstTensorView grad_output, TensorView grad_input);

/// output = Σ window / (window height·width): padding counts as zeros (Flax's count_include_pad=True).
void AveragePoolForward(const PoolParams& params, ConstTensorView input, TensorView output);
void AveragePoolBackward(const PoolParams& params, ConstTensorView grad_output, TensorView grad_input);

/// output[n,c] = mean over (H,W) of input[n,·,·,c]: [N,H,W,C] → [N,C].
void GlobalAveragePoolForward(ConstTensorView input, TensorView output);
void GlobalAveragePoolBackward(ConstTensorView grad_output, TensorView grad_input);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_POOL_H_
