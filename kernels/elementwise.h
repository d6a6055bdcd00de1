#ifndef HWYNN_KERNELS_ELEMENTWISE_H_
#define HWYNN_KERNELS_ELEMENTWISE_H_

// Element by element over arrays of one shape. Outputs may be one of the inputs.

#include <cstdint>
#include <span>

#include "hwynn/core/tensor.h"

namespace hwynn {

/// output = max(input, 0).
void ReluForward(ConstTensorView input, TensorView output);
/// grad_input = output > 0 ? grad_output : 0, from what ReluForward made (0 at 0, as in Flax).
void ReluBackward(ConstTensorView output, ConstTensorView grad_output, TensorView grad_input);

struct AddOptions {
  bool relu = false;
};
/// output = relu?(a + b).
void AddForward(ConstTensorView a, ConstTensorView b, TensorView output, const AddOptions& options = {});
/// accumulator += addend: gradients that meet.
void AddAccumulate(ConstTensorView addend, TensorView accumulator);

/// output[i] = keep[i] ? input[i]·scale : 0. Dropout forward, and its own gradient.
void MaskScale(ConstTensorView input, std::span<const uint8_t> keep, float scale, TensorView output);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_ELEMENTWISE_H_
