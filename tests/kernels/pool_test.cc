#include "hwynn/kernels/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "hwynn/kernels/reference/pool.h"
#include "hwynn/tests/kernels/pool_case.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::ExpectBounded;
using testing::ExpectExact;
using testing::ForEachPoolCase;
using testing::ForEachTarget;
using testing::Integers;
using testing::kInfinity;
using testing::kNaN;
using testing::kPoolCases;
using testing::kPoolChannels;
using testing::kUnit;
using testing::NewOutput;
using testing::Normals;
using testing::PoolCase;

TEST(PoolTest, MaxForwardAndBackwardAreExact) {
  ForEachPoolCase([](const PoolParams& params, const Shape& shape) {
    const Tensor input = Integers(shape, 1, 2);  // few values: many ties
    Tensor output = NewOutput(params, shape);
    MaxPoolForward(params, input, output);
    ExpectExact(output, reference::MaxPoolForward(params, input));
    const Tensor grad_output = Integers(output.shape(), 2, 9);
    Tensor grad_input(shape, kNaN);
    MaxPoolBackward(params, input, output, grad_output, grad_input);
    ExpectExact(grad_input, reference::MaxPoolBackward(params, input, grad_output));
  });
}

TEST(PoolTest, AverageForwardAndBackwardAreExactOnIntegers) {
  ForEachPoolCase([](const PoolParams& params, const Shape& shape) {
    const Tensor input = Integers(shape, 3, 50);
    Tensor output = NewOutput(params, shape);
    AveragePoolForward(params, input, output);
    ExpectExact(output, reference::AveragePoolForward(params, input));
    Tensor grad_output = Integers(output.shape(), 4, 9);
    for (float& g : grad_output.span()) g *= 3600;  // divides by every area: heights and widths go to 5
    Tensor grad_input(shape, kNaN);
    AveragePoolBackward(params, grad_output, grad_input);
    ExpectExact(grad_input, reference::AveragePoolBackward(params, grad_output, shape));
  });
}

TEST(PoolTest, AverageIsBounded) {
  double worst = 0.0;
  ForEachPoolCase([&](const PoolParams& params, const Shape& shape) {
    const int64_t roundings = params.window[0] * params.window[1] + 1;
    const Tensor input = Normals(shape, 5, 3.0f);
    Tensor output = NewOutput(params, shape);
    AveragePoolForward(params, input, output);
    worst = std::max(worst, ExpectBounded(output, reference::AveragePoolForward(params, input), roundings));
    const Tensor grad_output = Normals(output.shape(), 6);
    Tensor grad_input(shape, kNaN);
    AveragePoolBackward(params, grad_output, grad_input);
    worst = std::max(worst,
                     ExpectBounded(grad_input, reference::AveragePoolBackward(params, grad_output, shape), roundings));
  });
  EXPECT_GT(worst, 0.1);  // the bound isn't vacuous
}

TEST(PoolTest, AverageGradientIsTheAdjoint) {
  ForEachPoolCase([](const PoolParams& params, const Shape& shape) {
    const Tensor input = Integers(shape, 7);
    Tensor output = NewOutput(params, shape);
    AveragePoolForward(params, input, output);
    const Tensor grad_output = Integers(output.shape(), 8);
    Tensor grad_input(shape, kNaN);
    AveragePoolBackward(params, grad_output, grad_input);
    double forward = 0.0;
    double backward = 0.0;
    double magnitude = 0.0;
    for (int64_t i = 0; i < output.size(); ++i) {
      forward += static_cast<double>(output[i]) * static_cast<double>(grad_output[i]);
      magnitude += std::abs(static_cast<double>(output[i]) * static_cast<double>(grad_output[i]));
    }
    for (int64_t i = 0; i < input.size(); ++i) {
      backward += static_cast<double>(input[i]) * static_cast<double>(grad_input[i]);
      magnitude += std::abs(static_cast<double>(input[i]) * static_cast<double>(grad_input[i]));
    }
    EXPECT_NEAR(forward, backward, 26.0 * kUnit * magnitude);
  });
}

