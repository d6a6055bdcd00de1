// The epilogue of backward-input, in every algorithm and on every target.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d_plan.h"
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
using testing::Poison;

using Fill = std::function<Tensor(const Shape&)>;

// Calls body(algorithm) for all that support the shape.
template <class Body>
void ForEachAlgorithm(const Conv2dGeometry& g, const Body& body) {
  for (const std::string_view algorithm : Conv2dAlgorithms(Conv2dPass::kBackwardInput)) {
    if (Conv2dSupports(Conv2dPass::kBackwardInput, algorithm, g)) body(algorithm);
  }
}

bool SameBits(const Tensor& a, const Tensor& b) {
  return std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)) == 0;
}

// What varies between calls: bit i of a choice for each.
struct Choice {
  explicit Choice(unsigned bits)
      : accumulate((bits & 1) != 0),
        relu((bits & 2) != 0),
        upper((bits & 4) != 0 ? 2.0f : INFINITY),
        of_output((bits & 8) != 0) {}
  bool accumulate, relu;
  float upper;
  bool of_output;  // the mask
};
constexpr unsigned kChoices = 1 << 4;

// All that a call meets.
struct Operands {
  Operands(const Conv2dCase& c, const Fill& fill)
      : params(c.params),
        g(GeometryOf(c)),
        grad_output(fill(g.output_shape())),
        filter(fill(g.filter_shape())),
        before(fill(g.input_shape())),
        z(fill(g.input_shape())),
        residual(fill(g.input_shape())),
        mean(fill({g.IC})),
        scale(fill({g.IC})),
        bias(fill({g.IC})),
        var({g.IC}, 1.0f),
        mul({g.IC}),
        y(g.input_shape()) {
    BatchNormMul(Affine(), mul);
  }

  // Without an epsilon, and so with a `mul` that is the scale.
  BatchNormAffine Affine() const { return {.mean = mean, .var = var, .scale = scale, .bias = bias, .epsilon = 0}; }

  // Makes y on the current target, with a residual where the mask is to come from it.
  Conv2dBackwardInputOptions Options(const Choice& choice, std::string_view algorithm, BatchNormSums* sums) {
    BatchNormNormalize(
        z, Affine(), y,
        {.residual = choice.of_output ? ConstTensorView(residual) : ConstTensorView(), .relu = choice.relu});
    Conv2dBackwardInputOptions options{.accumulate = choice.accumulate,
                                       .epilogue = {.input = z,
                                                    .mean = mean,
                                                    .mul = mul,
                                                    .bias = bias,
                                                    .relu = choice.relu,
                                                    .upper = choice.upper,
                                                    .sums = sums},
                                       .algorithm = algorithm};
    if (choice.of_output) options.epilogue.output = y;
    return options;
  }

  Tensor Run(const Conv2dBackwardInputOptions& options, const Workspace& workspace) const {
    Tensor grad_input = options.accumulate ? before.Clone() : Tensor(g.input_shape(), std::nanf(""));
    Poison(workspace);
    Conv2dBackwardInput(params, grad_output, filter, grad_input, workspace, options);
    return grad_input;
  }

  // The pass, then the mask: what the epilogue must write bit by bit.
  Tensor Unfused(const Conv2dBackwardInputOptions& options, const Workspace& workspace) const {
    Tensor grad_input =
        Run({.accumulate = options.accumulate, .epilogue = {}, .algorithm = options.algorithm}, workspace);
    const bool limited = options.epilogue.upper < INFINITY;
    for (int64_t i = 0; options.epilogue.relu && i < grad_input.size(); ++i) {
      if (!(y[i] > 0) || (limited && y[i] >= options.epilogue.upper)) grad_input[i] = 0;
    }
    return grad_input;
  }

  // Of a gradient that was written, in float64.
  reference::InputGradient SumsOf(const Tensor& grad_input) const {
    reference::InputGradient sums{reference::Sums(0), reference::Sums(g.IC), reference::Sums(g.IC)};
    for (int64_t i = 0; i < grad_input.size(); ++i) {
      const int64_t c = i % g.IC;
      sums.grad.Add(c, grad_input[i]);
      sums.grad_centered.Add(c, grad_input[i] * (static_cast<double>(z[i]) - mean[c]));
    }
    return sums;
  }

