#include "hwynn/kernels/reference/conv2d.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <thread>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d_plan.h"
#include "hwynn/kernels/target.h"
#include "hwynn/tests/kernels/conv2d_cases.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::Conv2dCase;
using testing::Conv2dCases;
using testing::ForEachTarget;
using testing::GeometryOf;
using testing::Integers;
using testing::Normals;
using testing::PassShapes;
using testing::Poison;
using testing::RunPass;
using testing::ShapesOf;

constexpr Conv2dPass kPasses[] = {Conv2dPass::kForward, Conv2dPass::kBackwardInput, Conv2dPass::kBackwardFilter};

reference::Sums Reference(Conv2dPass pass, const Conv2dGeometry& g, ConstTensorView a, ConstTensorView b) {
  switch (pass) {
    case Conv2dPass::kForward:
      return reference::Conv2dForward(g, a, b);
    case Conv2dPass::kBackwardInput:
      return reference::Conv2dBackwardInput(g, a, b);
    default:
      return reference::Conv2dBackwardFilter(g, a, b);
  }
}

// Hand-computed: a 3×3 image, a 2×2 filter, SAME (one row and column of zeros at the end).
TEST(Conv2dReferenceTest, HandComputed) {
  Tensor x({1, 3, 3, 1});
  Tensor w({2, 2, 1, 1});
  for (int i = 0; i < 9; ++i) x[i] = static_cast<float>(i + 1);
  for (int i = 0; i < 4; ++i) w[i] = static_cast<float>(i + 1);
  const Conv2dGeometry g = ResolveConv2d("test", {}, x.shape(), w.shape());
  const reference::Sums y = reference::Conv2dForward(g, x, w);
  // The first: 1·1 + 2·2 + 4·3 + 5·4.
  EXPECT_EQ(y.values, (std::vector<double>{37, 47, 21, 67, 77, 33, 23, 26, 9}));
  const reference::Sums dw = reference::Conv2dBackwardFilter(g, x, x);
  // Σ x²; Σ of products of horizontal neighbours; vertical; diagonal.
  EXPECT_EQ(dw.values,
            (std::vector<double>{285, 2 + 6 + 20 + 30 + 56 + 72, 4 + 10 + 18 + 28 + 40 + 54, 5 + 12 + 32 + 45}));
  const reference::Sums dx = reference::Conv2dBackwardInput(g, x, w);
  EXPECT_EQ(dx.values[0], 1);
  EXPECT_EQ(dx.values[4], 5 * 1 + 4 * 2 + 2 * 3 + 1 * 4);
}

TEST(Conv2dTest, ExactOnIntegersOnAllTargetsAndAlgorithms) {
  const Workspace workspace;
  for (const Conv2dCase& c : Conv2dCases()) {
    SCOPED_TRACE(::testing::PrintToString(c));
    const Conv2dGeometry g = GeometryOf(c);
    for (const Conv2dPass pass : kPasses) {
      SCOPED_TRACE(static_cast<int>(pass));
      const PassShapes shapes = ShapesOf(pass, g);
      const Tensor a = Integers(shapes.a, 1);
      const Tensor b = Integers(shapes.b, 2);
      const reference::Sums expected = Reference(pass, g, a, b);
      ForEachTarget([&](const std::string&) {
        for (const std::string_view algorithm : Conv2dAlgorithms(pass)) {
          if (!Conv2dSupports(pass, algorithm, g)) continue;
          // NaN shows what isn't written.
          Tensor result(shapes.result, std::nanf(""));
          Poison(workspace);
          RunPass(pass, c.params, a, b, result, workspace, algorithm);
          // Winograd's transforms divide by 3, 5 and 15: a wrong index still shows as an error of whole numbers.
          const double tolerance = algorithm.starts_with("winograd") ? 0.01 : 0;
          for (int64_t i = 0; i < result.size(); ++i) {
            ASSERT_NEAR(result[i], expected.values[static_cast<size_t>(i)], tolerance) << algorithm << " element " << i;
          }
        }
      });
    }
  }
}

