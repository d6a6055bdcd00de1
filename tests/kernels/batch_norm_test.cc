#include "hwynn/kernels/batch_norm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/kernels/reference/batch_norm.h"
#include "hwynn/tests/kernels/batch_norm_case.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::BatchNormCase;
using testing::ExpectBounded;
using testing::ExpectRounded;
using testing::ForEachTarget;
using testing::Integers;
using testing::kChannels;
using testing::kNan;
using testing::kUnit;
using testing::kVariances;
using testing::Normals;
using testing::SameBits;

TEST(BatchNormTest, HandComputed) {
  const float x[] = {1, 10, 2, 20, 3, 30, 4, 40};
  const Workspace workspace;
  for (const Variance variance : kVariances) {
    Tensor mean({2}), var({2});
    BatchNormStatistics({x, {2, 2, 1, 2}}, variance, mean, var, workspace);
    EXPECT_EQ(mean[0], 2.5f);
    EXPECT_EQ(mean[1], 25.0f);
    EXPECT_EQ(var[0], 1.25f);
    EXPECT_EQ(var[1], 125.0f);
  }
}

TEST(BatchNormTest, ExactOnIntegers) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : kChannels) {
      for (const int64_t rows : {1, 2, 64, 128}) {  // powers of two: M divides exactly
        SCOPED_TRACE(StrCat("rows ", rows, " channels ", C));
        BatchNormCase x(rows, C, /*integers=*/true);
        for (const bool relu : {false, true}) {
          x.Forward(relu);
          ExpectRounded(
              reference::BatchNormNormalize(x.input, x.affine(), {.residual = x.residual, .relu = relu}).values,
              x.output, "output");
          const BatchNormBackwardArgs args = x.Args(relu);
          BatchNormBackward(args, x.workspace);
          const reference::BatchNormGradients grads = reference::BatchNormBackward(args);
          ExpectRounded(grads.input.values, x.grad_input, "grad_input");
          ExpectRounded(grads.residual.values, x.grad_residual, "grad_residual");
          ExpectRounded(grads.scale.values, x.grad_scale, "grad_scale");
          ExpectRounded(grads.bias.values, x.grad_bias, "grad_bias");
          const BatchNormBackwardArgs alone = x.ArgsAlone(relu);
          BatchNormBackward(alone, x.workspace);
          const reference::BatchNormGradients grads_alone = reference::BatchNormBackward(alone);
          ExpectRounded(grads_alone.input.values, x.grad_input, "grad_input without a residual");
          ExpectRounded(grads_alone.scale.values, x.grad_scale, "grad_scale without a residual");
          ExpectRounded(grads_alone.bias.values, x.grad_bias, "grad_bias without a residual");
        }
        const reference::Moments moments = reference::BatchNormStatistics(x.input);
        for (const Variance variance : kVariances) {
          x.Statistics(variance);
          // Chan's weights are no integers: a rounding of f64 is allowed before the one to f32. The shifts of kStable
          // are no integers either.
          const bool shifts = variance == Variance::kStable;
          for (int64_t c = 0; c < C; ++c) {
            const auto at = static_cast<size_t>(c);
            ASSERT_NEAR(moments.mean[at], x.mean[c],
                        kUnit * (std::abs(moments.mean[at]) + (shifts ? std::sqrt(moments.var[at]) : 0.0)) + 1e-15)
                << c;
            ASSERT_NEAR(moments.var[at], x.var[c], (shifts ? 3 : 1) * kUnit * moments.var[at] + 1e-15) << c;
          }
        }
      }
    }
  });
}

