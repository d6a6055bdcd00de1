// Precision::kHighest: sums in double.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "hwynn/kernels/precision.h"
#include "hwynn/kernels/reference/conv2d.h"
#include "hwynn/tests/kernels/conv2d_cases.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::Conv2dCase;
using testing::Conv2dCases;
using testing::ExpectSameBitsOnTargets;
using testing::ForEachTarget;
using testing::GeometryOf;
using testing::Integers;
using testing::Normals;
using testing::PassShapes;
using testing::Poison;
using testing::RunPass;
using testing::ShapesOf;

// Of 1×1 images, so that a result is one sum over its group's channels and the filter's middle tap.
struct LongSum {
  Conv2dPass pass;
  int64_t channels;  // of a group, that are summed
  int64_t groups;
};

// A 1 and then terms of 0.4 of its last bit: a sum in float32 rounds each of them away. In double none is lost, and at
// most 1024 products are one sum.
TEST(Conv2dPrecisionTest, HighestSumsInDouble) {
  constexpr double kSmall = 0.4 / (1 << 23);
  const Workspace workspace;
  for (const LongSum& sum : {LongSum{Conv2dPass::kForward, 1000, 1}, LongSum{Conv2dPass::kForward, 300, 2},
                             LongSum{Conv2dPass::kForward, 2500, 1}, LongSum{Conv2dPass::kBackwardInput, 1000, 1},
                             LongSum{Conv2dPass::kBackwardInput, 2500, 1}}) {
    const bool forward = sum.pass == Conv2dPass::kForward;
    const int64_t in = forward ? sum.channels : 5;  // of a group
    const int64_t out = forward ? 5 : sum.channels;
    Conv2dCase c{{2, 1, 1, in * sum.groups}, {1, 1, in, out * sum.groups}, {.groups = sum.groups}};
    SCOPED_TRACE(::testing::PrintToString(c));
    const PassShapes shapes = ShapesOf(sum.pass, GeometryOf(c));
    Tensor values(shapes.a);
    for (int64_t i = 0; i < values.size(); ++i) {
      values[i] = i % sum.channels == 0 ? 1.0f : static_cast<float>(kSmall);
    }
    const Tensor ones(shapes.b, 1.0f);
    const double expected = 1.0 + static_cast<double>(sum.channels - 1) * kSmall;
    ForEachTarget([&](const std::string&) {
      Tensor result(shapes.result, std::nanf(""));
      RunPass(sum.pass, c.params, values, ones, result, workspace, "direct");
      if (sum.channels <= 1024) {
        EXPECT_EQ(result[0], 1.0f);  // so the case tells the two from each other
      }
      c.params.precision = Precision::kHighest;
      RunPass(sum.pass, c.params, values, ones, result, workspace, "");
      for (int64_t i = 0; i < result.size(); ++i) {
        ASSERT_NEAR(result[i], expected, static_cast<double>(sum.channels / 1024 + 1) / (1 << 23)) << i;
      }
      c.params.precision = Precision::kDefault;
    });
  }
}

TEST(Conv2dPrecisionTest, HighestIsExactOnIntegers) {
  const Workspace workspace;
  std::vector<Conv2dCase> cases = Conv2dCases();
  cases.push_back({{2, 5, 6, 700}, {1, 1, 700, 70}, {}});
  cases.push_back({{1, 7, 5, 150}, {3, 3, 75, 66}, {.stride = {2, 1}, .groups = 2}});
  cases.push_back({{1, 4, 4, 1100}, {3, 3, 1100, 20}, {}});
  for (Conv2dCase& c : cases) {
    SCOPED_TRACE(::testing::PrintToString(c));
    c.params.precision = Precision::kHighest;
    const Conv2dGeometry g = GeometryOf(c);
    const Tensor x = Integers(g.input_shape(), 1);
    const Tensor w = Integers(g.filter_shape(), 2);
    const Tensor residual = Integers(g.output_shape(), 3);
    const reference::Sums forward = reference::Conv2dForward(g, x, w);
    const Tensor grad = Integers(g.output_shape(), 4);
    const reference::Sums backward = reference::Conv2dBackwardInput(g, grad, w);
    ForEachTarget([&](const std::string&) {
      Poison(workspace);
      Tensor output(g.output_shape(), std::nanf(""));
      Conv2dForward(c.params, x, w, output, workspace, {.epilogue = {.residual = residual}});
      Tensor in_place = residual.Clone();
      Conv2dForward(c.params, x, w, in_place, workspace, {.epilogue = {.residual = in_place, .relu = true}});
      for (int64_t i = 0; i < output.size(); ++i) {
        const double wanted = forward.values[static_cast<size_t>(i)] + static_cast<double>(residual[i]);
        ASSERT_EQ(output[i], wanted) << i;
        ASSERT_EQ(in_place[i], std::max(wanted, 0.0)) << i;
      }
      Tensor grad_input(g.input_shape(), std::nanf(""));
      Conv2dBackwardInput(c.params, grad, w, grad_input, workspace);
      for (int64_t i = 0; i < grad_input.size(); ++i) {
        ASSERT_EQ(grad_input[i], backward.values[static_cast<size_t>(i)]) << i;
      }
    });
  }
}

TEST(Conv2dPrecisionTest, HighestHasTheSameBitsOnAllTargets) {
  const Workspace workspace;
  const Conv2dParams params{.groups = 2, .precision = Precision::kHighest};
  const Tensor x = Normals({2, 9, 8, 300}, 1);
  const Tensor w = Normals({3, 3, 150, 70}, 2);
  ExpectSameBitsOnTargets([&] {
    std::vector<Tensor> results;
    results.emplace_back(Shape{2, 9, 8, 70});
    Tensor mean(Shape{70}), var(Shape{70});
    Conv2dForward(params, x, w, results[0], workspace, {.epilogue = {.mean = mean, .var = var}});
    results.push_back(std::move(mean));
    results.push_back(std::move(var));
    results.emplace_back(x.shape());
    Conv2dBackwardInput(params, results[0], w, results.back(), workspace);
    return results;
  });
}

}  // namespace
}  // namespace hwynn
