#include "hwynn/kernels/reference/elementwise.h"

#include <cmath>

namespace hwynn::reference {

void ReluForward(ConstTensorView input, TensorView output, const ReluOptions& options) {
  for (int64_t i = 0; i < input.size(); ++i) {
    const float y = input[i] < 0 ? 0.0f : input[i];
    output[i] = y > options.upper ? options.upper : y;
  }
}

void ReluBackward(ConstTensorView output, ConstTensorView grad_output, TensorView grad_input,
                  const ReluOptions& options) {
  for (int64_t i = 0; i < output.size(); ++i) {
    const bool clipped = std::isfinite(options.upper) && output[i] >= options.upper;
    grad_input[i] = output[i] > 0 && !clipped ? grad_output[i] : 0.0f;
  }
}

void AddForward(ConstTensorView a, ConstTensorView b, TensorView output, const AddOptions& options) {
  for (int64_t i = 0; i < a.size(); ++i) {
    const float sum = a[i] + b[i];
    output[i] = options.relu && sum < 0 ? 0.0f : sum;
  }
}

void AddAccumulate(ConstTensorView addend, TensorView accumulator) {
  for (int64_t i = 0; i < addend.size(); ++i) accumulator[i] += addend[i];
}

void MaskScale(ConstTensorView input, std::span<const uint8_t> keep, float scale, TensorView output) {
  for (int64_t i = 0; i < input.size(); ++i) output[i] = keep[static_cast<size_t>(i)] != 0 ? input[i] * scale : 0.0f;
}

}  // namespace hwynn::reference
