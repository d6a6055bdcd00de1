#include "hwynn/kernels/reference/batch_norm.h"

#include <algorithm>
#include <cmath>

namespace hwynn::reference {
namespace {

// Row i's place in a mask; an empty mask keeps every row.
bool Kept(std::span<const uint8_t> mask, int64_t row) { return mask.empty() || mask[static_cast<size_t>(row)] != 0; }

double InverseStd(const BatchNormAffine& affine, int64_t c) {
  return 1.0 / std::sqrt(static_cast<double>(affine.var[c]) + static_cast<double>(affine.epsilon));
}

double Scale(const BatchNormAffine& affine, int64_t c) { return affine.scale.size() == 0 ? 1.0 : affine.scale[c]; }
double Bias(const BatchNormAffine& affine, int64_t c) { return affine.bias.size() == 0 ? 0.0 : affine.bias[c]; }

}  // namespace

BatchNormMoments BatchNormGatherMoments(ConstTensorView input, std::span<const uint8_t> mask) {
  const int64_t C = input.shape().back();
  BatchNormMoments moments{.mean = std::vector<double>(static_cast<size_t>(C)),
                           .m2 = std::vector<double>(static_cast<size_t>(C))};
  for (int64_t row = 0; row < input.size() / C; ++row) moments.count += Kept(mask, row) ? 1 : 0;
  for (int64_t c = 0; c < C; ++c) {
    double& mean = moments.mean[static_cast<size_t>(c)];
    double& m2 = moments.m2[static_cast<size_t>(c)];
    for (int64_t i = c; i < input.size(); i += C) mean += Kept(mask, i / C) ? double{input[i]} : 0.0;
    mean /= moments.count;
    for (int64_t i = c; i < input.size(); i += C) {
      if (Kept(mask, i / C)) m2 += (input[i] - mean) * (input[i] - mean);
    }
  }
  return moments;
}

BatchNormMoments BatchNormMerge(const BatchNormMoments& a, const BatchNormMoments& b) {
  BatchNormMoments both{.count = a.count + b.count, .mean = a.mean, .m2 = a.m2};
  for (size_t c = 0; c < both.mean.size(); ++c) {
    both.mean[c] = (a.count * a.mean[c] + b.count * b.mean[c]) / both.count;
    both.m2[c] = a.m2[c] + a.count * std::pow(a.mean[c] - both.mean[c], 2) +  //
                 b.m2[c] + b.count * std::pow(b.mean[c] - both.mean[c], 2);
  }
  return both;
}

Moments BatchNormFinalize(const BatchNormMoments& moments) {
  Moments result{moments.mean, moments.m2};
  for (double& var : result.var) var /= moments.count;
  return result;
}

Moments BatchNormStatistics(ConstTensorView input, std::span<const uint8_t> mask) {
  return BatchNormFinalize(BatchNormGatherMoments(input, mask));
}

Sums BatchNormNormalize(ConstTensorView input, const BatchNormAffine& affine,
                        const BatchNormNormalizeOptions& options) {
  const int64_t C = input.shape().back();
  Sums output(input.size());
  for (int64_t i = 0; i < input.size(); ++i) {
    const int64_t c = i % C;
    double y = 0;
    double magnitude = 0;
    const auto add_norm = [&](double x, const BatchNormAffine& norm) {
      const double normal = (x - norm.mean[c]) * Scale(norm, c) * InverseStd(norm, c);
      y += normal + Bias(norm, c);
      magnitude += std::abs(normal) + std::abs(Bias(norm, c));
    };
    add_norm(input[i], affine);
    if (options.residual_affine.mean.size() != 0) {
      add_norm(options.residual[i], options.residual_affine);
    } else if (options.residual.size() != 0) {
      y += options.residual[i];
      magnitude += std::abs(options.residual[i]);
    }
    output.values[static_cast<size_t>(i)] = options.relu ? std::clamp(y, 0.0, static_cast<double>(options.upper)) : y;
    output.magnitudes[static_cast<size_t>(i)] = magnitude;
  }
  return output;
}

BackwardSums BatchNormBackwardSums(const BatchNormBackwardArgs& args) {
  const int64_t C = args.input.shape().back();
  BackwardSums sums{.count = 0, .residual = Sums(args.input.size()), .grad = Sums(C), .grad_centered = Sums(C)};
  for (int64_t row = 0; row < args.input.size() / C; ++row) sums.count += Kept(args.mask, row) ? 1 : 0;
  for (int64_t i = 0; i < args.input.size(); ++i) {
    const int64_t c = i % C;
    const double centered = static_cast<double>(args.input[i]) - args.affine.mean[c];
    const double y = args.output.size() == 0
                         ? centered * InverseStd(args.affine, c) * Scale(args.affine, c) + Bias(args.affine, c)
                         : args.output[i];
    const bool passes = y > 0 && (y < args.upper || std::isinf(args.upper));
    const double g = args.relu && !passes ? 0.0 : args.grad_output[i];
    sums.residual.Add(i, g);
    sums.grad.Add(c, g);
    sums.grad_centered.Add(c, g * centered);
  }
  return sums;
}

BatchNormGradients BatchNormGradientsOf(const BatchNormBackwardArgs& args, const BackwardSums& sums) {
  const int64_t C = args.input.shape().back();
  BatchNormGradients grads{
      .input = Sums(args.input.size()), .residual = sums.residual, .scale = sums.grad_centered, .bias = sums.grad};
  for (int64_t c = 0; c < C; ++c) {
    grads.scale.values[static_cast<size_t>(c)] *= InverseStd(args.affine, c);
    grads.scale.magnitudes[static_cast<size_t>(c)] *= InverseStd(args.affine, c);
  }
  for (int64_t i = 0; i < args.input.size(); ++i) {
    const int64_t c = i % C;
    const auto at = static_cast<size_t>(c);
    const double r = InverseStd(args.affine, c);
    const double factor = args.affine.var[c] == 0 ? args.zero_variance_factor : 1.0;
    const double g = grads.residual.values[static_cast<size_t>(i)];
    const double x_hat = (static_cast<double>(args.input[i]) - args.affine.mean[c]) * r;
    const double share = !args.frozen_statistics && Kept(args.mask, i / C) ? 1.0 / sums.count : 0.0;
    grads.input.values[static_cast<size_t>(i)] =
        Scale(args.affine, c) * r * (g - share * (grads.bias.values[at] + factor * x_hat * grads.scale.values[at]));
    grads.input.magnitudes[static_cast<size_t>(i)] =
        std::abs(Scale(args.affine, c) * r) *
        (std::abs(g) + share * (grads.bias.magnitudes[at] + std::abs(x_hat) * grads.scale.magnitudes[at]));
  }
  return grads;
}

BatchNormGradients BatchNormBackward(const BatchNormBackwardArgs& args) {
  return BatchNormGradientsOf(args, BatchNormBackwardSums(args));
}

}  // namespace hwynn::reference