// |error| ≤ (√K + 2)·u·Σ|terms|: random-walk growth over K terms (Higham & Mary, 2019), and the last roundings. The
// bound is fair only if errors come near it, so the sweep also fails when they stay far below.
TEST(Conv2dTest, RoundingErrorsAreBounded) {
  constexpr double kUnit = 0x1p-24;
  const Workspace workspace;
  const std::vector<Conv2dCase> cases = {
      {{2, 14, 14, 64}, {3, 3, 64, 64}, {}},
      {{1, 7, 7, 512}, {3, 3, 512, 40}, {}},
      {{2, 15, 13, 32}, {3, 3, 32, 48}, {.stride = {2, 2}}},
      {{2, 9, 9, 256}, {1, 1, 256, 33}, {}},
      {{1, 30, 30, 3}, {7, 7, 3, 64}, {.stride = {2, 2}}},
      {{2, 12, 12, 40}, {3, 3, 1, 40}, {.groups = 40}},
  };
  for (const Conv2dCase& c : cases) {
    const Conv2dGeometry g = GeometryOf(c);
    for (const Conv2dPass pass : kPasses) {
      const PassShapes shapes = ShapesOf(pass, g);
      const Tensor a = Normals(shapes.a, 3, 0.5f);
      const Tensor b = Normals(shapes.b, 4);
      const reference::Sums expected = Reference(pass, g, a, b);
      const double terms = g.flops() / 2 / static_cast<double>(shapes.result.num_elements());
      ForEachTarget([&](const std::string&) {
        for (const std::string_view algorithm : Conv2dAlgorithms(pass)) {
          if (!Conv2dSupports(pass, algorithm, g)) continue;
          Tensor result(shapes.result);
          RunPass(pass, c.params, a, b, result, workspace, algorithm);
          // Winograd's sums run over whole tiles; F(4×4,3×3) has the transforms' coefficients as amplification.
          const double largest = *std::max_element(expected.magnitudes.begin(), expected.magnitudes.end());
          const double tile = algorithm == "winograd_f4x4" ? 3 * largest : algorithm == "winograd_f2x2" ? largest : 0;
          double worst = 0;
          for (int64_t i = 0; i < result.size(); ++i) {
            const auto at = static_cast<size_t>(i);
            const double bound = (std::sqrt(terms) + 2) * kUnit * std::max(tile, expected.magnitudes[at]);
            const double error = std::abs(result[i] - expected.values[at]);
            ASSERT_LE(error, bound) << c << " pass " << static_cast<int>(pass) << " " << algorithm << " element " << i;
            if (bound > 0) worst = std::max(worst, error / bound);
          }
          EXPECT_GE(worst, 0.005) << "a bound that is never approached tests nothing: " << c;
        }
      });
    }
  }
}

// Shapes that make several tasks, and more chunks of a gradient than there are threads.
TEST(Conv2dTest, SameBitsForAnyNumberOfThreads) {
  const Workspace workspace;
  for (const Conv2dCase& c :
       {Conv2dCase{{3, 14, 14, 24}, {3, 3, 24, 40}, {}}, Conv2dCase{{16, 7, 7, 64}, {3, 3, 64, 96}, {.stride = {2, 2}}},
        Conv2dCase{{4, 16, 16, 130}, {1, 1, 130, 70}, {}}, Conv2dCase{{1, 270, 270, 2}, {3, 3, 2, 3}, {}},
        Conv2dCase{{4, 30, 28, 24}, {3, 3, 24, 20}, {}}, Conv2dCase{{1, 9, 9, 140}, {3, 3, 140, 130}, {}},
        Conv2dCase{{4, 16, 16, 20}, {3, 3, 1, 20}, {.groups = 20}},
        Conv2dCase{{1, 130, 140, 3}, {3, 3, 1, 3}, {.groups = 3}}}) {
    const Conv2dGeometry g = GeometryOf(c);
    for (const Conv2dPass pass : kPasses) {
      const PassShapes shapes = ShapesOf(pass, g);
      const Tensor a = Normals(shapes.a, 5);
      const Tensor b = Normals(shapes.b, 6);
      ForEachTarget([&](const std::string&) {
        for (const std::string_view algorithm : Conv2dAlgorithms(pass)) {
          if (!Conv2dSupports(pass, algorithm, g)) continue;
          Tensor one(shapes.result);
          RunWithThreads(1, [&] { RunPass(pass, c.params, a, b, one, workspace, algorithm); });
          for (const int threads : {2, 3, 8}) {
            Tensor several(shapes.result);
            RunWithThreads(threads, [&] { RunPass(pass, c.params, a, b, several, workspace, algorithm); });
            EXPECT_EQ(std::memcmp(one.data(), several.data(), static_cast<size_t>(one.size()) * sizeof(float)), 0)
                << c << " " << algorithm << " pass " << static_cast<int>(pass) << " threads " << threads;
          }
        }
      });
    }
  }
}