TEST(PoolTest, GlobalAverage) {
  double worst = 0.0;
  ForEachTarget([&](const std::string&) {
    for (const int64_t c : kPoolChannels) {
      for (const Shape& shape : {Shape{2, 1, 1, c}, Shape{3, 7, 7, c}, Shape{1, 8, 16, c}, Shape{1, 15, 20, c}}) {
        SCOPED_TRACE(shape.ToString());
        const int64_t pixels = shape[1] * shape[2];
        const Tensor input = Normals(shape, 9, 1.0f);
        Tensor output({shape[0], c}, kNaN);
        GlobalAveragePoolForward(input, output);
        // Sums of 64 pixels, the sum of those, the reciprocal and the product.
        const int64_t roundings = std::min<int64_t>(pixels, 64) + (pixels + 63) / 64 + 2;
        worst = std::max(worst, ExpectBounded(output, reference::GlobalAveragePoolForward(input), roundings));
        const Tensor grad_output = Normals(output.shape(), 10);
        Tensor grad_input(shape, kNaN);
        GlobalAveragePoolBackward(grad_output, grad_input);
        ExpectBounded(grad_input, reference::GlobalAveragePoolBackward(grad_output, shape), 2);
      }
    }
  });
  EXPECT_GT(worst, 0.1);
}

// 4096 equal values: a sum in one run would round, in blocks of 64 pixels none does.
TEST(PoolTest, GlobalAverageSumsInBlocks) {
  ForEachTarget([](const std::string&) {
    for (const int64_t c : {1, 3, 16, 65}) {
      const Tensor input({1, 64, 64, c}, 1.0f + 0x1p-17f);
      Tensor output({1, c}, kNaN);
      GlobalAveragePoolForward(input, output);
      for (const float y : output.span()) EXPECT_EQ(y, 1.0f + 0x1p-17f);
    }
  });
}

// Rows of pixels 1, 2, 3, …; PyTorch 2's F.avg_pool1d and F.max_pool1d give the same.
TEST(PoolTest, CeilModeAndPaddingByHand) {
  const auto row = [](int64_t pixels) {
    Tensor input({1, 1, pixels, 1});
    for (int64_t i = 0; i < pixels; ++i) input[i] = static_cast<float>(i + 1);
    return input;
  };
  const auto average = [&](int64_t pixels, const PoolParams& params) {
    Tensor output = NewOutput(params, {1, 1, pixels, 1});
    AveragePoolForward(params, row(pixels), output);
    return std::vector<float>(output.span().begin(), output.span().end());
  };
  const auto maximum = [&](int64_t pixels, const PoolParams& params) {
    Tensor output = NewOutput(params, {1, 1, pixels, 1});
    MaxPoolForward(params, row(pixels), output);
    return std::vector<float>(output.span().begin(), output.span().end());
  };
  using Values = std::vector<float>;
  ForEachTarget([&](const std::string&) {
    PoolParams params = {.window = {1, 2}, .stride = {1, 2}};
    EXPECT_EQ(average(5, params), Values({1.5f, 3.5f}));
    params.ceil_mode = true;
    EXPECT_EQ(average(5, params), Values({1.5f, 3.5f, 5.0f}));  // what ceil_mode adds isn't counted
    EXPECT_EQ(maximum(5, params), Values({2, 4, 5}));
    EXPECT_EQ(average(4, params), Values({1.5f, 3.5f}));
    params = {.window = {1, 3}, .stride = {1, 2}, .padding = Padding::Explicit(0, 0, 1, 1), .ceil_mode = true};
    EXPECT_EQ(average(4, params), Values({1.0f, 3.0f, 2.0f}));  // 4 and a padding pixel; the third is beyond
    params.count_include_pad = false;
    EXPECT_EQ(average(4, params), Values({1.5f, 3.0f, 4.0f}));
    EXPECT_EQ(maximum(4, params), Values({2, 4, 4}));
    // A last window that would start behind the image is left out.
    params = {.window = {1, 1}, .stride = {1, 3}, .padding = Padding::Explicit(0, 0, 0, 1), .ceil_mode = true};
    EXPECT_EQ(maximum(3, params), Values({1}));
    params.padding = Padding::Explicit(0, 0, 1, 1);
    EXPECT_EQ(maximum(3, params), Values({-kInfinity, 3}));
    // Crops take pixels away before anything else.
    params = {.window = {1, 2}, .padding = Padding::Explicit(0, 0, -1, -2)};
    EXPECT_EQ(maximum(6, params), Values({3, 4}));
    EXPECT_EQ(average(6, params), Values({2.5f, 3.5f}));
    params = {.window = {1, 3}, .stride = {1, 2}, .dilation = {1, 2}};
    EXPECT_EQ(maximum(7, params), Values({5, 7}));
    EXPECT_EQ(average(7, params), Values({3, 5}));
  });
}

