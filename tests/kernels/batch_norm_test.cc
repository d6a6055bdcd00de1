#include "hwynn/kernels/batch_norm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/reference/batch_norm.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::ForEachTarget;
using testing::Integers;
using testing::Normals;

constexpr double kUnit = 0x1p-24;  // f32's unit roundoff
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr Variance kVariances[] = {Variance::kStable, Variance::kFast, Variance::kTwoPass};

// Around every vector length, around the fold of narrow rows (64) and around the cut into column blocks (512).
const std::vector<int64_t> kChannels = {1,  2,  3,  4,  5,  7,  8,  9,  15,  16,  17,  30,   31,   32,
                                        33, 48, 63, 64, 65, 66, 80, 96, 511, 512, 520, 1023, 1024, 1500};

bool SameBits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)) == 0;
}

void ExpectRounded(const std::vector<double>& expected, const Tensor& actual, const std::string& what) {
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(static_cast<float>(expected[i]), actual.span()[i]) << what << " at " << i;
  }
}

// Largest error in units of the bound `factor`·u·magnitude; fails above 1.
double ExpectBounded(const reference::Values& expected, const Tensor& actual, double factor, const std::string& what) {
  double worst = 0;
  for (size_t i = 0; i < expected.value.size(); ++i) {
    const double error = std::abs(actual.span()[i] - expected.value[i]);
    const double bound = factor * kUnit * expected.magnitude[i];
    EXPECT_LE(error, bound) << what << " at " << i;
    if (bound > 0) worst = std::max(worst, error / bound);
  }
  return worst;
}