// Sums of integers are exact whatever the number of rows: just before and behind every cut, of blocks (64 rows), of
// narrow rows into wide ones (64 columns), of chunks (2¹⁷ elements of at most 512 columns) and of flat tasks (2¹⁶).
TEST(BatchNormTest, SumsAreExactAroundEveryCut) {
  struct Cut {
    int64_t rows, channels;
  };
  constexpr Cut kCuts[] = {{63, 64},    {65, 64},   {127, 64},  {129, 65},  {2047, 64}, {2048, 64}, {2049, 64},
                           {4096, 64},  {4097, 64}, {4095, 63}, {255, 512}, {257, 512}, {257, 513}, {129, 1024},
                           {300, 1030}, {64, 1},    {4097, 1},  {65535, 1}, {65536, 1}, {65537, 1}, {131072, 1},
                           {131137, 1}, {21846, 3}, {43008, 3}, {43029, 3}};
  ForEachTarget([&](const std::string&) {
    for (const auto& [rows, C] : kCuts) {
      SCOPED_TRACE(StrCat("rows ", rows, " channels ", C));
      BatchNormCase x(rows, C, /*integers=*/true);
      for (const bool residual : {false, true}) {
        residual ? x.Forward(true) : x.ForwardAlone(true);
        ExpectRounded(reference::BatchNormNormalize(
                          x.input, x.affine(), {.residual = residual ? x.residual.view() : TensorView(), .relu = true})
                          .values,
                      x.output, "output");
        BatchNormBackwardArgs args = residual ? x.Args(true) : x.ArgsAlone(true);
        args.frozen_statistics = true;  // without, 1/M rounds
        BatchNormBackward(args, x.workspace);
        const reference::BatchNormGradients grads = reference::BatchNormBackward(args);
        ExpectRounded(grads.input.values, x.grad_input, "grad_input");
        ExpectRounded(grads.scale.values, x.grad_scale, "grad_scale");
        ExpectRounded(grads.bias.values, x.grad_bias, "grad_bias");
        if (residual) ExpectRounded(grads.residual.values, x.grad_residual, "grad_residual");
      }
      const reference::Moments moments = reference::BatchNormStatistics(x.input);
      for (const Variance variance : kVariances) {
        x.Statistics(variance);
        for (int64_t c = 0; c < C; ++c) {
          const auto at = static_cast<size_t>(c);
          // kTwoPass and kStable sum deviations from means that are no integers; kFast subtracts rounded means.
          ASSERT_NEAR(moments.mean[at], x.mean[c],
                      kUnit * std::abs(moments.mean[at]) + (variance == Variance::kFast ? 1e-13 : 30 * kUnit))
              << c;
          ASSERT_NEAR(moments.var[at], x.var[c], (variance == Variance::kStable ? 3 : 20) * kUnit * moments.var[at])
              << c;
        }
      }
    }
  });
}

TEST(BatchNormTest, BoundedByMagnitudes) {
  ForEachTarget([](const std::string&) {
    double worst_output = 0;
    double worst_gradient = 0;
    for (const int64_t C : {1, 3, 17, 64, 130}) {
      for (const int64_t rows : {7, 49, 1000, 5000}) {
        SCOPED_TRACE(StrCat("rows ", rows, " channels ", C));
        BatchNormCase x(rows, C);
        x.Statistics();
        for (const bool relu : {false, true}) {
          x.Forward(relu);
          // Four roundings (difference, factor, fma, residual), and the fma's on partial sums.
          worst_output = std::max(
              worst_output,
              ExpectBounded(reference::BatchNormNormalize(x.input, x.affine(), {.residual = x.residual, .relu = relu}),
                            x.output, 5, "output"));
          const BatchNormBackwardArgs args = x.Args(relu);
          BatchNormBackward(args, x.workspace);
          const reference::BatchNormGradients grads = reference::BatchNormBackward(args);
          // 64 additions in f32; on random signs the error grows as their square root.
          ExpectBounded(grads.scale, x.grad_scale, 8 + 2, "grad_scale");
          ExpectBounded(grads.bias, x.grad_bias, 8 + 2, "grad_bias");
          worst_gradient = std::max(worst_gradient, ExpectBounded(grads.input, x.grad_input, 8 + 2, "grad_input"));
        }
      }
    }
    // A bound that is never approached tests nothing.
    EXPECT_GT(worst_output, 0.2);
    EXPECT_GT(worst_gradient, 0.05);
  });
}

TEST(BatchNormTest, VarianceSurvivesALargeMean) {
  ForEachTarget([](const std::string&) {
    const Workspace workspace;
    for (const int64_t C : {1, 3, 16, 17, 64, 600}) {
      for (const int64_t rows : {49, 1000, 20011}) {
        if (rows * C > 2000000) continue;
        for (const float mean_over_std : {0.0f, 10.0f, 1000.0f}) {
          const Tensor input = Normals({rows, C}, 7, mean_over_std);
          const reference::Moments moments = reference::BatchNormStatistics(input);
          const double tolerance = rows >= 1000 ? 1e-6 : 4e-6;
          for (const Variance variance : {Variance::kStable, Variance::kTwoPass}) {
            Tensor mean({C}), var({C});
            BatchNormStatistics(input, variance, mean, var, workspace);
            for (int64_t c = 0; c < C; ++c) {
              const auto at = static_cast<size_t>(c);
              ASSERT_NEAR(var[c] / moments.var[at], 1.0, tolerance) << rows << " rows, " << C << " channels, at " << c;
              // √64 roundings of a block's sum.
              ASSERT_NEAR(mean[c], moments.mean[at], 8 * kUnit * (std::abs(moments.mean[at]) + 1));
            }
          }
        }
      }
    }
  });
}

