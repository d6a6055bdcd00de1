// BatchNorm of values near the ends of float32's range: squares overflow or vanish long before the values do.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/reference/batch_norm.h"
#include "hwynn/tests/kernels/batch_norm_case.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::BatchNormCase;
using testing::ExpectBounded;
using testing::ForEachTarget;
using testing::kChannels;
using testing::kNan;
using testing::kUnit;
using testing::kVariances;
using testing::Normals;
using testing::SameBits;

constexpr float kLargest = std::numeric_limits<float>::max();
constexpr double kSmallestNormal = std::numeric_limits<float>::min();

// Mean and variance are right to a few roundings of float32, of the fast form at the size of the mean's square.
void ExpectStatistics(const Tensor& input, Variance variance, std::span<const uint8_t> mask = {}) {
  const int64_t C = input.shape().back();
  Tensor mean({C}), var({C});
  BatchNormStatistics(input, variance, mean, var, Workspace(), mask);
  const reference::Moments moments = reference::BatchNormStatistics(input, mask);
  for (int64_t c = 0; c < C; ++c) {
    const auto at = static_cast<size_t>(c);
    if (moments.var[at] > kLargest) {
      EXPECT_EQ(var[c], std::numeric_limits<float>::infinity());
      continue;
    }
    const double square = variance == Variance::kFast ? moments.mean[at] * moments.mean[at] : 0.0;
    if (moments.var[at] + square > kLargest) continue;  // the fast form has no E[x²]
    // Below the normal numbers a rounding is absolute.
    EXPECT_NEAR(mean[c], moments.mean[at],
                8 * kUnit * (std::abs(moments.mean[at]) + std::sqrt(moments.var[at]) + kSmallestNormal));
    EXPECT_NEAR(var[c], moments.var[at], 10 * kUnit * (moments.var[at] + square + kSmallestNormal)) << "channel " << c;
    EXPECT_FALSE(std::signbit(var[c])) << "channel " << c << ": " << var[c];
  }
}

TEST(BatchNormRangeTest, VarianceIsRightWhereverItIsAFloat) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {1, 17, 64}) {
      for (const int64_t rows : {int64_t{3}, int64_t{64}, 2000 / C}) {
        for (const float size : {1e17f, 1e18f, 1e19f, 1e-17f, 1e-18f, 1e-19f, 1e-20f, 1e-22f, 1e-25f, 1e-38f, 1e-42f}) {
          const std::vector<uint8_t> mask(static_cast<size_t>(rows), 1);
          for (const Variance variance : kVariances) {
            for (const float mean : {0.0f, 0.5f * size}) {
              SCOPED_TRACE(
                  StrCat(rows, " rows ", C, " channels, size ", size, " variance ", static_cast<int>(variance)));
              const Tensor input = Normals({rows, C}, 1, mean, size);
              ExpectStatistics(input, variance);
              ExpectStatistics(input, variance, mask);
            }
          }
        }
      }
    }
  });
}

TEST(BatchNormRangeTest, ValuesOf1e19AreNormalised) {
  ForEachTarget([](const std::string&) {
    for (const Variance variance : kVariances) {
      BatchNormCase x(256, 5);
      x.input = Normals({256, 5}, 2, 0.0f, 1e19f);
      x.Statistics(variance);
      x.bias = Tensor({5}, 0.0f);
      x.scale = Tensor({5}, 1.0f);
      x.ForwardAlone(false);
      double squares = 0;
      for (const float y : x.output.span()) squares += double{y} * double{y};
      EXPECT_NEAR(squares / static_cast<double>(x.output.size()), 1.0, 1e-5);
      BatchNormBackward(x.ArgsAlone(false), x.workspace);
      const reference::BatchNormGradients grads = reference::BatchNormBackward(x.ArgsAlone(false));
      ExpectBounded(grads.input, x.grad_input, 20, "grad_input");
      ExpectBounded(grads.scale, x.grad_scale, 10, "grad_scale");
    }
  });
}

// A variance that float32 doesn't have is infinite, not 0 and not NaN; the mean is right.
TEST(BatchNormRangeTest, VarianceBeyondFloatIsInfinite) {
  ForEachTarget([](const std::string&) {
    for (const Variance variance : {Variance::kStable, Variance::kTwoPass}) {
      Tensor input({400, 3});
      for (int64_t i = 0; i < input.size(); ++i) input[i] = i / 3 % 4 == 0 ? -kLargest : kLargest;
      Tensor mean({3}), var({3});
      BatchNormStatistics(input, variance, mean, var, Workspace());
      for (int64_t c = 0; c < 3; ++c) {
        EXPECT_NEAR(mean[c] / kLargest, 0.5, 1e-6);
        EXPECT_EQ(var[c], std::numeric_limits<float>::infinity()) << static_cast<int>(variance);
      }
    }
  });
}