// A filter's gradient is a sum over all pixels. In one sum of a chunk's the last bits of these values would get lost,
// far below any bound that grows with the number of terms.
TEST(Conv2dTest, LongSumsKeepTheirBits) {
  const Workspace workspace;
  constexpr float kValue = 1 + 0x1p-17f;
  for (const int64_t groups : {1, 2}) {
    const Conv2dParams params{.padding = Padding::Valid(), .groups = groups};
    const Conv2dGeometry g = ResolveConv2d("test", params, {1, 4098, 66, 2}, {3, 3, 2 / groups, 2});
    const Tensor x(g.input_shape(), 1.0f);
    const Tensor dy(g.output_shape(), kValue);
    const double expected = static_cast<double>(g.OH * g.OW) * kValue;
    ForEachTarget([&](const std::string&) {
      for (const std::string_view algorithm : {"direct", "direct_depthwise"}) {
        if (!Conv2dSupports(Conv2dPass::kBackwardFilter, algorithm, g)) continue;
        Tensor dw(g.filter_shape());
        Conv2dBackwardFilter(params, x, dy, dw, workspace, {.algorithm = algorithm});
        for (const float value : dw.span()) EXPECT_NEAR(value, expected, 5e-6 * expected) << algorithm;
      }
    });
  }
}

