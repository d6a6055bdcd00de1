// A ReLU with an upper end, as ReLU6, in BatchNorm's passes.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/kernels/elementwise.h"
#include "hwynn/tests/kernels/batch_norm_case.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::BatchNormCase;
using testing::ExpectError;
using testing::ExpectRounded;
using testing::ForEachTarget;
using testing::Integers;
using testing::kChannels;
using testing::kNan;
using testing::SameBits;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Integers, so that many values lie right at both ends, where the gradient is 0.
TEST(BatchNormUpperTest, ExactOnIntegers) {
  constexpr float kUpper = 4;
  ForEachTarget([](const std::string&) {
    for (const int64_t C : kChannels) {
      for (const int64_t rows : {1, 2, 64, 128}) {
        SCOPED_TRACE(StrCat("rows ", rows, " channels ", C));
        BatchNormCase x(rows, C, /*integers=*/true);
        for (const bool residual : {true, false}) {
          const BatchNormNormalizeOptions options{
              .residual = residual ? x.residual.view() : TensorView(), .relu = true, .upper = kUpper};
          BatchNormNormalize(x.input, x.affine(), x.output, options);
          ExpectRounded(reference::BatchNormNormalize(x.input, x.affine(), options).values, x.output, "output");
          // The mask of the output that was given, and the one that is made from the input again.
          BatchNormBackwardArgs args = residual ? x.Args(true) : x.ArgsAlone(true);
          args.upper = kUpper;
          for (const bool frozen : {false, true}) {
            args.frozen_statistics = frozen;
            BatchNormBackward(args, x.workspace);
            const reference::BatchNormGradients grads = reference::BatchNormBackward(args);
            ExpectRounded(grads.input.values, x.grad_input, "grad_input");
            ExpectRounded(grads.scale.values, x.grad_scale, "grad_scale");
            ExpectRounded(grads.bias.values, x.grad_bias, "grad_bias");
            if (residual) ExpectRounded(grads.residual.values, x.grad_residual, "grad_residual");
          }
          // Without sums the residual's gradient is a pass of its own.
          if (residual) {
            args.grad_scale = args.grad_bias = {};
            BatchNormBackward(args, x.workspace);
            ExpectRounded(reference::BatchNormBackward(args).residual.values, x.grad_residual, "grad_residual alone");
          }
        }
      }
    }
  });
}

// The mask that is made again from the input has forward's bits: it is that of the output, whatever rounds.
TEST(BatchNormUpperTest, TheMaskIsThatOfTheOutput) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {3, 16, 65}) {
      BatchNormCase x(500, C);
      x.Statistics();
      const float upper = 0.7f;
      BatchNormNormalize(x.input, x.affine(), x.output, {.relu = true, .upper = upper});
      Tensor masked(x.shape);
      ReluBackward(x.output, x.grad_output, masked, {.upper = upper});
      int64_t clipped = 0;
      for (const float y : x.output.span()) clipped += y == upper ? 1 : 0;
      EXPECT_GT(clipped, 10 * C);
      BatchNormBackwardArgs args = x.ArgsAlone(true);
      args.upper = upper;
      BatchNormBackward(args, x.workspace);
      const Tensor grad_input = Clone(x.grad_input), grad_scale = Clone(x.grad_scale);
      args.output = x.output;
      BatchNormBackward(args, x.workspace);
      EXPECT_TRUE(SameBits(grad_input, x.grad_input));
      args = x.ArgsAlone(false);
      args.grad_output = masked;
      BatchNormBackward(args, x.workspace);
      EXPECT_TRUE(SameBits(grad_input, x.grad_input));
      EXPECT_TRUE(SameBits(grad_scale, x.grad_scale));
    }
  });
}

