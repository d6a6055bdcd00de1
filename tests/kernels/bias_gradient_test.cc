// BiasGradient of conv2d.h: a sum over rows.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/reference/conv2d.h"
#include "hwynn/tests/kernels/batch_norm_case.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::ExpectBounded;
using testing::ExpectRounded;
using testing::ExpectSameBitsOnTargets;
using testing::ForEachTarget;
using testing::Integers;
using testing::kChannels;
using testing::kNan;
using testing::Normals;
using testing::SameBits;

Tensor Gradient(ConstTensorView grad_output) {
  Tensor grad_bias({grad_output.shape().back()}, kNan);
  BiasGradient(grad_output, grad_bias, Workspace());
  return grad_bias;
}

// Numbers of rows around the cuts of blocks, wide rows and chunks.
TEST(BiasGradientTest, ExactOnIntegers) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : kChannels) {
      for (const int64_t rows : {1, 2, 63, 64, 65, 129, 257}) {
        const Tensor grad_output = Integers({rows, C}, 1, 9);
        ExpectRounded(reference::BiasGradient(grad_output).values, Gradient(grad_output), StrCat(rows, " rows, ", C));
      }
    }
    for (const Shape& shape :
         {Shape{2047, 64}, Shape{2049, 64}, Shape{4, 8, 129, 65}, Shape{131137, 1}, Shape{43029, 3}}) {
      const Tensor grad_output = Integers(shape, 2, 9);
      ExpectRounded(reference::BiasGradient(grad_output).values, Gradient(grad_output), shape.ToString());
    }
  });
}

// Sums of blocks stay in double: half of the rows add up to 2048 and sixteen times 2⁻¹⁷, the others to −2048.
TEST(BiasGradientTest, BlocksAreAddedInDouble) {
  ForEachTarget([](const std::string&) {
    Tensor grad_output({4096, 64}, -1.0f);
    for (int64_t row = 0; row < 2048; ++row) {
      for (int64_t c = 0; c < 64; ++c) grad_output[row * 64 + c] = row % 128 == 0 ? 1.0f + 0x1p-17f : 1.0f;
    }
    const Tensor grad_bias = Gradient(grad_output);
    for (const float sum : grad_bias.span()) EXPECT_EQ(sum, 0x1p-13f);
  });
}

TEST(BiasGradientTest, BoundedByMagnitudes) {
  double worst = 0;
  ForEachTarget([&](const std::string&) {
    for (const Shape& shape : {Shape{100, 1}, Shape{5000, 7}, Shape{2, 70, 70, 64}}) {
      const Tensor grad_output = Normals(shape, 3);
      worst = std::max(worst, ExpectBounded(reference::BiasGradient(grad_output), Gradient(grad_output), 4, "sum"));
    }
  });
  EXPECT_GT(worst, 0.02);
}

// Large values that cancel, also within a block's 64 rows; a channel that isn't finite troubles no other.
TEST(BiasGradientTest, SumsBeyondFloatOnTheirWay) {
  ForEachTarget([](const std::string&) {
    for (const int64_t C : {2, 5, 64}) {
      Tensor grad_output({300, C});
      for (int64_t i = 0; i < grad_output.size(); ++i) {
        const int64_t row = i / C;
        grad_output[i] = i % C == 1 ? 1.0f : row < 150 ? 0x1p124f : -0x1p124f;
      }
      Tensor grad_bias = Gradient(grad_output);
      for (int64_t c = 0; c < C; ++c) EXPECT_EQ(grad_bias[c], c == 1 ? 300.0f : 0.0f);
      grad_output[0] = kNan;
      grad_bias = Gradient(grad_output);
      for (int64_t c = 0; c < C; ++c) EXPECT_EQ(std::isnan(grad_bias[c]), c == 0);
    }
  });
}

TEST(BiasGradientTest, SameBitsForThreadsAndTargets) {
  for (const Shape& shape : {Shape{600000, 1}, Shape{40000, 17}, Shape{9000, 64}, Shape{600, 1100}}) {
    const Tensor grad_output = Normals(shape, 4);
    ExpectSameBitsOnTargets([&] {
      std::vector<Tensor> results;
      for (const int threads : {1, 2, 3}) RunWithThreads(threads, [&] { results.push_back(Gradient(grad_output)); });
      EXPECT_TRUE(SameBits(results[0], results[1]));
      EXPECT_TRUE(SameBits(results[0], results[2]));
      return results;
    });
  }
}

TEST(BiasGradientTest, RefusesWhatDoesNotFit) {
  Tensor five({5}), six({6});
  EXPECT_THROW(BiasGradient(Tensor({4, 6}), five, Workspace()), std::invalid_argument);
  EXPECT_THROW(BiasGradient(Tensor({0, 6}), six, Workspace()), std::invalid_argument);
}

}  // namespace
}  // namespace hwynn
