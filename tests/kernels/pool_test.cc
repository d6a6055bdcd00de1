#include "hwynn/kernels/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/reference/pool.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::FillIntegers;
using testing::ForEachTarget;
using testing::Integers;
using testing::Normals;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kUnit = 0x1p-24;  // one rounding to float

struct PoolCase {
  PoolParams params;
  int64_t n, h, w;
};

const PoolCase kCases[] = {
    {{.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same()}, 2, 8, 6},
    {{.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same()}, 1, 7, 5},
    {{.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Symmetric(1)}, 2, 6, 7},
    {{.window = {2, 2}, .stride = {2, 2}}, 3, 5, 4},
    {{.window = {2, 3}, .stride = {1, 1}, .padding = Padding::Same()}, 1, 4, 5},
    {{.window = {3, 2}, .stride = {1, 3}, .padding = Padding::Explicit(2, 0, 1, 3)}, 2, 4, 3},
    {{.window = {1, 1}, .stride = {3, 2}}, 2, 7, 5},  // pixels that no window holds
    {{.window = {5, 5}, .stride = {1, 2}, .padding = Padding::Same()}, 1, 3, 2},
    {{.window = {4, 4}}, 1, 4, 4},
    {{.window = {1, 1}}, 1, 1, 1},
    // Dilation: coprime to the stride, a multiple of it, divisors of it, windows that reach over the whole image.
    {{.window = {3, 2}, .dilation = {2, 3}}, 2, 9, 8},
    {{.window = {3, 3}, .stride = {2, 2}, .dilation = {2, 3}, .padding = Padding::Same()}, 1, 9, 8},
    {{.window = {2, 3}, .stride = {4, 3}, .dilation = {2, 1}, .padding = Padding::Symmetric(3)}, 2, 11, 7},
    {{.window = {3, 2}, .stride = {3, 2}, .dilation = {6, 5}, .padding = Padding::Explicit(7, 6, 2, 4)}, 1, 5, 6},
    // Crops, on some sides and on all, beside padding, with pixels that no window sees.
    {{.window = {2, 2}, .padding = Padding::Symmetric(-1)}, 2, 5, 6},
    {{.window = {3, 2}, .stride = {2, 1}, .padding = Padding::Explicit(-2, 1, 1, -3)}, 1, 8, 7},
    {{.window = {2, 3}, .stride = {1, 2}, .dilation = {3, 2}, .padding = Padding::Explicit(-1, 2, 4, -2)}, 2, 7, 8},
    {{.window = {2, 2}, .stride = {2, 2}, .padding = Padding::Explicit(-6, 4, -3, 5)}, 1, 5, 4},  // nothing left
    // A last window that starts inside and ends outside, one that would start outside, one larger than the image.
    {{.window = {2, 2}, .stride = {2, 2}, .ceil_mode = true}, 2, 5, 4},
    {{.window = {3, 3}, .stride = {2, 3}, .padding = Padding::Symmetric(1), .ceil_mode = true}, 1, 6, 7},
    {{.window = {1, 2}, .stride = {3, 4}, .padding = Padding::Explicit(0, 2, 1, 2), .ceil_mode = true}, 1, 4, 5},
    {{.window = {3, 4}, .stride = {2, 3}, .ceil_mode = true}, 1, 2, 3},
    {{.window = {3, 2},
      .stride = {2, 3},
      .dilation = {2, 2},
      .padding = Padding::Explicit(1, -1, -1, 2),
      .ceil_mode = true},
     2,
     9,
     8},
    {{.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same(), .ceil_mode = true}, 1, 7, 6},
    // Averages over the pixels inside.
    {{.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same(), .count_include_pad = false}, 2, 8, 6},
    {{.window = {3, 3}, .padding = Padding::Symmetric(1), .count_include_pad = false}, 1, 5, 7},
    {{.window = {2, 2}, .stride = {2, 2}, .padding = Padding::Symmetric(2), .count_include_pad = false},
     1,
     4,
     3},  // some have none
    {{.window = {3, 2},
      .stride = {2, 3},
      .padding = Padding::Symmetric(1),
      .ceil_mode = true,
      .count_include_pad = false},
     1,
     6,
     7},
    {{.window = {2, 3},
      .stride = {3, 2},
      .dilation = {3, 2},
      .padding = Padding::Explicit(2, -1, -1, 3),
      .count_include_pad = false},
     2,
     8,
     7},
};

// Around each multiple of 4, 8 and 16 lanes up to four vectors of 16 and one more.
const int64_t kChannels[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 84};

Tensor NewOutput(const PoolParams& params, const Shape& input) {
  return Tensor(PoolOutputShape("test", params, input), kNaN);
}

void ExpectExact(const Tensor& got, const reference::Sums& want) {
  ASSERT_EQ(got.span().size(), want.values.size());
  for (size_t i = 0; i < want.values.size(); ++i) ASSERT_EQ(got.span()[i], static_cast<float>(want.values[i])) << i;
}

