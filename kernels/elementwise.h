#ifndef HWYNN_KERNELS_ELEMENTWISE_H_
#define HWYNN_KERNELS_ELEMENTWISE_H_

// Element by element over arrays of one shape. Outputs may be one of the inputs.

#include <cstdint>
#include <limits>
#include <span>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"

namespace HWYNN_EXPORT hwynn {

struct ReluOptions {
  float upper = std::numeric_limits<float>::infinity();  // 0 or more; 6: ReLU6
};
/// output = min(max(input, 0), upper).
void ReluForward(ConstTensorView input, TensorView output, const ReluOptions& options = {});
/// grad_input = 0 < output < upper ? grad_output : 0, from what ReluForward made with the same options (0 at 0 and at
/// `upper`, as in Flax; without an upper end infinity lets its gradient pass).
void ReluBackward(ConstTensorView output, ConstTensorView grad_output, TensorView grad_input,
                  const ReluOptions& options = {});

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