TEST(PoolTest, SameBitsOnTargets) {
  for (const PoolCase& test : kPoolCases) {
    for (const int64_t c : {1, 5, 16, 17, 65}) {
      const Shape shape = {test.n, test.h, test.w, c};
      const Tensor input = Normals(shape, 21);
      const Tensor grad_output = Normals(PoolOutputShape("test", test.params, shape), 22);
      testing::ExpectSameBitsOnTargets([&] {
        std::vector<Tensor> results;
        for (int i = 0; i < 2; ++i) results.push_back(NewOutput(test.params, shape));
        for (int i = 0; i < 3; ++i) results.emplace_back(shape, kNaN);
        results.emplace_back(Shape{test.n, c}, kNaN);
        MaxPoolForward(test.params, input, results[0]);
        AveragePoolForward(test.params, input, results[1]);
        MaxPoolBackward(test.params, input, results[0], grad_output, results[2]);
        AveragePoolBackward(test.params, grad_output, results[3]);
        GlobalAveragePoolForward(input, results[5]);
        GlobalAveragePoolBackward(results[5], results[4]);
        return results;
      });
    }
  }
}

// JAX 0.10: 3×3/2 on a constant 4×4 image with output gradients 1, 2, 3, 4.
TEST(PoolTest, GradientOfTiesIsThatOfJax) {
  ForEachTarget([](const std::string&) {
    const Tensor input({1, 4, 4, 1}, 5.0f);
    for (const bool same : {true, false}) {
      const PoolParams params = {
          .window = {3, 3}, .stride = {2, 2}, .padding = same ? Padding::Same() : Padding::Symmetric(1)};
      Tensor output = NewOutput(params, input.shape());
      MaxPoolForward(params, input, output);
      Tensor grad_output(output.shape());
      for (int i = 0; i < 4; ++i) grad_output[i] = static_cast<float>(i + 1);
      Tensor grad_input(input.shape(), kNaN);
      MaxPoolBackward(params, input, output, grad_output, grad_input);
      std::vector<float> want(16);
      const int64_t step = same ? 2 : 1;
      for (int i = 0; i < 4; ++i)
        want[static_cast<size_t>(i / 2 * step * 4 + i % 2 * step)] = static_cast<float>(i + 1);
      EXPECT_TRUE(std::ranges::equal(grad_input.span(), want)) << (same ? "SAME" : "explicit");
    }
  });
}

TEST(PoolTest, NaNAnywhereInAWindowMakesItsMaximumNaN) {
  const PoolParams params = {.window = {2, 2}, .stride = {2, 2}};
  ForEachTarget([&](const std::string&) {
    for (const int64_t c : {3, 16, 64}) {
      for (int64_t pixel = 0; pixel < 4; ++pixel) {
        Tensor input = Normals({1, 2, 4, c}, 11);
        const int64_t channel = c - 1;
        input[(pixel / 2 * 4 + pixel % 2) * c + channel] = kNaN;
        Tensor output({1, 1, 2, c});
        MaxPoolForward(params, input, output);
        for (int64_t i = 0; i < output.size(); ++i) EXPECT_EQ(std::isnan(output[i]), i == channel) << i;
        Tensor grad_input(input.shape(), 1.0f);
        MaxPoolBackward(params, input, output, output, grad_input);
        for (const float g : grad_input.span()) EXPECT_FALSE(std::isnan(g));
      }
    }
  });
}

TEST(PoolTest, WindowOfPaddingAloneIsMinusInfinity) {
  ForEachTarget([](const std::string&) {
    const PoolParams params = {.window = {2, 2}, .stride = {2, 2}, .padding = Padding::Symmetric(2)};
    const Tensor input({1, 2, 2, 5}, -kInfinity);
    Tensor output = NewOutput(params, input.shape());
    MaxPoolForward(params, input, output);
    for (const float y : output.span()) EXPECT_EQ(y, -kInfinity);
    const Tensor grad_output({1, 3, 3, 5}, 1.0f);
    Tensor grad_input(input.shape(), kNaN);
    MaxPoolBackward(params, input, output, grad_output, grad_input);
    for (int64_t i = 0; i < grad_input.size(); ++i) EXPECT_EQ(grad_input[i], i < 5 ? 1.0f : 0.0f) << i;
  });
}

}  // namespace
}  // namespace hwynn