// Worst cases of a block's sums, whatever the order of the rows: equal values and one unlike them, two values in long
// stretches, a mean that drifts. Against float64.
TEST(BatchNormTest, VarianceOfSkewedRows) {
  ForEachTarget([](const std::string&) {
    const Workspace workspace;
    for (const auto& [name, value] : testing::SkewedSequences()) {
      for (const int64_t rows : {63, 64, 500, 6000}) {
        for (const int64_t C : {1, 16, 40}) {
          const Tensor input = testing::RowsOf(value, rows, C);
          const reference::Moments moments = reference::BatchNormStatistics(input);
          Tensor mean({C}), var({C});
          BatchNormStatistics(input, Variance::kStable, mean, var, workspace);
          for (int64_t c = 0; c < C; ++c) {
            const auto at = static_cast<size_t>(c);
            ASSERT_NEAR(var[c], moments.var[at], 1e-6 * moments.var[at]) << name << ", " << rows << " rows, at " << c;
            ASSERT_GE(var[c], 0.0f);
          }
        }
      }
    }
  });
}

TEST(BatchNormTest, VarianceIsBetterWithManyRows) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {1, 16, 64, 96}) {
      for (const float ratio : {0.0f, 1e3f, 1e4f}) {
        const Tensor input = Normals({6000, C}, 8, ratio);
        const reference::Moments moments = reference::BatchNormStatistics(input);
        Tensor mean({C}), var({C});
        BatchNormStatistics(input, Variance::kStable, mean, var, Workspace());
        for (int64_t c = 0; c < C; ++c) {
          const double exact = moments.var[static_cast<size_t>(c)];
          ASSERT_NEAR(var[c], exact, (ratio > 1e3f ? 1e-6 : 3e-7) * exact) << ratio << ", at " << c;
        }
      }
    }
  });
}

TEST(BatchNormTest, FastVarianceIsFlaxsFormula) {
  // At 1000 the difference of two squares, each rounded to float32, has lost the variance.
  const float x[] = {1000.0f, 1001.0f, 1002.5f};
  Tensor mean({1}), var({1});
  BatchNormStatistics({x, {3, 1}}, Variance::kFast, mean, var, Workspace());
  EXPECT_EQ(mean[0], static_cast<float>(3003.5 / 3));
  const auto mean_square = static_cast<float>((1000.0 * 1000.0 + 1001.0 * 1001.0 + 1002.5 * 1002.5) / 3);
  EXPECT_EQ(var[0], mean_square - mean[0] * mean[0]);
  EXPECT_GT(std::abs(var[0] - 1.0555556f), 0.01f);
  // And is clipped where it comes out negative.
  int64_t clipped = 0;
  for (int i = 0; i < 100; ++i) {
    const float y[] = {3000.0f + 0.37f * static_cast<float>(i),
                       std::nextafter(3000.0f + 0.37f * static_cast<float>(i), 1e9f)};
    BatchNormStatistics({y, {2, 1}}, Variance::kFast, mean, var, Workspace());
    ASSERT_GE(var[0], 0.0f);
    const auto square = static_cast<float>((double{y[0]} * double{y[0]} + double{y[1]} * double{y[1]}) / 2);
    if (square - mean[0] * mean[0] < 0) {
      ++clipped;
      EXPECT_EQ(var[0], 0.0f);
    }
  }
  EXPECT_GT(clipped, 10);
}

TEST(BatchNormTest, ConstantChannelHasNoVariance) {
  ForEachTarget([](const std::string&) {
    for (const Variance variance : kVariances) {
      BatchNormCase x(200, 5);
      for (int64_t i = 2; i < x.input.size(); i += 5) x.input[i] = 123.456f;
      x.Statistics(variance);
      EXPECT_GE(x.var[2], 0.0f);
      EXPECT_LE(x.var[2], variance == Variance::kFast ? 1e-2f : 1e-9f);
    }
    BatchNormCase x(200, 5);
    x.var[2] = 0.0f;
    BatchNormBackwardArgs args = x.Args(false);
    args.affine.epsilon = 0.5f;
    args.zero_variance_factor = 0.5f;
    BatchNormBackward(args, x.workspace);
    ExpectBounded(reference::BatchNormBackward(args).input, x.grad_input, 10, "grad_input");
  });
}

