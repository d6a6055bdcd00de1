// The shapes that oneDNN is tested with, by hwynn's kernels against their definitions.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "hwynn/core/check.h"
#include "hwynn/kernels/reference/batch_norm.h"
#include "hwynn/kernels/reference/conv2d.h"
#include "hwynn/tests/conformance/benchdnn_shapes.h"
#include "hwynn/tests/kernels/batch_norm_case.h"
#include "hwynn/tests/kernels/conv2d_cases.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::BatchNormCase;
using testing::BenchdnnConv;
using testing::BenchdnnNorm;
using testing::ExpectBounded;
using testing::ForEachAlgorithm;
using testing::ForEachTarget;
using testing::Integers;
using testing::kUnit;
using testing::PassShapes;
using testing::Poison;
using testing::RunPass;
using testing::ShapesOf;

constexpr Conv2dPass kPasses[] = {Conv2dPass::kForward, Conv2dPass::kBackwardInput, Conv2dPass::kBackwardFilter};

// Element `i` of a pass's result, by the definition.
double At(Conv2dPass pass, const Conv2dGeometry& g, ConstTensorView a, ConstTensorView b, int64_t i) {
  const Shape shape = ShapesOf(pass, g).result;
  const int64_t last = i % shape[3], third = i / shape[3] % shape[2], second = i / shape[3] / shape[2] % shape[1];
  const int64_t first = i / shape[3] / shape[2] / shape[1];
  switch (pass) {
    case Conv2dPass::kForward:
      return reference::Conv2dForwardAt(g, a, b, first, second, third, last);
    case Conv2dPass::kBackwardInput:
      return reference::Conv2dBackwardInputAt(g, a, b, first, second, third, last);
    default:
      return reference::Conv2dBackwardFilterAt(g, a, b, first, second, third, last);
  }
}

std::vector<double> All(Conv2dPass pass, const Conv2dGeometry& g, ConstTensorView a, ConstTensorView b) {
  switch (pass) {
    case Conv2dPass::kForward:
      return reference::Conv2dForward(g, a, b).values;
    case Conv2dPass::kBackwardInput:
      return reference::Conv2dBackwardInput(g, a, b).values;
    default:
      return reference::Conv2dBackwardFilter(g, a, b).values;
  }
}

// Integers, so that results are exact; Winograd's transforms divide by 3, 5 and 15, and a wrong index still shows as an
// error of whole numbers.
double Tolerance(std::string_view algorithm) { return algorithm.starts_with("winograd") ? 0.25 : 0; }

// Every element of every pass by every algorithm on every target, or of large shapes some hundred on the best target.
void CheckConv(const BenchdnnConv& conv, const Workspace& workspace) {
  constexpr double kSmallFlops = 8e6;
  const bool is_small = conv.Geometry(2).flops() <= kSmallFlops;
  const Conv2dGeometry g = conv.Geometry(is_small ? 2 : 1);
  ASSERT_EQ(g.OH, conv.height.output);
  ASSERT_EQ(g.OW, conv.width.output);
  for (const Conv2dPass pass : kPasses) {
    const PassShapes shapes = ShapesOf(pass, g);
    const Tensor a = Integers(shapes.a, 1), b = Integers(shapes.b, 2);
    Tensor result(shapes.result);
    const auto run = [&](std::string_view algorithm) {
      std::fill_n(result.data(), result.size(), std::nanf(""));  // shows what isn't written
      Poison(workspace, int64_t{1} << 12);
      RunPass(pass, conv.params(), a, b, result, workspace, algorithm);
    };
    if (is_small) {
      const std::vector<double> expected = All(pass, g, a, b);
      ForEachTarget([&](const std::string&) {
        ForEachAlgorithm(pass, g, [&](std::string_view algorithm) {
          run(algorithm);
          for (int64_t i = 0; i < result.size(); ++i) {
            ASSERT_NEAR(result[i], expected[static_cast<size_t>(i)], Tolerance(algorithm))
                << algorithm << " pass " << static_cast<int>(pass) << " element " << i;
          }
        });
      });
      continue;
    }
    constexpr int64_t kSamples = 150;
    const int64_t step = std::max<int64_t>(1, result.size() / kSamples) | 1;
    std::vector<double> expected;
    for (int64_t i = 0; i < result.size(); i += step) expected.push_back(At(pass, g, a, b, i));
    ForEachAlgorithm(pass, g, [&](std::string_view algorithm) {
      run(algorithm);
      for (size_t sample = 0; sample < expected.size(); ++sample) {
        const int64_t i = static_cast<int64_t>(sample) * step;
        ASSERT_NEAR(result[i], expected[sample], Tolerance(algorithm))
            << algorithm << " pass " << static_cast<int>(pass) << " element " << i;
      }
      ASSERT_TRUE(std::ranges::none_of(result.span(), [](float x) { return std::isnan(x); })) << algorithm;
    });
  }
}

TEST(BenchdnnTest, Convolutions) {
  const Workspace workspace;
  for (const BenchdnnConv& conv : testing::kBenchdnnConvs) {
    const Conv2dGeometry g = conv.Geometry(1);
    SCOPED_TRACE(StrCat("groups ", g.groups, " input ", g.input_shape(), " filter ", g.filter_shape(), " output ",
                        g.output_shape()));
    CheckConv(conv, workspace);
    if (HasFatalFailure()) return;
  }
  std::cout << std::size(testing::kBenchdnnConvs) << " convolutions\n";
}

// As in tests/kernels/batch_norm_test.cc.
TEST(BenchdnnTest, BatchNorms) {
  for (const auto& [rows, channels] : testing::kBenchdnnNorms) {
    SCOPED_TRACE(StrCat("rows ", rows, " channels ", channels));
    const auto check = [rows = rows, channels = channels](const std::string&) {
      BatchNormCase x(rows, channels);
      const reference::Moments moments = reference::BatchNormStatistics(x.input);
      x.Statistics();
      for (int64_t c = 0; c < channels; ++c) {
        const auto at = static_cast<size_t>(c);
        ASSERT_NEAR(x.mean[c], moments.mean[at], 8 * kUnit * (std::abs(moments.mean[at]) + std::sqrt(moments.var[at])));
        ASSERT_NEAR(x.var[c], moments.var[at], 4e-6 * moments.var[at]);
      }
      // A variance of 0, of one row, has no gradient.
      if (rows == 1) std::fill_n(x.var.data(), channels, 1.0f);
      for (const bool relu : {false, true}) {
        x.Forward(relu);
        ExpectBounded(reference::BatchNormNormalize(x.input, x.affine(), {.residual = x.residual, .relu = relu}),
                      x.output, 5, "output");
        const BatchNormBackwardArgs args = x.Args(relu);
        BatchNormBackward(args, x.workspace);
        const reference::BatchNormGradients grads = reference::BatchNormBackward(args);
        ExpectBounded(grads.scale, x.grad_scale, 10, "grad_scale");
        ExpectBounded(grads.bias, x.grad_bias, 10, "grad_bias");
        ExpectBounded(grads.input, x.grad_input, 10, "grad_input");
      }
    };
    constexpr int64_t kSmall = 500'000;  // elements
    if (rows * channels <= kSmall) {
      ForEachTarget(check);
    } else {
      check("");
    }
  }
  std::cout << std::size(testing::kBenchdnnNorms) << " norms\n";
}

}  // namespace
}  // namespace hwynn
