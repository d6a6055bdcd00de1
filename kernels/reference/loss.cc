#include "hwynn/kernels/reference/loss.h"

#include <cmath>
#include <vector>

namespace hwynn::reference {

LossAndGradient SoftmaxCrossEntropy(ConstTensorView logits, std::span<const int32_t> labels,
                                    const CrossEntropyOptions& options) {
  const auto rows = static_cast<size_t>(logits.shape()[0]);
  const auto classes = static_cast<size_t>(logits.shape()[1]);
  const auto smoothing = static_cast<double>(options.label_smoothing);
  const auto weight = [&](size_t k) {
    return options.class_weights.empty() ? 1.0 : static_cast<double>(options.class_weights[k]);
  };
  const bool mixed = !options.second_labels.empty();
  const double share = mixed ? static_cast<double>(options.first_share) : 1.0;
  const auto second = [&](size_t n) { return static_cast<size_t>(mixed ? options.second_labels[n] : labels[n]); };
  LossAndGradient result = {.grad = Sums(logits.size())};
  double total_weight = 0.0;
  for (size_t n = 0; n < rows; ++n) {
    if (labels[n] == options.ignore_index) continue;
    total_weight += share * weight(static_cast<size_t>(labels[n])) + (1.0 - share) * weight(second(n));
  }
  for (size_t n = 0; n < rows; ++n) {
    if (labels[n] == options.ignore_index) continue;
    const auto label = static_cast<size_t>(labels[n]);
    const std::span<const float> z = logits.span().subspan(n * classes, classes);
    double sum = 0.0;
    for (const float value : z) sum += std::exp(static_cast<double>(value));
    std::vector<double> targets(classes);
    double sum_of_targets = 0.0;
    for (size_t k = 0; k < classes; ++k) {
      const double hit = (k == label ? share : 0.0) + (k == second(n) ? 1.0 - share : 0.0);
      targets[k] = weight(k) * ((1.0 - smoothing) * hit + smoothing / static_cast<double>(classes));
      sum_of_targets += targets[k];
    }
    bool correct = true;
    for (size_t k = 0; k < classes; ++k) {
      const double p = std::exp(static_cast<double>(z[k])) / sum;
      result.loss -= targets[k] * std::log(p) / total_weight;
      result.grad.values[n * classes + k] = (sum_of_targets * p - targets[k]) / total_weight;
      result.grad.magnitudes[n * classes + k] = (sum_of_targets * p + targets[k]) / total_weight;
      if (z[k] > z[label] || (z[k] == z[label] && k < label)) correct = false;
    }
    result.correct += correct ? 1 : 0;
    result.rows += 1;
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