  Conv2dParams params;
  Conv2dGeometry g;
  Tensor grad_output, filter, before, z, residual, mean, scale, bias, var, mul, y;
};

Fill SmallIntegers(uint32_t seed) {
  return [seed](const Shape& shape) mutable { return Integers(shape, ++seed, 2); };
}
Fill Deviates(uint32_t seed) {
  return [seed](const Shape& shape) mutable { return Normals(shape, ++seed, 0.2f); };
}

void ExpectNear(const std::vector<double>& got, const reference::Sums& expected, double tolerance, const char* what) {
  ASSERT_EQ(got.size(), expected.values.size());
  for (size_t c = 0; c < got.size(); ++c) {
    ASSERT_NEAR(got[c], expected.values[c], tolerance * expected.magnitudes[c]) << what << ", channel " << c;
  }
}

std::vector<Conv2dCase> Cases() {
  std::vector<Conv2dCase> cases = Conv2dCases();
  cases.push_back({{4, 28, 28, 16}, {3, 3, 16, 16}, {}});  // several blocks a task, several tasks
  cases.push_back({{4, 28, 28, 130}, {3, 3, 130, 140}, {}});
  cases.push_back({{2, 30, 31, 33}, {1, 1, 33, 20}, {.stride = {2, 2}}});  // 3 of 4 pixels that nothing reaches
  cases.push_back({{1, 1, 1, 3}, {1, 1, 3, 4}, {.stride = {2, 2}, .padding = Padding::Symmetric(1)}});  // and all
  cases.push_back({{4, 56, 56, 67}, {3, 3, 1, 67}, {.groups = 67}});
  cases.push_back({{2, 30, 30, 130}, {3, 3, 1, 130}, {.stride = {2, 2}, .groups = 130}});
  return cases;
}

TEST(Conv2dGradientEpilogueTest, ExactOnIntegersOnAllTargetsAndAlgorithms) {
  const Workspace workspace;
  unsigned bits = 0;
  for (const Conv2dCase& c : Cases()) {
    Operands operands(c, SmallIntegers(bits));
    for (int i = 0; i < 2; ++i) {
      bits = (bits * 5 + 7) % kChoices;  // comes by all of them
      const Choice choice(bits & 7);
      SCOPED_TRACE(::testing::Message() << c << " choice " << bits);
      BatchNormSums sums;
      const reference::InputGradient expected = reference::Conv2dBackwardInput(
          operands.g, operands.grad_output, operands.filter, operands.Options(choice, "", &sums).epilogue,
          choice.accumulate ? ConstTensorView(operands.before) : ConstTensorView());
      ForEachTarget([&](const std::string&) {
        ForEachAlgorithm(operands.g, [&](std::string_view algorithm) {
          if (algorithm.starts_with("winograd")) return;  // rounds
          const Tensor got = operands.Run(operands.Options(choice, algorithm, &sums), workspace);
          for (int64_t e = 0; e < got.size(); ++e) {
            ASSERT_EQ(got[e], expected.grad_input.values[static_cast<size_t>(e)]) << algorithm << " element " << e;
          }
          EXPECT_EQ(sums.count, static_cast<double>(operands.g.N * operands.g.IH * operands.g.IW));
          ExpectNear(sums.grad, expected.grad, 0, "grad");
          ExpectNear(sums.grad_centered, expected.grad_centered, 0, "grad_centered");
        });
      });
    }
  }
}

// The bits of the pass without epilogue followed by the mask of what BatchNormNormalize gave, and its sums.
TEST(Conv2dGradientEpilogueTest, IsThePassThenTheMaskThenTheSums) {
  const Workspace workspace;
  unsigned bits = 0;
  double closest = 0;  // that an error came to its bound
  for (const Conv2dCase& c : Cases()) {
    Operands operands(c, Deviates(bits));
    for (int i = 0; i < 2; ++i) {
      bits = (bits * 5 + 7) % kChoices;
      const Choice choice(bits);
      ForEachTarget([&](const std::string&) {
        ForEachAlgorithm(operands.g, [&](std::string_view algorithm) {
          SCOPED_TRACE(::testing::Message() << c << " choice " << bits << " " << algorithm);
          BatchNormSums sums;
          const Conv2dBackwardInputOptions options = operands.Options(choice, algorithm, &sums);
          const Tensor got = operands.Run(options, workspace);
          ASSERT_TRUE(SameBits(got, operands.Unfused(options, workspace)));
          const reference::InputGradient expected = operands.SumsOf(got);
          // 64 additions in a row and one rounding of z − mean, as a rule a fraction of the bound.
          constexpr double kTolerance = 8 * 0x1p-24;
          ExpectNear(sums.grad, expected.grad, kTolerance, "grad");
          ExpectNear(sums.grad_centered, expected.grad_centered, kTolerance, "grad_centered");
          for (size_t e = 0; e < sums.grad.size(); ++e) {
            const double bound = kTolerance * expected.grad.magnitudes[e];
            if (bound > 0) closest = std::max(closest, std::abs(sums.grad[e] - expected.grad.values[e]) / bound);
          }
        });
      });
    }
  }
  EXPECT_GT(closest, 0.1) << "a bound that nothing comes near is none";
}

