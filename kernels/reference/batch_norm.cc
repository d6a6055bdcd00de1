#include "hwynn/kernels/reference/batch_norm.h"

#include <cmath>

namespace hwynn::reference {
namespace {

Values Zeros(int64_t size) {
  return {std::vector<double>(static_cast<size_t>(size)), std::vector<double>(static_cast<size_t>(size))};
}

// Row i's place in a mask; an empty mask keeps every row.
bool Kept(std::span<const uint8_t> mask, int64_t row) { return mask.empty() || mask[static_cast<size_t>(row)] != 0; }

double InverseStd(const BatchNormAffine& affine, int64_t c) {
  return 1.0 / std::sqrt(static_cast<double>(affine.var[c]) + static_cast<double>(affine.epsilon));
}

double Scale(const BatchNormAffine& affine, int64_t c) { return affine.scale.size() == 0 ? 1.0 : affine.scale[c]; }

}  // namespace

Moments BatchNormStatistics(ConstTensorView input, std::span<const uint8_t> mask) {
  const int64_t C = input.shape().back();
  Moments moments{std::vector<double>(static_cast<size_t>(C)), std::vector<double>(static_cast<size_t>(C))};
  for (int64_t c = 0; c < C; ++c) {
    double count = 0;
    double sum = 0;
    for (int64_t i = c; i < input.size(); i += C) {
      if (!Kept(mask, i / C)) continue;
      sum += input[i];
      ++count;
    }
    const double mean = sum / count;
    double deviations = 0;
    for (int64_t i = c; i < input.size(); i += C) {
      if (Kept(mask, i / C)) deviations += (input[i] - mean) * (input[i] - mean);
    }
    moments.mean[static_cast<size_t>(c)] = mean;
    moments.var[static_cast<size_t>(c)] = deviations / count;
  }
  return moments;
}

Values BatchNormNormalize(ConstTensorView input, const BatchNormAffine& affine, ConstTensorView residual, bool relu) {
  const int64_t C = input.shape().back();
  Values output = Zeros(input.size());
  for (int64_t i = 0; i < input.size(); ++i) {
    const int64_t c = i % C;
    const double centered = static_cast<double>(input[i]) - affine.mean[c];
    const double normal = centered * Scale(affine, c) * InverseStd(affine, c);
    const double bias = affine.bias.size() == 0 ? 0.0 : affine.bias[c];
    const double added = residual.size() == 0 ? 0.0 : residual[i];
    const double y = normal + bias + added;
    output.value[static_cast<size_t>(i)] = relu && y < 0 ? 0.0 : y;
    output.magnitude[static_cast<size_t>(i)] = std::abs(normal) + std::abs(bias) + std::abs(added);
  }
  return output;
}

BatchNormGradients BatchNormBackward(const BatchNormBackwardArgs& args) {
  const int64_t size = args.input.size();
  const int64_t C = args.input.shape().back();
  BatchNormGradients grads{Zeros(size), Zeros(size), Zeros(C), Zeros(C)};
  for (int64_t c = 0; c < C; ++c) {
    const auto at = static_cast<size_t>(c);
    const double r = InverseStd(args.affine, c);
    const double scale = Scale(args.affine, c);
    const double factor = args.affine.var[c] == 0 ? args.zero_variance_factor : 1.0;
    double count = 0;
    for (int64_t i = c; i < size; i += C) {
      const double x_hat = (static_cast<double>(args.input[i]) - args.affine.mean[c]) * r;
      const double bias = args.affine.bias.size() == 0 ? 0.0 : args.affine.bias[c];
      const double y = args.output.size() == 0 ? x_hat * scale + bias : args.output[i];
      const double g = args.relu && !(y > 0) ? 0.0 : args.grad_output[i];
      grads.residual.value[static_cast<size_t>(i)] = g;
      grads.residual.magnitude[static_cast<size_t>(i)] = std::abs(g);
      grads.bias.value[at] += g;
      grads.bias.magnitude[at] += std::abs(g);
      grads.scale.value[at] += g * x_hat;
      grads.scale.magnitude[at] += std::abs(g * x_hat);
      if (Kept(args.mask, i / C)) ++count;
    }
    for (int64_t i = c; i < size; i += C) {
      const double g = grads.residual.value[static_cast<size_t>(i)];
      const double x_hat = (static_cast<double>(args.input[i]) - args.affine.mean[c]) * r;
      const double depends = !args.frozen_statistics && Kept(args.mask, i / C) ? 1.0 : 0.0;
      grads.input.value[static_cast<size_t>(i)] =
          scale * r * (g - depends / count * (grads.bias.value[at] + factor * x_hat * grads.scale.value[at]));
      grads.input.magnitude[static_cast<size_t>(i)] =
          std::abs(scale * r) *
          (std::abs(g) + depends / count * (grads.bias.magnitude[at] + std::abs(x_hat) * grads.scale.magnitude[at]));
    }
  }
  return grads;
}

Values BiasGradient(ConstTensorView grad_output) {
  const int64_t C = grad_output.shape().back();
  Values sums = Zeros(C);
  for (int64_t i = 0; i < grad_output.size(); ++i) {
    sums.value[static_cast<size_t>(i % C)] += grad_output[i];
    sums.magnitude[static_cast<size_t>(i % C)] += std::abs(grad_output[i]);
  }
  return sums;
}

}  // namespace hwynn::reference