// Inputs and results of the passes on [rows,C].
struct Case {
  Case(int64_t rows, int64_t C, bool integers = false)
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
  void Forward(bool relu) { BatchNormNormalize(input, affine(), residual, relu, output); }
  void ForwardAlone(bool relu) { BatchNormNormalize(input, affine(), {}, relu, output); }
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
        Case x(rows, C, /*integers=*/true);
        for (const bool relu : {false, true}) {
          x.Forward(relu);
          ExpectRounded(reference::BatchNormNormalize(x.input, x.affine(), x.residual, relu).value, x.output, "output");
          const BatchNormBackwardArgs args = x.Args(relu);
          BatchNormBackward(args, x.workspace);
          const reference::BatchNormGradients grads = reference::BatchNormBackward(args);
          ExpectRounded(grads.input.value, x.grad_input, "grad_input");
          ExpectRounded(grads.residual.value, x.grad_residual, "grad_residual");
          ExpectRounded(grads.scale.value, x.grad_scale, "grad_scale");
          ExpectRounded(grads.bias.value, x.grad_bias, "grad_bias");
          const BatchNormBackwardArgs alone = x.ArgsAlone(relu);
          BatchNormBackward(alone, x.workspace);
          const reference::BatchNormGradients grads_alone = reference::BatchNormBackward(alone);
          ExpectRounded(grads_alone.input.value, x.grad_input, "grad_input without a residual");
          ExpectRounded(grads_alone.scale.value, x.grad_scale, "grad_scale without a residual");
          ExpectRounded(grads_alone.bias.value, x.grad_bias, "grad_bias without a residual");
        }
        BiasGradient(x.grad_output, x.grad_bias, x.workspace);
        ExpectRounded(reference::BiasGradient(x.grad_output).value, x.grad_bias, "BiasGradient");
        const reference::Moments moments = reference::BatchNormStatistics(x.input);
        for (const Variance variance : kVariances) {
          x.Statistics(variance);
          // Chan's weights are no integers: a rounding of f64 is allowed before the one to f32.
          for (int64_t c = 0; c < C; ++c) {
            const auto at = static_cast<size_t>(c);
            ASSERT_NEAR(moments.mean[at], x.mean[c], kUnit * std::abs(moments.mean[at]) + 1e-15) << c;
            ASSERT_NEAR(moments.var[at], x.var[c], kUnit * moments.var[at] + 1e-15) << c;
          }
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
        Case x(rows, C);
        x.Statistics();
        for (const bool relu : {false, true}) {
          x.Forward(relu);
          // Four roundings (difference, factor, fma, residual), and the fma's on partial sums.
          worst_output =
              std::max(worst_output, ExpectBounded(reference::BatchNormNormalize(x.input, x.affine(), x.residual, relu),
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

TEST(BatchNormTest, FastVarianceIsFlaxsFormula) {
  // 3 rows: the mean is sum · f32(1/3), and at 1000 the difference of two squares has lost the variance.
  const float x[] = {1000.0f, 1001.0f, 1002.5f};
  Tensor mean({1}), var({1});
  BatchNormStatistics({x, {3, 1}}, Variance::kFast, mean, var, Workspace());
  const float third = 1.0f / 3.0f;
  EXPECT_EQ(mean[0], 3003.5f * third);
  const float mean_square = static_cast<float>(1000.0 * 1000.0 + 1001.0 * 1001.0 + 1002.5 * 1002.5) * third;
  EXPECT_EQ(var[0], std::max(0.0f, mean_square - mean[0] * mean[0]));
}

TEST(BatchNormTest, ConstantChannelHasNoVariance) {
  ForEachTarget([](const std::string&) {
    for (const Variance variance : kVariances) {
      Case x(200, 5);
      for (int64_t i = 2; i < x.input.size(); i += 5) x.input[i] = 123.456f;
      x.Statistics(variance);
      EXPECT_GE(x.var[2], 0.0f);
      EXPECT_LE(x.var[2], variance == Variance::kFast ? 1e-2f : 1e-9f);
    }
    Case x(200, 5);
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
  Case x(kRows, kC, /*integers=*/true);
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

TEST(BatchNormTest, SameBitsForAnyNumberOfThreads) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {3, 64, 1100}) {
      Case x(600000 / C, C);
      for (const Variance variance : kVariances) {
        std::vector<Tensor> expected;
        for (const int threads : {1, 2, 3}) {
          RunWithThreads(threads, [&] {
            x.Statistics(variance);
            x.Forward(true);
            BatchNormBackward(x.Args(true), x.workspace);
          });
          Tensor alone[] = {Tensor(x.grad_input.shape()), Tensor({C}), Tensor({C})};
          RunWithThreads(threads, [&] {
            BatchNormBackwardArgs args = x.ArgsAlone(true);
            args.grad_input = alone[0], args.grad_scale = alone[1], args.grad_bias = alone[2];
            BatchNormBackward(args, x.workspace);
          });
          const Tensor* results[] = {&x.mean,          &x.var,       &x.output, &x.grad_input, &x.grad_scale,
                                     &x.grad_residual, &x.grad_bias, &alone[0], &alone[1],     &alone[2]};
          for (size_t i = 0; i < std::size(results); ++i) {
            if (threads == 1) expected.push_back(results[i]->Clone());
            EXPECT_TRUE(SameBits(expected[i], *results[i])) << "result " << i << ", threads " << threads;
          }
        }
      }
    }
  });
}

TEST(BatchNormTest, StreamedResultsAreTheSameAndInPlaceToo) {
  ForEachTarget([](const std::string&) {
    constexpr int64_t kC = 11;
    const Tensor input = Integers({1000003, kC}, 1);  // 44 MB: streamed, unless the output is an input
    Tensor streamed({1000003, kC}), in_place = input.Clone();
    const Tensor mean = Normals({kC}, 2), var({kC}, 2.0f);
    const BatchNormAffine affine{.mean = mean, .var = var};
    BatchNormNormalize(input, affine, {}, false, streamed);
    BatchNormNormalize(in_place, affine, {}, false, in_place);
    EXPECT_TRUE(SameBits(streamed, in_place));
    Tensor sum = input.Clone();
    BatchNormNormalize(input, affine, sum, false, sum);
    for (const int64_t i : {int64_t{0}, sum.size() / 2, sum.size() - 1}) EXPECT_EQ(sum[i], streamed[i] + input[i]);
  });
}

// Values whose y is 0 or the last bits beside it, where another rounding would change the sign.
TEST(BatchNormTest, MaskFromTheInputIsTheOutputs) {
  ForEachTarget([](const std::string&) {
    int64_t zeros = 0, tiny = 0;
    for (const int64_t C : kChannels) {
      Case x(37, C);
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

TEST(BatchNormTest, BackwardMayOverwriteGradOutput) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {3, 17, 64, 600}) {
      for (const bool relu : {false, true}) {
        Case x(333, C);
        x.Forward(relu);
        BatchNormBackward(x.Args(relu), x.workspace);
        const Tensor expected_input = x.grad_input.Clone();
        const Tensor expected_residual = x.grad_residual.Clone();
        Tensor in_place = x.grad_output.Clone();
        BatchNormBackwardArgs args = x.Args(relu);
        args.grad_output = args.grad_input = in_place;
        BatchNormBackward(args, x.workspace);
        EXPECT_TRUE(SameBits(expected_input, in_place));
        EXPECT_TRUE(SameBits(expected_residual, x.grad_residual));

        in_place = x.grad_output.Clone();
        args = x.Args(relu);
        args.grad_output = args.grad_residual = in_place;
        BatchNormBackward(args, x.workspace);
        EXPECT_TRUE(SameBits(expected_input, x.grad_input));
        EXPECT_TRUE(SameBits(expected_residual, in_place));
      }
    }
  });
}

TEST(BatchNormTest, MaskedRowsAreNotRead) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {1, 5, 64}) {
      Case x(300, C);
      std::vector<uint8_t> mask(300);
      for (size_t row = 0; row < mask.size(); ++row) mask[row] = row % 7 < 4 ? 2 : 0;
      const reference::Moments moments = reference::BatchNormStatistics(x.input, mask);
      BatchNormBackwardArgs args = x.Args(false);
      args.mask = mask;
      BatchNormBackward(args, x.workspace);
      ExpectBounded(reference::BatchNormBackward(args).input, x.grad_input, 10, "grad_input");
      x.ForwardAlone(true);
      args = x.ArgsAlone(true);
      args.mask = mask;
      BatchNormBackward(args, x.workspace);
      args.output = x.output;
      ExpectBounded(reference::BatchNormBackward(args).input, x.grad_input, 10, "grad_input after ReLU");
      for (int64_t i = 0; i < x.input.size(); ++i) {
        if (mask[static_cast<size_t>(i / C)] == 0) x.input[i] = kNan;
      }
      for (const Variance variance : kVariances) {
        BatchNormStatistics(x.input, variance, x.mean, x.var, x.workspace, mask);
        for (int64_t c = 0; c < C; ++c) {
          const auto at = static_cast<size_t>(c);
          EXPECT_NEAR(x.mean[c], moments.mean[at], 4 * kUnit * (1 + std::abs(moments.mean[at])));
          EXPECT_NEAR(x.var[c], moments.var[at], (variance == Variance::kFast ? 1e-5 : 1e-7) * moments.var[at]);
        }
      }
      const std::vector<uint8_t> none(300, 0);
      EXPECT_THROW(BatchNormStatistics(x.input, Variance::kStable, x.mean, x.var, x.workspace, none),
                   std::invalid_argument);
    }
  });
}

