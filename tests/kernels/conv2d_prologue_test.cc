// Forward and backward-filter of an input that is normalised while it is loaded, in every algorithm and on every
// target.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/reference/conv2d.h"
#include "hwynn/tests/kernels/conv2d_cases.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::Conv2dCase;
using testing::Conv2dCases;
using testing::ForEachAlgorithm;
using testing::ForEachTarget;
using testing::GeometryOf;
using testing::Integers;
using testing::Normals;
using testing::Poison;

// The listed shapes, and some of which each algorithm makes several tasks, blocks and chunks.
std::vector<Conv2dCase> Cases() {
  std::vector<Conv2dCase> cases = Conv2dCases();
  for (const int64_t channels : {1, 3}) {
    cases.push_back({{2, 30, 29, channels}, {7, 7, channels, 18}, {.stride = {2, 2}}});
    cases.push_back({{2, 15, 14, channels}, {3, 3, channels, 5}, {}});
  }
  cases.push_back({{3, 29, 30, 70}, {1, 1, 70, 150}, {}});
  cases.push_back({{2, 29, 30, 256}, {1, 1, 256, 90}, {.stride = {2, 2}}});
  cases.push_back({{1, 9, 9, 64}, {1, 1, 64, 1100}, {}});  // several parts that read the same inputs
  cases.push_back({{2, 23, 23, 130}, {3, 3, 130, 140}, {}});
  cases.push_back({{1, 20, 20, 128}, {3, 3, 64, 96}, {.stride = {2, 2}, .groups = 2}});
  cases.push_back({{2, 25, 30, 20}, {3, 3, 20, 24}, {.dilation = {3, 2}}});
  cases.push_back({{4, 40, 40, 21}, {3, 3, 1, 21}, {.groups = 21}});
  cases.push_back({{2, 41, 40, 33}, {5, 5, 1, 33}, {.stride = {2, 2}, .groups = 33}});
  // Depthwise, several strips of the source a task.
  cases.push_back({{1, 130, 40, 600}, {3, 3, 1, 600}, {.stride = {1, 8}, .groups = 600}});
  cases.push_back({{2, 66, 30, 500}, {3, 3, 1, 500}, {.stride = {2, 5}, .dilation = {2, 1}, .groups = 500}});
  return cases;
}

// A BatchNorm before the convolution, and the prologue that stands for it.
struct Norm {
  explicit Norm(int64_t channels)
      : mean(Normals({channels}, 1, 0.5f)),
        var(Normals({channels}, 2, 4.0f, 0.5f)),
        scale(Normals({channels}, 3)),
        bias(Normals({channels}, 4)),
        mul({channels}) {
    BatchNormMul(Affine(), mul);
  }
  BatchNormAffine Affine() const { return {.mean = mean, .var = var, .scale = scale, .bias = bias}; }
  Tensor mean, var, scale, bias, mul;
};

bool SameBits(const Tensor& a, const Tensor& b) {
  return std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)) == 0;
}

TEST(Conv2dPrologueTest, HasTheBitsOfANormalizedInput) {
  const Workspace workspace;
  for (const Conv2dCase& c : Cases()) {
    const Conv2dGeometry g = GeometryOf(c);
    const Tensor x = Normals(g.input_shape(), 10, 0.3f), dy = Normals(g.output_shape(), 11);
    const Tensor w = Normals(g.filter_shape(), 12);
    const Norm norm(g.IC);
    Conv2dPrologue prologue{.mean = norm.mean, .mul = norm.mul, .bias = norm.bias};
    ForEachTarget([&](const std::string& target) {
      for (const bool relu : {false, true}) {
        prologue.relu = relu;
        Tensor y(g.input_shape());
        BatchNormNormalize(x, norm.Affine(), y, {.relu = relu});
        ForEachAlgorithm(Conv2dPass::kBackwardFilter, g, [&](std::string_view algorithm) {
          Tensor expected(g.filter_shape()), got(g.filter_shape(), std::nanf(""));
          Conv2dBackwardFilter(c.params, y, dy, expected, workspace, {.algorithm = algorithm});
          Poison(workspace);
          Conv2dBackwardFilter(c.params, x, dy, got, workspace, {.prologue = prologue, .algorithm = algorithm});
          EXPECT_TRUE(SameBits(got, expected)) << target << " " << algorithm << ", relu " << relu << ", " << c;
        });
        ForEachAlgorithm(Conv2dPass::kForward, g, [&](std::string_view algorithm) {
          Tensor expected(g.output_shape()), got(g.output_shape(), std::nanf(""));
          Conv2dForward(c.params, y, w, expected, workspace, {.algorithm = algorithm});
          Poison(workspace);
          Conv2dForward(c.params, x, w, got, workspace, {.prologue = prologue, .algorithm = algorithm});
          EXPECT_TRUE(SameBits(got, expected)) << target << " " << algorithm << ", relu " << relu << ", " << c;
        });
      }
    });
  }
}