// The same numbers as BatchNorm's own first step gives after the pass.
TEST(Conv2dGradientEpilogueTest, AgreesWithBatchNormBackwardSums) {
  const Workspace workspace;
  Operands operands({{3, 20, 21, 37}, {3, 3, 37, 19}, {}}, Deviates(100));
  ForEachTarget([&](const std::string&) {
    for (const bool of_output : {false, true}) {
      const Choice choice(of_output ? 2 + 8 : 2);
      ForEachAlgorithm(operands.g, [&](std::string_view algorithm) {
        BatchNormSums sums;
        const Conv2dBackwardInputOptions options = operands.Options(choice, algorithm, &sums);
        const Tensor got = operands.Run(options, workspace);
        const Tensor plain = operands.Run({.epilogue = {}, .algorithm = algorithm}, workspace);
        Tensor masked(plain.shape());
        const BatchNormSums expected = BatchNormBackwardSums({.input = operands.z,
                                                              .output = operands.y,
                                                              .grad_output = plain,
                                                              .affine = operands.Affine(),
                                                              .relu = true,
                                                              .grad_residual = masked},
                                                             workspace);
        EXPECT_TRUE(SameBits(got, masked)) << algorithm;
        EXPECT_EQ(sums.count, expected.count);
        const reference::InputGradient exact = operands.SumsOf(got);
        for (size_t c = 0; c < sums.grad.size(); ++c) {
          EXPECT_NEAR(sums.grad[c], expected.grad[c], 1e-6 * exact.grad.magnitudes[c]);
          EXPECT_NEAR(sums.grad_centered[c], expected.grad_centered[c], 1e-6 * exact.grad_centered.magnitudes[c]);
        }
      });
    }
  });
}

// Sums as tensors, whose bits compare.
std::vector<Tensor> Results(Tensor grad_input, const BatchNormSums& sums) {
  std::vector<Tensor> results;
  results.push_back(std::move(grad_input));
  for (const std::vector<double>* values : {&sums.grad, &sums.grad_centered}) {
    Tensor& tensor = results.emplace_back(Shape{static_cast<int64_t>(2 * values->size())});
    std::memcpy(tensor.data(), values->data(), values->size() * sizeof(double));
  }
  return results;
}

TEST(Conv2dGradientEpilogueTest, SameBitsOnTargets) {
  const Workspace workspace;
  std::vector<Conv2dCase> cases = Cases();
  cases.push_back({{1, 40, 40, 170}, {3, 3, 170, 165}, {}});
  cases.push_back({{2, 7, 7, 512}, {3, 3, 512, 512}, {}});  // panels of the filter that are transformed on the way
  unsigned bits = 0;
  for (const Conv2dCase& c : cases) {
    Operands operands(c, Deviates(200 + bits));
    bits = (bits * 5 + 7) % kChoices;
    ForEachAlgorithm(operands.g, [&](std::string_view algorithm) {
      SCOPED_TRACE(::testing::Message() << c << " choice " << bits << " " << algorithm);
      ExpectSameBitsOnTargets([&] {
        BatchNormSums sums;
        const Conv2dBackwardInputOptions options = operands.Options(Choice(bits), algorithm, &sums);
        Tensor grad_input = operands.Run(options, workspace);
        return Results(std::move(grad_input), sums);
      });
    });
  }
}