TEST(BatchNormTest, FrozenStatisticsAndUnwantedGradients) {
  ForEachTarget([](const std::string&) {
    Case x(100, 19);
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
    ExpectRounded(grads.residual.value, x.grad_residual, "grad_residual alone");
    args.grad_input = x.grad_input;
    BatchNormBackward(args, x.workspace);
    ExpectBounded(grads.input, x.grad_input, 3, "grad_input, no sums");
    ExpectRounded(grads.residual.value, x.grad_residual, "grad_residual, no sums");
  });
}

TEST(BatchNormTest, MisalignedViewsBetweenGuards) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : kChannels) {
      const int64_t size = 9 * C;
      const Shape shape{9, C};
      for (const int64_t offset : {1, 3}) {
        // NaN before and behind what may be read or written.
        std::vector<Tensor> buffers;
        for (uint32_t i = 0; i < 4; ++i) {
          buffers.emplace_back(Shape{size + 2 * offset}, kNan);
          testing::FillIntegers({buffers.back().data() + offset, shape}, i + 1);
        }
        const auto view = [&](size_t i) { return TensorView(buffers[i].data() + offset, shape); };
        Case x(9, C, /*integers=*/true);
        BatchNormNormalize(view(0), x.affine(), view(1), true, view(2));
        ExpectRounded(
            reference::BatchNormNormalize(view(0), x.affine(), view(1), true).value,
            [&] {
              Tensor copy(shape);
              std::copy_n(view(2).data(), size, copy.data());
              return copy;
            }(),
            "output");
        BatchNormBackwardArgs args = x.Args(true);
        args.input = view(0);
        args.output = view(2);
        args.grad_output = view(1);
        args.grad_input = view(3);
        BatchNormBackward(args, x.workspace);
        ExpectRounded(reference::BatchNormBackward(args).bias.value, x.grad_bias, "grad_bias");
        x.mean.Reshape({C});
        BatchNormStatistics(view(0), Variance::kStable, x.mean, x.var, x.workspace);
        for (const Tensor& buffer : buffers) {
          EXPECT_EQ(std::count_if(buffer.span().begin(), buffer.span().end(), [](float v) { return std::isnan(v); }),
                    2 * offset);
        }
        for (int64_t c = 0; c < C; ++c) ASSERT_FALSE(std::isnan(x.mean[c]) || std::isnan(x.var[c]));
      }
    }
  });
}