// ⟨conv(x, w), dy⟩ = ⟨x, BackwardInput(dy, w)⟩ = ⟨w, BackwardFilter(x, dy)⟩, exactly on integers.
TEST(Conv2dTest, GradientsAreAdjoint) {
  const Workspace workspace;
  const auto dot = [](const Tensor& a, const Tensor& b) {
    double sum = 0;
    for (int64_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
    return sum;
  };
  for (Conv2dCase c : Conv2dCases()) {
    c.params.precision = Precision::kHighest;
    const Conv2dGeometry g = GeometryOf(c);
    const Tensor x = Integers(g.input_shape(), 7);
    const Tensor w = Integers(g.filter_shape(), 8);
    const Tensor dy = Integers(g.output_shape(), 9);
    Tensor y(g.output_shape());
    Tensor dx(g.input_shape());
    Tensor dw(g.filter_shape());
    Conv2dForward(c.params, x, w, y, workspace);
    Conv2dBackwardInput(c.params, dy, w, dx, workspace);
    Conv2dBackwardFilter(c.params, x, dy, dw, workspace);
    EXPECT_EQ(dot(y, dy), dot(x, dx)) << c;
    EXPECT_EQ(dot(y, dy), dot(w, dw)) << c;
  }
}

// A new thread has no scratch memory but what the call asks for; packing would leave it more.
TEST(Conv2dTest, AsksForTheScratchItUses) {
  const Workspace workspace;
  for (const Conv2dCase& c : Conv2dCases()) {
    const Conv2dGeometry g = GeometryOf(c);
    for (const Conv2dPass pass : kPasses) {
      const PassShapes shapes = ShapesOf(pass, g);
      const Tensor a = Normals(shapes.a, 60);
      const Tensor b = Normals(shapes.b, 61);
      ForEachTarget([&](const std::string&) {
        for (const std::string_view algorithm : Conv2dAlgorithms(pass)) {
          if (!Conv2dSupports(pass, algorithm, g)) continue;
          Tensor expected(shapes.result);
          Tensor result(shapes.result);
          RunPass(pass, c.params, a, b, expected, workspace, algorithm);
          PackedConv2dFilter packed;
          if (pass != Conv2dPass::kBackwardFilter) {
            packed = PackConv2dFilter(pass, c.params, c.input, b, workspace, algorithm);
          }
          const auto run = [&] {
            if (pass == Conv2dPass::kForward) return Conv2dForward(c.params, a, packed, result, workspace);
            if (pass == Conv2dPass::kBackwardInput) return Conv2dBackwardInput(c.params, a, packed, result, workspace);
            Conv2dBackwardFilter(c.params, a, b, result, workspace, {.algorithm = algorithm});
          };
          std::thread([&] { RunWithThreads(1, run); }).join();
          ASSERT_EQ(std::memcmp(result.data(), expected.data(), static_cast<size_t>(result.size()) * 4), 0)
              << c << " " << algorithm;
        }
      });
    }
  }
}

// Arrays so large that outputs pass the caches by and inputs are fetched: all written, and nothing else.
TEST(Conv2dTest, LargeArrays) {
  const Workspace workspace;
  const Conv2dCase many_outputs{{1, 313, 321, 2}, {1, 1, 2, 64}, {}};
  const Conv2dCase many_inputs{{1, 313, 321, 64}, {1, 1, 64, 2}, {.stride = {2, 2}}};
  const Conv2dCase depthwise{{2, 157, 321, 64}, {3, 3, 1, 64}, {.groups = 64}};
  const Conv2dCase strided{{1, 313, 321, 64}, {3, 3, 1, 64}, {.stride = {2, 2}, .groups = 64}};
  const Conv2dCase dense{{1, 313, 321, 4}, {3, 3, 4, 64}, {}};
  struct Large {
    Conv2dCase c;
    Conv2dPass pass;
    std::string_view algorithm;
  };
  const Large cases[] = {{many_outputs, Conv2dPass::kForward, "direct"},
                         {many_inputs, Conv2dPass::kBackwardInput, "direct"},
                         {dense, Conv2dPass::kForward, "direct"},
                         {dense, Conv2dPass::kForward, "winograd_f4x4"},
                         {depthwise, Conv2dPass::kForward, "direct_depthwise"},
                         {depthwise, Conv2dPass::kBackwardInput, "direct_depthwise"},
                         {depthwise, Conv2dPass::kBackwardFilter, "direct_depthwise"},
                         {strided, Conv2dPass::kForward, "direct_depthwise"},
                         {strided, Conv2dPass::kBackwardInput, "direct_depthwise"},
                         {strided, Conv2dPass::kBackwardFilter, "direct_depthwise"}};
  for (const Large& large : cases) {
    const Conv2dCase& c = large.c;
    const Conv2dPass pass = large.pass;
    const Conv2dGeometry g = GeometryOf(c);
    const double tolerance = large.algorithm.starts_with("winograd") ? 0.01 : 0;
    const PassShapes shapes = ShapesOf(pass, g);
    const Tensor a = Integers(shapes.a, 20);
    const Tensor b = Integers(shapes.b, 21);
    const reference::Sums expected = Reference(pass, g, a, b);
    ForEachTarget([&](const std::string&) {
      Tensor result(shapes.result);
      std::fill_n(result.data(), result.size(), std::nanf(""));
      RunPass(pass, c.params, a, b, result, workspace, large.algorithm);
      for (int64_t i = 0; i < result.size(); ++i) {
        ASSERT_NEAR(result[i], expected.values[static_cast<size_t>(i)], tolerance) << c << " element " << i;
      }
    });
  }
}

// Neither beyond the arrays, nor where padding is: guard bands of NaN around exact-size arrays, at odd addresses.
TEST(Conv2dTest, ReadsAndWritesNothingOutside) {
  const Workspace workspace;
  constexpr int64_t kGuard = 67;
  const auto guarded = [&](const Shape& shape, uint32_t seed) {
    Tensor memory({shape.num_elements() + 2 * kGuard}, std::nanf(""));
    testing::FillIntegers(TensorView(memory.data() + kGuard, shape), seed);
    return memory;
  };
  for (const Conv2dCase& c : Conv2dCases()) {
    const Conv2dGeometry g = GeometryOf(c);
    for (const Conv2dPass pass : kPasses) {
      const PassShapes shapes = ShapesOf(pass, g);
      const Tensor a = guarded(shapes.a, 17);
      const Tensor b = guarded(shapes.b, 18);
      ForEachTarget([&](const std::string&) {
        Tensor result = guarded(shapes.result, 19);
        const TensorView view(result.data() + kGuard, shapes.result);
        RunPass(pass, c.params, {a.data() + kGuard, shapes.a}, {b.data() + kGuard, shapes.b}, view, workspace, "");
        for (const float value : view.span()) ASSERT_FALSE(std::isnan(value)) << c;
        for (int64_t i = 0; i < kGuard; ++i) {
          ASSERT_TRUE(std::isnan(result[i]) && std::isnan(result[result.size() - 1 - i])) << c;
        }
      });
    }
  }
}

// NaN in an input reaches every output that reads it, also through ReLU.
TEST(Conv2dTest, NanGoesThrough) {
  const Workspace workspace;
  for (const int64_t groups : {1, 20}) {
    Tensor x = Normals({1, 8, 8, 20}, 20);
    const Tensor w = Normals({3, 3, 20 / groups, 20}, 21);
    const Tensor ones({20}, 1.0f);
    const Tensor zeros({20}, 0.0f);
    x[0] = std::nanf("");
    ForEachTarget([&](const std::string&) {
      Tensor y({1, 8, 8, 20}, 0.0f);
      Conv2dForward({.groups = groups}, x, w, y, workspace,
                    {.prologue = {.mean = zeros, .mul = ones, .bias = ones, .relu = true}, .epilogue = {.relu = true}});
      EXPECT_TRUE(std::isnan(y[0]));
      EXPECT_FALSE(std::isnan(y[y.size() - 1]));
    });
  }
}

std::string ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

TEST(Conv2dTest, BadArgumentsThrowBeforeAnythingIsWritten) {
  const Workspace workspace;
  Tensor y({8, 56, 56, 64}, 5.0f);
  const auto forward = [&](const Shape& x, const Shape& w, const Conv2dParams& params = {}) {
    const Tensor input(x, 1.0f);
    const Tensor filter(w, 1.0f);
    return ErrorOf([&] { Conv2dForward(params, input, filter, y, workspace); });
  };
  EXPECT_EQ(forward({8, 56, 56, 32}, {3, 3, 64, 64}),
            "Conv2dForward: filter IC (64) != input C (32); input [8,56,56,32], filter [3,3,64,64]");
  EXPECT_NE(forward({0, 56, 56, 64}, {3, 3, 64, 64}).find("extent of 0"), std::string::npos);
  EXPECT_NE(forward({8, 56, 56, 64}, {3, 3, 21, 64}, {.groups = 3}).find("doesn't divide by groups (3)"),
            std::string::npos);
  EXPECT_NE(forward({8, 56, 56, 64}, {3, 3, 64, 64}, {.stride = {0, 1}}).find("stride {0,1}"), std::string::npos);
  EXPECT_NE(forward({8, 2, 2, 64}, {3, 3, 64, 64}, {.padding = Padding::Valid()}).find("no pixels"), std::string::npos);
  EXPECT_NE(forward({8, 56, 56, 64}, {3, 3, 64, 64}, {.dilation = {int64_t{1} << 62, 1}}).find("exceeds 2147483647"),
            std::string::npos);
  EXPECT_NE(forward({8, 56, 64}, {3, 3, 64, 64}).find("[N,H,W,C]"), std::string::npos);
  EXPECT_NE(forward({4, 56, 56, 64}, {3, 3, 64, 64}).find("output must be [4,56,56,64], is [8,56,56,64]"),
            std::string::npos);
  const Tensor x({8, 56, 56, 64}, 1.0f);
  const Tensor w({3, 3, 64, 64}, 1.0f);
  EXPECT_NE(ErrorOf([&] { Conv2dForward({}, x, w, y, workspace, {.algorithm = "direct_depthwise"}); }).find("declines"),
            std::string::npos);
  EXPECT_NE(ErrorOf([&] { Conv2dForward({}, x, w, y, workspace, {.algorithm = "fft"}); }).find("no algorithm"),
            std::string::npos);
  EXPECT_NE(ErrorOf([&] { Conv2dForward({}, y, w, y, workspace); }).find("output overlaps the input"),
            std::string::npos);
  for (const float value : y.span()) ASSERT_EQ(value, 5.0f);
}

TEST(Conv2dTest, ExplainNamesTheRowTaken) {
  const Conv2dGeometry dense = ResolveConv2d("test", {}, {1, 8, 8, 16}, {3, 3, 16, 16});
  EXPECT_EQ(ChooseConv2d(Conv2dPass::kForward, dense, Precision::kHighest), "direct");
  EXPECT_NE(ExplainConv2d(Conv2dPass::kForward, dense).find("direct_depthwise: not one filter a channel"),
            std::string::npos);
  const Conv2dGeometry depthwise = ResolveConv2d("test", {.groups = 16}, {1, 8, 8, 16}, {3, 3, 1, 16});
  EXPECT_EQ(ChooseConv2d(Conv2dPass::kForward, depthwise), "direct_depthwise");
}

}  // namespace
}  // namespace hwynn