TEST(BatchNormUpperTest, TheSameBitsOnAllTargetsAndThreads) {
  const auto run = [](int threads) {
    BatchNormCase x(3000, 40);
    RunWithThreads(threads, [&] {
      x.Statistics();
      BatchNormNormalize(x.input, x.affine(), x.output, {.residual = x.residual, .relu = true, .upper = 1.5f});
      BatchNormBackwardArgs args = x.Args(true);
      args.upper = 1.5f;
      BatchNormBackward(args, x.workspace);
    });
    return x;
  };
  const BatchNormCase first = run(1);
  ForEachTarget([&](const std::string& target) {
    if (!testing::HasFusedMultiplyAdd(target)) return;
    for (const int threads : {1, 2, 3}) {
      const BatchNormCase x = run(threads);
      EXPECT_TRUE(SameBits(first.output, x.output));
      EXPECT_TRUE(SameBits(first.grad_input, x.grad_input));
      EXPECT_TRUE(SameBits(first.grad_residual, x.grad_residual));
      EXPECT_TRUE(SameBits(first.grad_scale, x.grad_scale));
      EXPECT_TRUE(SameBits(first.grad_bias, x.grad_bias));
    }
  });
}

// What isn't finite: infinity is clipped and lets nothing pass, unless there is no upper end; NaN stays, and lets
// nothing pass.
TEST(BatchNormUpperTest, TheEndsOfTheRange) {
  ForEachTarget([](const std::string&) {
    BatchNormCase x(4, 1, /*integers=*/true);
    x.input[0] = kInfinity;
    x.input[1] = kNan;
    x.mean[0] = x.bias[0] = 0;
    x.scale[0] = 1;
    const auto gradients = [&](float upper) {
      BatchNormNormalize(x.input, x.affine(), x.output, {.relu = true, .upper = upper});
      BatchNormBackwardArgs args{.input = x.input,
                                 .grad_output = x.grad_output,
                                 .affine = x.affine(),
                                 .relu = true,
                                 .upper = upper,
                                 .frozen_statistics = true,
                                 .grad_input = x.grad_input};
      BatchNormBackward(args, x.workspace);
    };
    std::fill(x.grad_output.span().begin(), x.grad_output.span().end(), 1.0f);
    gradients(6);
    EXPECT_EQ(x.output[0], 6.0f);
    EXPECT_TRUE(std::isnan(x.output[1]));
    EXPECT_EQ(x.grad_input[0], 0.0f);
    EXPECT_EQ(x.grad_input[1], 0.0f);
    gradients(kInfinity);
    EXPECT_EQ(x.output[0], kInfinity);
    EXPECT_EQ(x.grad_input[0], 2.0f);
    EXPECT_EQ(x.grad_input[1], 0.0f);
    gradients(0);
    EXPECT_EQ(x.output[0], 0.0f);
    for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(x.grad_input[i], 0.0f);
  });
}

// Sums that float32 doesn't hold are made again in double, under the same mask.
TEST(BatchNormUpperTest, SumsBeyondFloatHaveTheMaskToo) {
  ForEachTarget([](const std::string&) {
    BatchNormCase x(2000, 3);
    x.Statistics();
    std::fill(x.scale.span().begin(), x.scale.span().end(), 1.0f);
    for (float& g : x.grad_output.span()) g = 1e38f;
    BatchNormNormalize(x.input, x.affine(), x.output, {.relu = true, .upper = 2});
    BatchNormBackwardArgs args = x.ArgsAlone(true);
    args.upper = 2;
    const BatchNormSums sums = BatchNormBackwardSums(args, x.workspace);
    const reference::BackwardSums expected = reference::BatchNormBackwardSums(args);
    for (size_t c = 0; c < 3; ++c) {
      EXPECT_GT(expected.grad.values[c], 1e39);
      EXPECT_NEAR(sums.grad[c] / expected.grad.values[c], 1, 1e-12);
      EXPECT_NEAR(sums.grad_centered[c] / expected.grad_centered.values[c], 1, 1e-12);
    }
  });
}

TEST(BatchNormUpperTest, RefusesANegativeEnd) {
  BatchNormCase x(4, 3);
  for (const float upper : {-1.0f, kNan}) {
    ExpectError<std::invalid_argument>(
        [&] { BatchNormNormalize(x.input, x.affine(), x.output, {.relu = true, .upper = upper}); },
        {"BatchNormNormalize", "upper end"});
    BatchNormBackwardArgs args = x.Args(true);
    args.upper = upper;
    ExpectError<std::invalid_argument>([&] { BatchNormBackward(args, x.workspace); },
                                       {"BatchNormBackward", "upper end"});
  }
}

}  // namespace
}  // namespace hwynn