TEST(BatchNormTest, NanIsNotHiddenByRelu) {
  ForEachTarget([](const std::string&) {
    Case x(33, 3);
    x.input[98] = kNan;
    x.input[10] = kNan;
    x.Forward(true);
    EXPECT_TRUE(std::isnan(x.output[10]) && std::isnan(x.output[98]));
    x.Statistics();
    EXPECT_TRUE(std::isnan(x.mean[1]) && std::isnan(x.var[1]) && std::isnan(x.var[2]));
    EXPECT_FALSE(std::isnan(x.mean[0]));
    // Nor does a NaN let a gradient pass.
    x.mean = Tensor({3}, 0.0f);
    x.var = Tensor({3}, 1.0f);
    for (const bool residual : {false, true}) {
      BatchNormBackwardArgs args = residual ? x.Args(true) : x.ArgsAlone(true);
      args.frozen_statistics = true;
      BatchNormBackward(args, x.workspace);
      EXPECT_TRUE(x.grad_input[10] == 0 && x.grad_input[98] == 0);
    }
  });
}

TEST(BatchNormTest, RunningAverages) {
  // Momentum 0.99 keeps f32(0.99) and adds f32(1 − 0.99), which is not 1 − f32(0.99).
  Tensor mean({1}, 2.0f), var({1}, 1.0f);
  BatchNormUpdateRunning(0.99, Tensor({1}, 4.0f), Tensor({1}, 3.0f), mean, var);
  EXPECT_EQ(mean[0], std::fma(0x1.fae148p-1f, 2.0f, 0x1.47ae14p-7f * 4.0f));
  EXPECT_EQ(var[0], std::fma(0x1.fae148p-1f, 1.0f, 0x1.47ae14p-7f * 3.0f));
}

TEST(BatchNormTest, RefusesWhatDoesNotFit) {
  Case x(4, 6);
  const Tensor before = x.output.Clone();
  EXPECT_THROW(BatchNormStatistics(Tensor({0, 6}), Variance::kStable, x.mean, x.var, x.workspace),
               std::invalid_argument);
  Tensor five({5});
  EXPECT_THROW(BatchNormStatistics(x.input, Variance::kStable, five, x.var, x.workspace), std::invalid_argument);
  BatchNormAffine affine = x.affine();
  affine.bias = five;
  EXPECT_THROW(BatchNormNormalize(x.input, affine, {}, false, x.output), std::invalid_argument);
  EXPECT_THROW(BatchNormNormalize(x.input, x.affine(), Tensor({6, 4}), false, x.output), std::invalid_argument);
  EXPECT_TRUE(SameBits(before, x.output));
  BatchNormBackwardArgs args = x.Args(true);
  args.output = {};
  EXPECT_THROW(BatchNormBackward(args, x.workspace), std::invalid_argument);
  args = x.Args(true);
  args.grad_input = x.grad_residual;
  EXPECT_THROW(BatchNormBackward(args, x.workspace), std::invalid_argument);
  EXPECT_THROW(BiasGradient(x.grad_output, five, x.workspace), std::invalid_argument);
  EXPECT_THROW(BatchNormUpdateRunning(0.9, x.mean, x.var, five, x.var), std::invalid_argument);
}

}  // namespace
}  // namespace hwynn
