#ifndef HWYNN_KERNELS_REFERENCE_ELEMENTWISE_H_
#define HWYNN_KERNELS_REFERENCE_ELEMENTWISE_H_

// The definition of kernels/elementwise.h. Each element is one rounding of one operation, so results compare with ==.

#include <cstdint>
#include <span>

#include "hwynn/core/tensor.h"
#include "hwynn/kernels/elementwise.h"

namespace hwynn::reference {

void ReluForward(ConstTensorView input, TensorView output, const ReluOptions& options = {});
void ReluBackward(ConstTensorView output, ConstTensorView grad_output, TensorView grad_input,
                  const ReluOptions& options = {});
void AddForward(ConstTensorView a, ConstTensorView b, TensorView output, const AddOptions& options = {});
void AddAccumulate(ConstTensorView addend, TensorView accumulator);
void MaskScale(ConstTensorView input, std::span<const uint8_t> keep, float scale, TensorView output);

}  // namespace hwynn::reference

#endif  // HWYNN_KERNELS_REFERENCE_ELEMENTWISE_H_
