#ifndef HWYNN_TESTS_KERNELS_BATCH_NORM_CASE_H_
#define HWYNN_TESTS_KERNELS_BATCH_NORM_CASE_H_

// What the tests of BatchNorm's kernels share: numbers of channels, a problem with room for all its results, and
// comparisons with the reference.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/reference/batch_norm.h"
#include "hwynn/tests/support/fill.h"

namespace hwynn::testing {

inline constexpr double kUnit = 0x1p-24;  // f32's unit roundoff
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr Variance kVariances[] = {Variance::kStable, Variance::kFast, Variance::kTwoPass};

// Around every vector length, around the fold of narrow rows (64) and around the cut into column blocks (512).
inline const std::vector<int64_t> kChannels = {1,  2,  3,  4,  5,  7,  8,  9,  15,  16,  17,  30,   31,   32,
                                               33, 48, 63, 64, 65, 66, 80, 96, 511, 512, 520, 1023, 1024, 1500};

inline bool SameBits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)) == 0;
}

inline void ExpectRounded(const std::vector<double>& expected, const Tensor& actual, const std::string& what) {
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(static_cast<float>(expected[i]), actual.span()[i]) << what << " at " << i;
  }
}

// Largest error in units of the bound `factor`·u·magnitude; fails above 1.
inline double ExpectBounded(const reference::Sums& expected, const Tensor& actual, double factor,
                            const std::string& what) {
  double worst = 0;
  for (size_t i = 0; i < expected.values.size(); ++i) {
    const double error = std::abs(actual.span()[i] - expected.values[i]);
    const double bound = factor * kUnit * expected.magnitudes[i];
    EXPECT_LE(error, bound) << what << " at " << i;
    if (bound > 0) worst = std::max(worst, error / bound);
  }
  return worst;
}

// Values whose float32 sums round badly, by the number of the row: a variance must be right whatever their order.
struct SkewedSequence {
  const char* name;
  float (*value)(int64_t row);
};
inline std::vector<SkewedSequence> SkewedSequences() {
  return {{"the first unlike the rest", [](int64_t row) { return row == 0 ? 1.0f : 0.1f; }},
          {"one of 63 unlike the rest", [](int64_t row) { return row % 63 == 62 ? 1000.7f : 0.3f; }},
          {"one in all", [](int64_t row) { return row == 40 ? 1e6f : 0.7f; }},
          {"long stretches", [](int64_t row) { return row / 64 % 2 == 0 ? 0.0f : 0.7f; }},
          {"longer stretches", [](int64_t row) { return row < 640 ? 0.1f : 3.3f; }},
          {"a drift", [](int64_t row) { return 1000.0f + 0.37f * static_cast<float>(row); }},
          {"growing", [](int64_t row) { return std::pow(1.003f, static_cast<float>(row)); }},
          {"alternating", [](int64_t row) { return row % 2 == 0 ? 0.1f : 0.3f; }}};
}
// [rows,C], with every channel a multiple of the sequence.
inline Tensor RowsOf(float (*value)(int64_t row), int64_t rows, int64_t C) {
  Tensor result({rows, C});
  for (int64_t i = 0; i < result.size(); ++i) result[i] = value(i / C) * (1.0f + 0.13f * static_cast<float>(i % C));
  return result;
}

// Inputs and results of the passes on [rows,C].
struct BatchNormCase {
  BatchNormCase(int64_t rows, int64_t C, bool integers = false)
      : shape{rows, C},
        input(integers ? Integers(shape, 1) : Normals(shape, 1, 2.0f, 3.0f)),
        residual(integers ? Integers(shape, 2) : Normals(shape, 2)),
        grad_output(integers ? Integers(shape, 3) : Normals(shape, 3)),
        mean(integers ? Integers({C}, 4) : Normals({C}, 4)),
        var({C}, 0.25f),
        scale(integers ? Integers({C}, 5) : Normals({C}, 5, 1.0f)),
        bias(integers ? Integers({C}, 6) : Normals({C}, 6)),
        output(shape),
        grad_input(shape),
        grad_residual(shape),
        grad_scale({C}),
        grad_bias({C}) {}

  // With the variance 1/4 and no epsilon 1/√var is 2, and integers stay exact.
  BatchNormAffine affine() const { return {.mean = mean, .var = var, .scale = scale, .bias = bias, .epsilon = 0}; }
  void Statistics(Variance variance = Variance::kStable) { BatchNormStatistics(input, variance, mean, var, workspace); }
  void Forward(bool relu) { BatchNormNormalize(input, affine(), output, {.residual = residual, .relu = relu}); }
  void ForwardAlone(bool relu) { BatchNormNormalize(input, affine(), output, {.relu = relu}); }
  BatchNormBackwardArgs Args(bool relu) {
    return {.input = input,
            .output = output,
            .grad_output = grad_output,
            .affine = affine(),
            .relu = relu,
            .grad_input = grad_input,
            .grad_residual = grad_residual,
            .grad_scale = grad_scale,
            .grad_bias = grad_bias};
  }
  // The same without a residual: ReLU's mask comes from the input.
  BatchNormBackwardArgs ArgsAlone(bool relu) {
    BatchNormBackwardArgs args = Args(relu);
    args.output = {};
    args.grad_residual = {};
    return args;
  }

  Shape shape;
  Workspace workspace;
  Tensor input, residual, grad_output, mean, var, scale, bias;
  Tensor output, grad_input, grad_residual, grad_scale, grad_bias;
};

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_KERNELS_BATCH_NORM_CASE_H_
