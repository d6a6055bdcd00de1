#ifndef HWYNN_KERNELS_POOL_H_
#define HWYNN_KERNELS_POOL_H_

// Pools over NHWC images, with Flax's geometry and semantics. OH and OW follow from `Padding` as for a convolution.
//
// Shapes: input and grad_input [N,IH,IW,C]; output and grad_output [N,OH,OW,C]. Aliasing: what is written overlaps
// nothing else. Determinism: the same bits for any number of threads, any cut and any instruction set. Throws
// std::invalid_argument, before anything is written, for shapes that don't fit or hold a 0.

#include <array>
#include <string_view>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"
#include "hwynn/kernels/padding.h"

namespace HWYNN_EXPORT hwynn {

/// The pixels of output o along an axis are o·stride − before + k·dilation, k < window, as in a convolution.
struct PoolParams {
  std::array<int64_t, 2> window = {2, 2};
  std::array<int64_t, 2> stride = {1, 1};
  std::array<int64_t, 2> dilation = {1, 1};  // of the window (lax.reduce_window's window_dilation)
  Padding padding = Padding::Valid();        // negative pixels crop the image: no window sees what lies outside
  // PyTorch's rule for VALID and explicit padding: ⌈(input + before + after − extent)/stride⌉ + 1 outputs, so that a
  // last window may reach beyond the padding; one less if it would start behind the image. SAME rounds up as it is.
  bool ceil_mode = false;
  // What averages divide by (a maximum never counts padding). True: all pixels of the window, padding included, but not
  // those that ceil_mode alone adds. False: those inside the image; a window that has none gives 0 (Flax: 0/0).
  bool count_include_pad = true;
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

/// output = Σ window / area; area = window height·width with the default options: padding counts as zeros, as Flax's
/// and PyTorch's avg_pool have it. See count_include_pad.
void AveragePoolForward(const PoolParams& params, ConstTensorView input, TensorView output);

/// grad_input = Σ over the windows that hold the pixel of grad_output / area; the sum is divided where all windows have
/// one area, each term elsewhere. 0 for pixels that no window holds.
void AveragePoolBackward(const PoolParams& params, ConstTensorView grad_output, TensorView grad_input);

/// output[n,c] = (Σ over H,W of input[n,·,·,c])·(1/(H·W)): [N,H,W,C] → [N,C]. The reciprocal is rounded once, as in
/// JAX's mean.
void GlobalAveragePoolForward(ConstTensorView input, TensorView output);

/// grad_input[n,·,·,c] = grad_output[n,c]·(1/(H·W)).
void GlobalAveragePoolBackward(ConstTensorView grad_output, TensorView grad_input);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_POOL_H_