TEST(BatchNormTest, GradientsAgreeWithDirectionalDerivatives) {
  constexpr int64_t kRows = 40, kC = 3;
  constexpr double kStep = 0x1p-12;
  BatchNormCase x(kRows, kC, /*integers=*/true);
  const Tensor direction = Integers({kRows, kC}, 9);
  x.Statistics();
  BatchNormBackward(x.Args(false), x.workspace);
  // ⟨grad_output, BN(input)⟩ in double, with the statistics of that input.
  const auto loss = [&](double step) {
    Tensor moved = x.input.Clone();
    for (int64_t i = 0; i < moved.size(); ++i) moved[i] += static_cast<float>(step) * direction[i];  // exact
    const reference::Moments moments = reference::BatchNormStatistics(moved);
    double sum = 0;
    for (int64_t i = 0; i < moved.size(); ++i) {
      const auto c = static_cast<size_t>(i % kC);
      sum += x.grad_output[i] * x.scale[i % kC] * (moved[i] - moments.mean[c]) / std::sqrt(moments.var[c]);
    }
    return sum;
  };
  double along = 0;
  for (int64_t i = 0; i < direction.size(); ++i) along += static_cast<double>(direction[i]) * x.grad_input[i];
  EXPECT_NEAR(along, (loss(kStep) - loss(-kStep)) / (2 * kStep), 1e-4 * std::abs(along));
}

// Values whose y is 0 or the last bits beside it, where another rounding would change the sign.
TEST(BatchNormTest, MaskFromTheInputIsTheOutputs) {
  ForEachTarget([](const std::string&) {
    int64_t zeros = 0, tiny = 0;
    for (const int64_t C : kChannels) {
      BatchNormCase x(37, C);
      x.mean[0] = x.input[0];
      x.bias[0] = 0.0f;
      for (int64_t i = C; i < x.input.size(); ++i) {
        const int64_t c = i % C, row = i / C;
        if (row % 5 == 0) continue;
        // 1/√var is 2.
        float root = x.mean[c] - x.bias[c] / (2 * x.scale[c]);
        for (int64_t ulps = row % 5; ulps < 4; ++ulps) root = std::nextafter(root, row % 2 == 0 ? -1e9f : 1e9f);
        x.input[i] = root;
      }
      x.ForwardAlone(true);
      for (const float y : x.output.span()) {
        zeros += y == 0 ? 1 : 0;
        tiny += y > 0 && y < 1e-5f ? 1 : 0;
      }
      BatchNormBackwardArgs args = x.ArgsAlone(true);
      for (const bool frozen : {false, true}) {
        args.frozen_statistics = frozen;
        args.output = x.output;
        BatchNormBackward(args, x.workspace);
        const Tensor expected[] = {x.grad_input.Clone(), x.grad_scale.Clone(), x.grad_bias.Clone()};
        args.output = {};
        BatchNormBackward(args, x.workspace);
        ASSERT_TRUE(SameBits(expected[0], x.grad_input)) << C << " channels, frozen " << frozen;
        ASSERT_TRUE(SameBits(expected[1], x.grad_scale)) << C << " channels, frozen " << frozen;
        ASSERT_TRUE(SameBits(expected[2], x.grad_bias)) << C << " channels, frozen " << frozen;
      }
    }
    EXPECT_GT(zeros, 10000);
    EXPECT_GT(tiny, 10000);
  });
}

TEST(BatchNormTest, FrozenStatisticsAndUnwantedGradients) {
  ForEachTarget([](const std::string&) {
    BatchNormCase x(100, 19);
    x.Forward(true);
    BatchNormBackwardArgs args = x.Args(true);
    args.frozen_statistics = true;
    BatchNormBackward(args, x.workspace);
    const reference::BatchNormGradients grads = reference::BatchNormBackward(args);
    ExpectBounded(grads.input, x.grad_input, 3, "grad_input");
    ExpectBounded(grads.scale, x.grad_scale, 10, "grad_scale");
    std::fill_n(x.grad_residual.data(), x.grad_residual.size(), kNan);
    args.grad_input = args.grad_scale = args.grad_bias = {};
    BatchNormBackward(args, x.workspace);
    ExpectRounded(grads.residual.values, x.grad_residual, "grad_residual alone");
    args.grad_input = x.grad_input;
    BatchNormBackward(args, x.workspace);
    ExpectBounded(grads.input, x.grad_input, 3, "grad_input, no sums");
    ExpectRounded(grads.residual.values, x.grad_residual, "grad_residual, no sums");
  });
}

TEST(BatchNormTest, RunningAverages) {
  // Momentum 0.99 keeps f32(0.99) and adds f32(1 − 0.99), which is not 1 − f32(0.99).
  Tensor mean({1}, 2.0f), var({1}, 1.0f);
  BatchNormUpdateRunning(0.99, Tensor({1}, 4.0f), Tensor({1}, 3.0f), mean, var);
  EXPECT_EQ(mean[0], std::fma(0x1.fae148p-1f, 2.0f, 0x1.47ae14p-7f * 4.0f));
  EXPECT_EQ(var[0], std::fma(0x1.fae148p-1f, 1.0f, 0x1.47ae14p-7f * 3.0f));
}

}  // namespace
}  // namespace hwynn