// Every element's error is at most `roundings` units of its Σ|terms|; returns the largest share of that bound.
double ExpectBounded(const Tensor& got, const reference::Sums& want, int64_t roundings) {
  double worst = 0.0;
  for (size_t i = 0; i < want.values.size(); ++i) {
    const double bound = static_cast<double>(roundings) * kUnit * want.magnitudes[i];
    const double error = std::abs(static_cast<double>(got.span()[i]) - want.values[i]);
    EXPECT_LE(error, bound) << i;
    if (bound > 0.0) worst = std::max(worst, error / bound);
  }
  return worst;
}

template <class Body>
void ForEachCase(const Body& body) {
  ForEachTarget([&](const std::string&) {
    for (const PoolCase& test : kCases) {
      for (const int64_t c : kChannels) {
        SCOPED_TRACE(::testing::Message() << "case " << &test - kCases << " channels " << c);
        body(test.params, Shape({test.n, test.h, test.w, c}));
      }
    }
  });
}

TEST(PoolTest, MaxForwardAndBackwardAreExact) {
  ForEachCase([](const PoolParams& params, const Shape& shape) {
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
  ForEachCase([](const PoolParams& params, const Shape& shape) {
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
  ForEachCase([&](const PoolParams& params, const Shape& shape) {
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
  ForEachCase([](const PoolParams& params, const Shape& shape) {
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
    for (const int64_t c : kChannels) {
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
  for (const PoolCase& test : kCases) {
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

// Large enough that images are cut into blocks of rows; windows span the cuts.
TEST(PoolTest, BlocksAndThreadsDontShow) {
  const PoolParams plain = {.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same()};
  PoolParams dilated = plain;
  dilated.dilation = {9, 2};
  dilated.padding = Padding::Explicit(-3, 4, 1, 1);
  dilated.count_include_pad = false;
  ForEachTarget([&](const std::string&) {
    for (const auto& [params, shape] :
         {std::pair(plain, Shape{2, 151, 30, 67}), std::pair(plain, Shape{70, 12, 12, 33}),
          std::pair(dilated, Shape{2, 151, 30, 67})}) {
      const Tensor input = Integers(shape, 12, 2);
      const Tensor grad_output = Normals(PoolOutputShape("test", params, shape), 13);
      std::vector<std::vector<Tensor>> runs;
      for (const int threads : {1, 2, 3}) {
        std::vector<Tensor>& run = runs.emplace_back();
        run.push_back(NewOutput(params, shape));
        run.push_back(NewOutput(params, shape));
        run.emplace_back(shape, kNaN);
        run.emplace_back(shape, kNaN);
        run.emplace_back(Shape{shape[0], shape[3]}, kNaN);
        run.emplace_back(shape, kNaN);
        RunWithThreads(threads, [&, &params = params] {
          MaxPoolForward(params, input, run[0]);
          AveragePoolForward(params, input, run[1]);
          MaxPoolBackward(params, input, run[0], grad_output, run[2]);
          AveragePoolBackward(params, grad_output, run[3]);
          GlobalAveragePoolForward(input, run[4]);
          GlobalAveragePoolBackward(run[4], run[5]);
        });
        for (size_t i = 0; i < run.size(); ++i) {
          EXPECT_EQ(std::memcmp(run[i].data(), runs[0][i].data(), run[i].span().size_bytes()), 0)
              << i << " with " << threads << " threads";
        }
      }
      ExpectExact(runs[0][0], reference::MaxPoolForward(params, input));
      ExpectBounded(runs[0][2], reference::MaxPoolBackward(params, input, grad_output), 4);
      ExpectBounded(runs[0][3], reference::AveragePoolBackward(params, grad_output, shape), 10);
    }
  });
}

// Views that start and end anywhere: what lies around the arrays is neither used nor changed.
TEST(PoolTest, GuardBandsStay) {
  constexpr int64_t kGuard = 19;  // not a multiple of any vector: misaligned
  const PoolParams params = {.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same()};
  ForEachTarget([&](const std::string&) {
    for (const int64_t c : kChannels) {
      const Shape in_shape = {2, 5, 4, c};
      const Shape out_shape = PoolOutputShape("test", params, in_shape);
      const auto guarded = [](const Shape& shape) { return Tensor({shape.num_elements() + 2 * kGuard}, kNaN); };
      Tensor in = guarded(in_shape), out = guarded(out_shape), grad_out = guarded(out_shape),
             grad_in = guarded(in_shape);
      const TensorView input(in.data() + kGuard, in_shape);
      const TensorView output(out.data() + kGuard, out_shape);
      const TensorView grad_output(grad_out.data() + kGuard, out_shape);
      const TensorView grad_input(grad_in.data() + kGuard, in_shape);
      FillIntegers(input, 14);
      FillIntegers(grad_output, 15);
      const auto check = [&](const char* what) {
        for (const Tensor* tensor : {&in, &out, &grad_out, &grad_in}) {
          for (int64_t i = 0; i < tensor->size(); ++i) {
            const bool guard = i < kGuard || i >= tensor->size() - kGuard;
            ASSERT_EQ(std::isnan((*tensor)[i]), guard) << what << " channels " << c << " at " << i;
          }
        }
      };
      MaxPoolForward(params, input, output);
      MaxPoolBackward(params, input, output, grad_output, grad_input);
      check("max");
      AveragePoolForward(params, input, output);
      AveragePoolBackward(params, grad_output, grad_input);
      check("average");
      const TensorView mean(out.data() + kGuard, {2, c});
      GlobalAveragePoolForward(input, mean);
      GlobalAveragePoolBackward(mean, grad_input);
      check("global average");
    }
  });
}

TEST(PoolTest, ADilationFarBeyondTheImageSeesOneTap) {
  constexpr int64_t kFar = (int64_t{1} << 31) - 1;
  const PoolParams params = {
      .window = {3, 2}, .dilation = {kFar, kFar}, .padding = Padding::Explicit(kFar, kFar, 0, kFar)};
  const Tensor input = Integers({2, 5, 4, 3}, 30, 9);
  Tensor output = NewOutput(params, input.shape());
  ASSERT_EQ(output.shape(), Shape({2, 5, 4, 3}));
  MaxPoolForward(params, input, output);
  for (int64_t i = 0; i < input.size(); ++i) ASSERT_EQ(output[i], input[i]);
  Tensor grad_input(input.shape(), kNaN);
  MaxPoolBackward(params, input, output, output, grad_input);
  for (int64_t i = 0; i < input.size(); ++i) ASSERT_EQ(grad_input[i], input[i]);
  AveragePoolForward(params, input, output);
  for (int64_t i = 0; i < input.size(); ++i) ASSERT_EQ(output[i], input[i] / 6);
  AveragePoolBackward(params, input, grad_input);
  for (int64_t i = 0; i < input.size(); ++i) ASSERT_EQ(grad_input[i], input[i] / 6);
}

TEST(PoolTest, AStrideFarBeyondTheImageTakesItsFirstWindow) {
  const PoolParams params = {.window = {2, 2}, .stride = {1 << 30, 1 << 30}};
  const Tensor input({1, 5, 5, 2}, 3.0f);
  Tensor output({1, 1, 1, 2}, 7.0f);
  MaxPoolForward(params, input, output);
  EXPECT_EQ(output[0], 3.0f);
  AveragePoolForward(params, input, output);
  EXPECT_EQ(output[1], 3.0f);
}

TEST(PoolTest, BadArgumentsThrowBeforeAnythingIsWritten) {
  const PoolParams params = {.window = {3, 3}, .stride = {2, 2}};
  const Tensor input({1, 5, 5, 2}, 1.0f);
  Tensor output({1, 2, 2, 2}, 7.0f);
  Tensor wrong({1, 2, 3, 2}, 7.0f);
  EXPECT_THROW(MaxPoolForward(params, input, wrong), std::invalid_argument);
  EXPECT_THROW(AveragePoolForward(params, input, wrong), std::invalid_argument);
  EXPECT_THROW(MaxPoolBackward(params, input, output, wrong, wrong), std::invalid_argument);
  EXPECT_THROW(AveragePoolBackward(params, input, wrong), std::invalid_argument);
  EXPECT_THROW(GlobalAveragePoolForward(input, output), std::invalid_argument);
  EXPECT_THROW(GlobalAveragePoolBackward(input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.window = {6, 1}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.window = {0, 1}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.stride = {1, 0}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.padding = Padding::Symmetric(-2)}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.dilation = {0, 1}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.dilation = {1, 5}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.window = {7, 2}, .stride = {2, 2}, .ceil_mode = true}, input, output),
               std::invalid_argument);
  constexpr int64_t kHuge = int64_t{1} << 62;
  EXPECT_THROW(MaxPoolForward({.stride = {kHuge, 1}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.window = {1, kHuge}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.dilation = {1, kHuge}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.padding = Padding::Symmetric(kHuge)}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.padding = Padding::Symmetric(-kHuge)}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward(params, Tensor({0, 5, 5, 2}), output), std::invalid_argument);
  EXPECT_THROW(GlobalAveragePoolForward(Tensor({0, 5, 5, 2}), Tensor({0, 2})), std::invalid_argument);
  for (const Tensor* tensor : {&output, &wrong}) {
    for (const float y : tensor->span()) EXPECT_EQ(y, 7.0f);
  }
  try {
    MaxPoolForward(params, input, wrong);
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "MaxPoolForward: output [1,2,3,2] must be [1,2,2,2]; input [1,5,5,2]");
  }
}

}  // namespace
}  // namespace hwynn
