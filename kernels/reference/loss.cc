#include "hwynn/kernels/reference/loss.h"

#include <cmath>

namespace hwynn::reference {

LossAndGradient SoftmaxCrossEntropy(ConstTensorView logits, std::span<const int32_t> labels, double label_smoothing) {
  const auto rows = static_cast<size_t>(logits.shape()[0]);
  const auto classes = static_cast<size_t>(logits.shape()[1]);
  LossAndGradient result = {.grad = Sums(logits.size())};
  for (size_t n = 0; n < rows; ++n) {
    const std::span<const float> z = logits.span().subspan(n * classes, classes);
    double sum = 0.0;
    for (const float value : z) sum += std::exp(static_cast<double>(value));
    bool correct = true;
    for (size_t k = 0; k < classes; ++k) {
      const bool is_label = k == static_cast<size_t>(labels[n]);
      const double p = std::exp(static_cast<double>(z[k])) / sum;
      const double t = (is_label ? 1.0 - label_smoothing : 0.0) + label_smoothing / static_cast<double>(classes);
      result.loss -= t * std::log(p) / static_cast<double>(rows);
      result.grad.values[n * classes + k] = (p - t) / static_cast<double>(rows);
      result.grad.magnitudes[n * classes + k] = (p + t) / static_cast<double>(rows);
      const float label_logit = z[static_cast<size_t>(labels[n])];
      if (z[k] > label_logit || (z[k] == label_logit && k < static_cast<size_t>(labels[n]))) correct = false;
    }
    result.correct += correct ? 1 : 0;
  }
  return result;
}

LossAndGradient MeanSquaredError(ConstTensorView predictions, ConstTensorView targets) {
  const auto size = static_cast<double>(predictions.size());
  LossAndGradient result = {.grad = Sums(predictions.size())};
  for (size_t i = 0; i < predictions.span().size(); ++i) {
    const auto p = static_cast<double>(predictions.span()[i]);
    const auto y = static_cast<double>(targets.span()[i]);
    result.loss += (p - y) * (p - y) / size;
    result.grad.values[i] = 2.0 * (p - y) / size;
    result.grad.magnitudes[i] = 2.0 * (std::abs(p) + std::abs(y)) / size;
  }
  return result;
}

}  // namespace hwynn::reference