// Without a BatchNorm's arithmetic to compare with; padding stays 0, whatever the prologue makes of 0.
TEST(Conv2dPrologueTest, FilterGradientIsExactOnIntegers) {
  const Workspace workspace;
  unsigned choice = 0;
  for (const Conv2dCase& c : Cases()) {
    const Conv2dGeometry g = GeometryOf(c);
    const Tensor x = Integers(g.input_shape(), 20, 2), dy = Integers(g.output_shape(), 21, 2);
    const Tensor mean = Integers({g.IC}, 22, 2), mul = Integers({g.IC}, 23, 2), bias = Integers({g.IC}, 24, 2);
    Conv2dPrologue prologue{.relu = choice % 2 == 0};
    if (choice % 3 != 0) prologue.mean = mean, prologue.mul = mul, prologue.bias = bias;
    if (choice % 5 == 0) prologue.upper = 3;
    SCOPED_TRACE(StrCat("choice ", choice++, " input ", c.input, " filter ", c.filter));
    const reference::Sums expected = reference::Conv2dBackwardFilter(g, x, dy, prologue);
    ForEachTarget([&](const std::string&) {
      ForEachAlgorithm(Conv2dPass::kBackwardFilter, g, [&](std::string_view algorithm) {
        Tensor dw(g.filter_shape(), std::nanf(""));
        Conv2dBackwardFilter(c.params, x, dy, dw, workspace, {.prologue = prologue, .algorithm = algorithm});
        for (int64_t i = 0; i < dw.size(); ++i) {
          const auto at = static_cast<size_t>(i);
          const double tolerance = algorithm.starts_with("winograd") ? 1e-3 + 1e-5 * expected.magnitudes[at] : 0;
          ASSERT_NEAR(dw[i], expected.values[at], tolerance) << algorithm << " element " << i;
        }
      });
    });
  }
}

TEST(Conv2dPrologueTest, FilterGradientHasTheSameBitsForAnyNumberOfThreads) {
  const Workspace workspace;
  for (const Conv2dCase& c : Cases()) {
    const Conv2dGeometry g = GeometryOf(c);
    if (g.output_shape().num_elements() < 4000) continue;
    const Tensor x = Normals(g.input_shape(), 30), dy = Normals(g.output_shape(), 31);
    const Norm norm(g.IC);
    const Conv2dPrologue prologue{.mean = norm.mean, .mul = norm.mul, .bias = norm.bias, .relu = true};
    ForEachAlgorithm(Conv2dPass::kBackwardFilter, g, [&](std::string_view algorithm) {
      std::vector<Tensor> got;
      for (const int threads : {1, 2, 3}) {
        Tensor& dw = got.emplace_back(g.filter_shape());
        RunWithThreads(threads, [&] {
          Conv2dBackwardFilter(c.params, x, dy, dw, workspace, {.prologue = prologue, .algorithm = algorithm});
        });
        EXPECT_TRUE(SameBits(dw, got[0])) << algorithm << ", threads " << threads << ", " << c;
      }
    });
  }
}

}  // namespace
}  // namespace hwynn