TEST(Conv2dGradientEpilogueTest, SameBitsForAnyNumberOfThreads) {
  const Workspace workspace;
  const Conv2dCase cases[] = {{{4, 28, 28, 16}, {3, 3, 16, 16}, {}},
                              {{2, 30, 30, 70}, {3, 3, 70, 150}, {}},
                              {{2, 30, 30, 70}, {3, 3, 70, 50}, {.stride = {2, 2}}},
                              {{2, 30, 30, 70}, {1, 1, 70, 50}, {.stride = {2, 2}}},
                              {{4, 30, 30, 20}, {3, 3, 1, 20}, {.groups = 20}}};
  for (const Conv2dCase& c : cases) {
    Operands operands(c, Deviates(300));
    ForEachAlgorithm(operands.g, [&](std::string_view algorithm) {
      std::vector<std::vector<Tensor>> got;
      for (const int threads : {1, 2, 3}) {
        BatchNormSums sums;
        const Conv2dBackwardInputOptions options = operands.Options(Choice(3), algorithm, &sums);
        Tensor grad_input;
        RunWithThreads(threads, [&] { grad_input = operands.Run(options, workspace); });
        got.push_back(Results(std::move(grad_input), sums));
        for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(SameBits(got.back()[i], got[0][i])) << c << " " << algorithm;
      }
    });
  }
}

// Results that are so large that they are stored past the caches, of more channels than wait at once.
TEST(Conv2dGradientEpilogueTest, LargeResults) {
  const Workspace workspace;
  const Conv2dCase cases[] = {{{24, 112, 112, 16}, {3, 3, 16, 16}, {}},
                              {{8, 112, 112, 80}, {3, 3, 80, 16}, {}},
                              {{8, 112, 112, 64}, {1, 1, 64, 16}, {}},
                              {{8, 112, 112, 64}, {1, 1, 64, 16}, {.stride = {2, 2}}}};
  for (const Conv2dCase& c : cases) {
    Operands operands(c, Deviates(400));
    ForEachAlgorithm(operands.g, [&](std::string_view algorithm) {
      BatchNormSums sums;
      const Conv2dBackwardInputOptions options = operands.Options(Choice(2), algorithm, &sums);
      const Tensor got = operands.Run(options, workspace);
      EXPECT_TRUE(SameBits(got, operands.Unfused(options, workspace))) << c << " " << algorithm;
      const reference::InputGradient expected = operands.SumsOf(got);
      ExpectNear(sums.grad, expected.grad, 4 * 0x1p-24, "grad");
      ExpectNear(sums.grad_centered, expected.grad_centered, 4 * 0x1p-24, "grad_centered");
    });
  }
}

TEST(Conv2dGradientEpilogueTest, NanAndInfinityComeThrough) {
  const Workspace workspace;
  for (const int64_t groups : {1, 20}) {
    Operands operands({{2, 9, 10, 20}, {3, 3, 20 / groups, 20}, {.groups = groups}}, Deviates(500));
    operands.z[7] = INFINITY;                  // of channel 7
    operands.grad_output[20 * 60] = INFINITY;  // reaches all channels, or of many groups its own
    ForEachTarget([&](const std::string&) {
      ForEachAlgorithm(operands.g, [&](std::string_view algorithm) {
        BatchNormSums sums;
        operands.Run(operands.Options(Choice(0), algorithm, &sums), workspace);
        EXPECT_FALSE(std::isfinite(sums.grad_centered[7])) << algorithm;
        EXPECT_FALSE(std::isfinite(sums.grad[0])) << algorithm;
        EXPECT_EQ(std::isfinite(sums.grad[1]), groups > 1) << algorithm;
      });
    });
  }
  // An input that normalises to NaN or below lets nothing pass, infinity does where there is no upper end.
  const float values[] = {-1.0f, 0.0f, 0.5f, 6.0f, 6.5f, INFINITY, -INFINITY, std::nanf("")};
  const float expected[] = {0, 0, 1, 1, 1, 1, 0, 0}, expected_upper[] = {0, 0, 1, 0, 0, 0, 0, 0};
  const Tensor ones({1, 1, 8, 1}, 1.0f), one({1, 1, 1, 1}, 1.0f), zero({1}, 0.0f), mul({1}, 1.0f);
  Tensor z({1, 1, 8, 1}), grad_input({1, 1, 8, 1});
  std::copy_n(values, 8, z.data());
  ForEachTarget([&](const std::string&) {
    for (const bool of_output : {false, true}) {
      for (const float upper : {INFINITY, 6.0f}) {
        BatchNormSums sums;
        Conv2dGradientEpilogue epilogue{
            .input = z, .mean = zero, .mul = mul, .bias = zero, .relu = true, .upper = upper, .sums = &sums};
        if (of_output) epilogue.output = z;
        Conv2dBackwardInput({}, ones, one, grad_input, workspace, {.epilogue = epilogue});
        for (int64_t i = 0; i < 8; ++i) {
          EXPECT_EQ(grad_input[i], upper == 6.0f ? expected_upper[i] : expected[i]) << values[i] << " upper " << upper;
        }
      }
    }
  });
}