// Equal values, and one row, have a variance of exactly +0 and are their mean; the output is the bias then.
TEST(BatchNormRangeTest, ConstantChannelsAndOneRow) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : kChannels) {
      for (const int64_t rows : {1, 15, 16, 63, 64, 300}) {
        BatchNormCase x(rows, C);
        for (const float size : {0.1f, 1e-42f, 1e19f, 1e30f, kLargest}) {
          for (int64_t i = 0; i < x.input.size(); ++i) {
            x.input[i] = (i % C % 2 == 0 ? 1.0f : -0.7f) * size;
          }
          for (const Variance variance : {Variance::kStable, Variance::kTwoPass}) {
            BatchNormStatistics(x.input, variance, x.mean, x.var, x.workspace);
            for (int64_t c = 0; c < C; ++c) {
              ASSERT_EQ(x.mean[c], x.input[c]) << rows << " rows of " << size;
              ASSERT_EQ(x.var[c], 0.0f) << rows << " rows of " << size;
              ASSERT_FALSE(std::signbit(x.var[c]));
            }
            BatchNormNormalize(x.input, {.mean = x.mean, .var = x.var, .scale = x.scale, .bias = x.bias}, x.output);
            for (int64_t i = 0; i < x.output.size(); ++i) ASSERT_EQ(x.output[i], x.bias[i % C]);
          }
        }
      }
    }
  });
}

// Whatever one channel holds, the others keep their bits, in both directions.
TEST(BatchNormRangeTest, AChannelKeepsItsTroubleToItself) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : kChannels) {
      if (C == 1) continue;
      for (const float trouble : {kNan, std::numeric_limits<float>::infinity(), 1e19f, kLargest, 1e-19f}) {
        const int64_t bad = C / 2;
        const auto run = [&](bool troubled, Variance variance) {
          BatchNormCase x(131, C);
          for (int64_t row = 0; troubled && row < 131; row += 2) x.input[row * C + bad] = trouble;
          x.Statistics(variance);
          x.ForwardAlone(true);
          BatchNormBackward(x.ArgsAlone(true), x.workspace);
          std::vector<float> others;
          for (const Tensor* result : {&x.mean, &x.var, &x.output, &x.grad_input, &x.grad_scale, &x.grad_bias}) {
            for (int64_t i = 0; i < result->size(); ++i) {
              if (i % C != bad) others.push_back((*result)[i]);
            }
          }
          if (troubled && std::isnan(trouble)) {
            EXPECT_TRUE(std::isnan(x.mean[bad]) && std::isnan(x.var[bad]));
          }
          return others;
        };
        for (const Variance variance : kVariances) {
          EXPECT_EQ(run(false, variance), run(true, variance)) << C << " channels, " << trouble;
        }
      }
    }
  });
}

TEST(BatchNormRangeTest, SumsOfGradientsDontOverflowOnTheirWay) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {1, 5, 64}) {
      for (const bool relu : {false, true}) {
        for (const bool residual : {false, true}) {
          BatchNormCase x(300, C);
          x.input = Normals({300, C}, 1, 0.0f, 1e12f);
          x.residual = Normals({300, C}, 2, 0.0f, 1e12f);
          x.grad_output = Normals({300, C}, 3, 0.0f, 1e30f);
          x.var = Tensor({C}, 1e24f);
          residual ? x.Forward(relu) : x.ForwardAlone(relu);
          BatchNormBackwardArgs args = residual ? x.Args(relu) : x.ArgsAlone(relu);
          BatchNormBackward(args, x.workspace);
          args.output = x.output;
          const reference::BatchNormGradients grads = reference::BatchNormBackward(args);
          ExpectBounded(grads.scale, x.grad_scale, 2, "grad_scale");
          ExpectBounded(grads.bias, x.grad_bias, 10, "grad_bias");
          ExpectBounded(grads.input, x.grad_input, 10, "grad_input");
        }
      }
    }
  });
}

// One channel, x = 1, mean 0: what comes out is the factor. Formed in float32 it would be up to 2 units off.
TEST(BatchNormRangeTest, TheFactorIsRoundedOnce) {
  ForEachTarget([](const std::string&) {
    constexpr int64_t kCases = 1000;
    const Tensor one({1, kCases}, 1.0f), zero({kCases}, 0.0f), scale = Normals({kCases}, 1, 1.0f);
    Tensor var({kCases}), output({1, kCases});
    for (int64_t i = 0; i < kCases; ++i) var[i] = 0.37f * static_cast<float>(i);
    for (const bool scaled : {false, true}) {
      BatchNormAffine affine{.mean = zero, .var = var};
      if (scaled) affine.scale = scale;
      BatchNormNormalize(one, affine, output);
      for (int64_t i = 0; i < kCases; ++i) {
        const double factor = (scaled ? scale[i] : 1.0) / std::sqrt(double{var[i]} + double{affine.epsilon});
        EXPECT_LE(std::abs(output[i] - factor), 1.01 * kUnit * std::abs(factor)) << "var " << var[i];
      }
    }
  });
}

}  // namespace
}  // namespace hwynn