TEST(Conv2dGradientEpilogueTest, PackedFiltersAndPlans) {
  const Workspace workspace;
  Operands operands({{2, 14, 14, 40}, {3, 3, 40, 33}, {}}, Deviates(600));
  const Conv2dGeometry& g = operands.g;
  ForEachAlgorithm(g, [&](std::string_view algorithm) {
    BatchNormSums sums, again;
    const Tensor expected = operands.Run(operands.Options(Choice(2), algorithm, &sums), workspace);
    const PackedConv2dFilter packed(Conv2dPass::kBackwardInput, algorithm, operands.filter, 1, workspace);
    Tensor got(g.input_shape());
    Conv2dBackwardInput({}, operands.grad_output, packed, got, workspace, operands.Options(Choice(2), "", &again));
    EXPECT_TRUE(SameBits(got, expected));
    EXPECT_EQ(again.grad, sums.grad);
    const Conv2dPlan without =
        Conv2dPlan::BackwardInput({}, g.input_shape(), g.filter_shape(), {.algorithm = algorithm});
    const Conv2dPlan with =
        Conv2dPlan::BackwardInput({}, g.input_shape(), g.filter_shape(), {.algorithm = algorithm, .epilogue = true});
    EXPECT_GE(with.temporary_bytes(), without.temporary_bytes() + 2 * g.IC * static_cast<int64_t>(sizeof(double)));
    with.RunBackwardInput(operands.grad_output, operands.filter, got, workspace,
                          operands.Options(Choice(2), "", &again));
    EXPECT_EQ(again.grad_centered, sums.grad_centered);
    EXPECT_THROW(without.RunBackwardInput(operands.grad_output, operands.filter, got, workspace,
                                          operands.Options(Choice(2), "", &again)),
                 std::invalid_argument);
  });
}

TEST(Conv2dGradientEpilogueTest, RefusesBeforeItWrites) {
  const Workspace workspace;
  Operands operands({{1, 5, 6, 8}, {3, 3, 8, 8}, {}}, Deviates(700));
  const Tensor eight({8}, 1.0f), nine({9}, 1.0f), small({1, 5, 6, 7}, 1.0f);
  Tensor grad_input(operands.g.input_shape(), 5.0f);
  BatchNormSums sums;
  const auto refuses = [&](const std::function<void(Conv2dGradientEpilogue&)>& change) {
    Conv2dBackwardInputOptions options = operands.Options(Choice(2), "", &sums);
    change(options.epilogue);
    EXPECT_THROW(Conv2dBackwardInput({}, operands.grad_output, operands.filter, grad_input, workspace, options),
                 std::invalid_argument);
    EXPECT_EQ(std::count(grad_input.data(), grad_input.data() + grad_input.size(), 5.0f), grad_input.size());
    EXPECT_TRUE(sums.grad.empty());
  };
  refuses([&](Conv2dGradientEpilogue& e) { e.input = small; });
  refuses([&](Conv2dGradientEpilogue& e) { e.input = {}; });
  refuses([&](Conv2dGradientEpilogue& e) { e.input = grad_input; });
  refuses([&](Conv2dGradientEpilogue& e) { e.output = small; });
  refuses([&](Conv2dGradientEpilogue& e) { e.output = grad_input; });
  refuses([&](Conv2dGradientEpilogue& e) { e.mean = nine; });
  refuses([&](Conv2dGradientEpilogue& e) { e.mul = {}; });
  refuses([&](Conv2dGradientEpilogue& e) { e.bias = nine; });
  refuses([&](Conv2dGradientEpilogue& e) { e.upper = -1; });
  refuses([&](Conv2dGradientEpilogue& e) { e.sums = nullptr; });
}

}  // namespace
}  // namespace hwynn
