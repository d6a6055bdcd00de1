// Plans: made once and run many times; what memory they say they take; what doesn't depend on the batch.

#include "hwynn/kernels/conv2d_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/kernels/reference/conv2d.h"
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
using testing::RunPass;
using testing::ShapesOf;

constexpr Conv2dPass kPasses[] = {Conv2dPass::kForward, Conv2dPass::kBackwardInput, Conv2dPass::kBackwardFilter};

Conv2dPlan MakePlan(Conv2dPass pass, const Conv2dCase& c, std::string_view algorithm = {}) {
  switch (pass) {
    case Conv2dPass::kForward:
      return Conv2dPlan::Forward(c.params, c.input, c.filter, {.algorithm = algorithm, .statistics = true});
    case Conv2dPass::kBackwardInput:
      return Conv2dPlan::BackwardInput(c.params, c.input, c.filter, {.algorithm = algorithm});
    default:
      return Conv2dPlan::BackwardFilter(c.params, c.input, c.filter, {.algorithm = algorithm});
  }
}

void RunPlan(const Conv2dPlan& plan, ConstTensorView a, ConstTensorView b, TensorView result,
             const Workspace& workspace, const Conv2dEpilogue& epilogue = {}) {
  switch (plan.pass()) {
    case Conv2dPass::kForward:
      return plan.RunForward(a, b, result, workspace, {.epilogue = epilogue});
    case Conv2dPass::kBackwardInput:
      return plan.RunBackwardInput(a, b, result, workspace);
    default:
      return plan.RunBackwardFilter(a, b, result, workspace);
  }
}

bool SameBits(ConstTensorView a, ConstTensorView b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)) == 0;
}

// By several threads at once, on arrays of their own.
TEST(Conv2dPlanTest, RunsManyTimes) {
  for (const Conv2dCase& c : Conv2dCases()) {
    const Conv2dGeometry g = GeometryOf(c);
    for (const Conv2dPass pass : kPasses) {
      const PassShapes shapes = ShapesOf(pass, g);
      for (const std::string_view algorithm : Conv2dAlgorithms(pass)) {
        if (!Conv2dSupports(pass, algorithm, g)) continue;
        const Conv2dPlan plan = MakePlan(pass, c, algorithm);
        EXPECT_EQ(plan.geometry(), g);
        EXPECT_EQ(plan.algorithm(), algorithm);
        std::vector<std::thread> threads;
        for (uint32_t seed = 1; seed <= 2; ++seed) {
          threads.emplace_back([&, seed] {
            const Workspace workspace;
            const Tensor a = Normals(shapes.a, seed);
            const Tensor b = Normals(shapes.b, seed + 10);
            Tensor expected(shapes.result);
            RunPass(pass, c.params, a, b, expected, workspace, algorithm);
            Tensor result(shapes.result);
            RunPlan(plan, a, b, result, workspace);
            EXPECT_TRUE(SameBits(result, expected)) << c << " " << algorithm;
          });
        }
        for (std::thread& thread : threads) thread.join();
      }
    }
  }
}

// What a call takes of an empty workspace is what its plan says, but for the rounding of each array.
TEST(Conv2dPlanTest, KnowsItsTemporaries) {
  std::vector<Conv2dCase> cases = Conv2dCases();
  cases.push_back({{1, 7, 7, 200}, {3, 3, 200, 200}, {}});    // a Winograd filter that is transformed panel by panel
  cases.push_back({{9, 30, 28, 150}, {3, 3, 150, 140}, {}});  // a gradient summed point by point
  for (const Conv2dCase& c : cases) {
    const Conv2dGeometry g = GeometryOf(c);
    const Tensor bias = Normals({g.OC}, 3);
    Tensor mean({g.OC});
    Tensor var({g.OC});
    for (const Conv2dPass pass : kPasses) {
      const PassShapes shapes = ShapesOf(pass, g);
      const Tensor a = Normals(shapes.a, 1);
      const Tensor b = Normals(shapes.b, 2);
      Tensor result(shapes.result);
      for (const std::string_view algorithm : Conv2dAlgorithms(pass)) {
        if (!Conv2dSupports(pass, algorithm, g)) continue;
        const Conv2dPlan plan = MakePlan(pass, c, algorithm);
        const Workspace workspace;
        RunPlan(plan, a, b, result, workspace, {.bias = bias, .mean = mean, .var = var});
        EXPECT_LE(plan.temporary_bytes(), workspace.peak_bytes()) << c << " " << algorithm;
        EXPECT_LE(workspace.peak_bytes(), plan.temporary_bytes() + 8 * 128) << c << " " << algorithm;
        const std::string memory = StrCat("memory: ", plan.scratch_bytes(), " bytes of scratch a thread, ",
                                          plan.temporary_bytes(), " bytes of temporaries\n");
        EXPECT_TRUE(plan.Explain().ends_with(memory)) << plan.Explain();
      }
    }
  }
}

// Zeros between far taps aren't copied, and a prologue is applied before: scratch doesn't grow with the dilation.
TEST(Conv2dPlanTest, ScratchIsBoundedForAnyDilation) {
  constexpr int64_t kFar = std::numeric_limits<int32_t>::max();
  const Workspace workspace;
  const Conv2dCase cases[] = {
      {{1, 5, 6, 3}, {3, 3, 3, 4}, {.dilation = {1000000, 1000000}}},
      {{2, 5, 6, 3}, {3, 3, 3, 4}, {.dilation = {kFar, kFar}}},
      {{1, 5, 6, 17}, {2, 3, 17, 4}, {.dilation = {1, kFar}}},
      {{1, 5, 6, 1024}, {1, 3, 1024, 4}, {.dilation = {1, kFar}}},  // whose pixels are copied apart
      {{1, 3, 6, 4}, {3, 3, 1, 4}, {.dilation = {kFar, 1000000}, .groups = 4}},
      // Taps that meet the image, three of them and two.
      {{1, 1, 1000003, 3}, {1, 2, 3, 2}, {.dilation = {1, 1000000}, .padding = Padding::Explicit(0, 0, 2, 0)}},
      {{1, 1000003, 1, 3}, {2, 1, 3, 2}, {.dilation = {1000000, 1}, .padding = Padding::Valid()}},
      // Few outputs far apart.
      {{1, 1, 2000000, 3}, {1, 3, 3, 2}, {.stride = {1, 9000}}},
  };
  for (const Conv2dCase& c : cases) {
    const Conv2dGeometry g = GeometryOf(c);
    const Tensor x = Integers(g.input_shape(), 1);
    const Tensor w = Integers(g.filter_shape(), 2);
    const Tensor dy = Integers(g.output_shape(), 3);
    const Tensor mean = Integers({g.IC}, 4), mul = Integers({g.IC}, 5), bias = Integers({g.IC}, 6);
    Tensor prologued(g.input_shape());
    for (int64_t i = 0; i < x.size(); ++i) {
      prologued[i] = std::max(0.0f, (x[i] - mean[i % g.IC]) * mul[i % g.IC] + bias[i % g.IC]);
    }
    const reference::Sums expected[] = {reference::Conv2dForward(g, x, w), reference::Conv2dBackwardInput(g, dy, w),
                                        reference::Conv2dBackwardFilter(g, x, dy),
                                        reference::Conv2dForward(g, prologued, w),
                                        reference::Conv2dBackwardFilter(g, prologued, dy)};
    ForEachTarget([&](const std::string&) {
      const auto check = [&](const Tensor& result, const reference::Sums& sums, const char* what) {
        for (int64_t i = 0; i < result.size(); ++i) {
          ASSERT_EQ(result[i], sums.values[static_cast<size_t>(i)]) << what << " " << c << " element " << i;
        }
      };
      for (const Conv2dPass pass : kPasses) {
        const Conv2dPlan plan = MakePlan(pass, c);
        EXPECT_LE(plan.scratch_bytes(), int64_t{8} << 20) << c;
        Tensor result(ShapesOf(pass, g).result);
        RunPlan(plan, pass == Conv2dPass::kBackwardInput ? dy : x, pass == Conv2dPass::kBackwardFilter ? dy : w, result,
                workspace);
        check(result, expected[static_cast<int>(pass)], plan.algorithm().data());
      }
      const Conv2dPrologue prologue{.mean = mean, .mul = mul, .bias = bias, .relu = true};
      const Conv2dPlan plan = Conv2dPlan::Forward(c.params, c.input, c.filter, {.prologue = true});
      EXPECT_LE(plan.scratch_bytes(), int64_t{8} << 20) << c;
      Tensor y(g.output_shape());
      plan.RunForward(x, w, y, workspace, {.prologue = prologue});
      check(y, expected[3], "forward with a prologue");
      const Conv2dPlan gradient = Conv2dPlan::BackwardFilter(c.params, c.input, c.filter, {.prologue = true});
      EXPECT_LE(gradient.scratch_bytes(), int64_t{8} << 20) << c;
      Tensor dw(g.filter_shape());
      gradient.RunBackwardFilter(x, dy, dw, workspace, {.prologue = prologue});
      check(dw, expected[4], "backward-filter with a prologue");
    });
  }
}

// Every image of a batch of 7 has the bits that it has alone, by the algorithm taken and by every other.
TEST(Conv2dPlanTest, ImagesDontDependOnTheirBatch) {
  const Workspace workspace;
  std::vector<Conv2dCase> cases = Conv2dCases();
  // Where a batch takes another algorithm than an image.
  const size_t first_chosen = cases.size();
  cases.push_back({{1, 7, 7, 512}, {3, 3, 512, 512}, {}});
  cases.push_back({{1, 4, 4, 96}, {3, 3, 96, 96}, {}});
  bool chosen_by_batch = false;
  for (size_t i = 0; i < cases.size(); ++i) {
    Conv2dCase c = cases[i];
    c.params.batch_invariant = true;
    Conv2dCase batch = c;
    batch.input = {7, c.input[1], c.input[2], c.input[3]};
    c.input = {1, c.input[1], c.input[2], c.input[3]};
    const Conv2dGeometry g = GeometryOf(c);
    const Tensor w = Normals(c.filter, 1);
    ForEachTarget([&](const std::string&) {
      for (const Conv2dPass pass : {Conv2dPass::kForward, Conv2dPass::kBackwardInput}) {
        chosen_by_batch |= ChooseConv2d(pass, g) != ChooseConv2d(pass, GeometryOf(batch));
        EXPECT_EQ(MakePlan(pass, c).algorithm(), MakePlan(pass, batch).algorithm()) << c;
        const PassShapes shapes = ShapesOf(pass, GeometryOf(batch));
        const Tensor a = Normals(shapes.a, 2);
        std::vector<std::string_view> algorithms{""};
        if (i < first_chosen) {
          for (const std::string_view name : Conv2dAlgorithms(pass)) {
            if (Conv2dSupports(pass, name, g)) algorithms.push_back(name);
          }
        }
        for (const std::string_view algorithm : algorithms) {
          Tensor together(shapes.result);
          RunPass(pass, batch.params, a, w, together, workspace, algorithm);
          Tensor alone(ShapesOf(pass, g).result);
          for (int64_t n = 0; n < 7; ++n) {
            RunPass(pass, c.params, a.view().Rows(n, 1), w, alone, workspace, algorithm);
            ASSERT_TRUE(SameBits(alone, std::as_const(together).view().Rows(n, 1)))
                << c << " " << algorithm << " image " << n;
          }
        }
      }
    });
  }
  EXPECT_TRUE(chosen_by_batch);
}

// Also where the filter isn't finite: a tap in the padding is left out, or it multiplies zeros, by one image's size.
TEST(Conv2dPlanTest, ImagesDontDependOnTheirBatchBesideInfinity) {
  const Workspace workspace;
  Tensor w = Normals({3, 3, 20, 5}, 1);
  w[(3 * 20 + 1) * 5 + 2] = std::numeric_limits<float>::infinity();  // of the tap left of the middle
  const Tensor x = Normals({7, 1, 6, 20}, 2);
  const Conv2dParams params{.batch_invariant = true};
  Tensor together({7, 1, 6, 5});
  Tensor alone({1, 1, 6, 5});
  ForEachTarget([&](const std::string&) {
    Conv2dForward(params, x, w, together, workspace, {.algorithm = "direct"});
    for (int64_t n = 0; n < 7; ++n) {
      Conv2dForward(params, x.view().Rows(n, 1), w, alone, workspace, {.algorithm = "direct"});
      EXPECT_TRUE(SameBits(alone, std::as_const(together).view().Rows(n, 1))) << n;
    }
  });
}

TEST(Conv2dPlanTest, RefusesWhatItIsNotFor) {
  const Workspace workspace;
  const Shape input{1, 8, 8, 4};
  const Shape filter{3, 3, 4, 6};
  const Tensor x = Integers(input, 1), w = Integers(filter, 2), dy = Integers({1, 8, 8, 6}, 3), ones({6}, 1.0f);
  Tensor y({1, 8, 8, 6}), dx(input), dw(filter), mean({6}), var({6}), together({2, 8, 8, 6});
  const auto fails = [](const auto& call, std::string_view text) {
    try {
      call();
      ADD_FAILURE() << "expected: " << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  };
  const Conv2dPlan plan = Conv2dPlan::Forward({}, input, filter);
  fails([&] { plan.RunBackwardInput(dy, w, dx, workspace); }, "the plan is for Conv2dForward");
  fails([&] { plan.RunBackwardFilter(x, dy, dw, workspace); }, "the plan is for Conv2dForward");
  fails([&] { plan.RunForward(y, w, y, workspace); }, "input must be [1,8,8,4], is [1,8,8,6]");
  fails([&] { plan.RunForward(x, dw.view().Reshaped({3, 3, 6, 4}), y, workspace); }, "filter must be [3,3,4,6]");
  fails([&] { plan.RunForward(x, w, y, workspace, {.prologue = {.relu = true}}); }, "without a prologue");
  fails([&] { plan.RunForward(x, w, y, workspace, {.epilogue = {.mean = mean, .var = var}}); }, "without statistics");
  fails([&] { plan.RunForward(x, w, y, workspace, {.algorithm = "direct_depthwise"}); }, "isn't the plan's");
  const PackedConv2dFilter packed(Conv2dPass::kForward, plan.algorithm(), w, 1, workspace);
  fails([&] { plan.RunForward(x, packed, y, workspace); }, "isn't for packed filters");
  const Conv2dPlan for_packed = Conv2dPlan::Forward({}, input, filter, {.algorithm = "direct", .packed_filter = true});
  fails([&] { for_packed.RunForward(x, w, y, workspace); }, "is for packed filters");
  const PackedConv2dFilter other(Conv2dPass::kForward, "winograd_f2x2", w, 1, workspace);
  fails([&] { for_packed.RunForward(x, other, y, workspace); }, "packed for winograd_f2x2");
  // One element of an operand would be overwritten.
  Tensor memory({x.size() + y.size() - 1}, 1.0f);
  const TensorView overlapping(memory.data() + x.size() - 1, y.shape());
  fails([&] { plan.RunForward({memory.data(), input}, w, overlapping, workspace); }, "output overlaps the input");
  fails(
      [&] {
        plan.RunForward(x, {overlapping.data(), filter}, overlapping, workspace);
      },
      "output overlaps the filter");
  const ConstTensorView shifted(together.data() + 1, y.shape());
  fails(
      [&] {
        plan.RunForward(x, w, {together.data(), y.shape()}, workspace, {.epilogue = {.residual = shifted}});
      },
      "overlaps the residual");
  const Conv2dPlan backward = Conv2dPlan::BackwardInput({}, {1, 8, 8, 6}, {3, 3, 6, 6});
  const Tensor square = Integers({3, 3, 6, 6}, 4);
  fails([&] { backward.RunBackwardInput(y, square, y, workspace); }, "grad_input overlaps grad_output");
  const Conv2dPlan gradient = Conv2dPlan::BackwardFilter({}, input, filter);
  fails([&] { gradient.RunBackwardFilter(x, y, {y.data(), filter}, workspace); }, "grad_filter overlaps grad_output");
  fails([&] { gradient.RunBackwardFilter(x, dy, dw, workspace, {.prologue = {.relu = true}}); }, "without a prologue");
  fails([&] { gradient.RunBackwardFilter(x, dy, dw, workspace, {.prologue = {.mean = mean}}); },
        "prologue mean must be [4], is [6]");
  fails([&] { gradient.RunBackwardFilter(x, dy, dw, workspace, {.algorithm = "direct_depthwise"}); },
        "isn't the plan's");
  ForEachTarget([&](const std::string& target) {
    if (target != plan.target()) fails([&] { plan.RunForward(x, w, y, workspace); }, "the plan was made on");
  });
}

}  // namespace
}  // namespace hwynn
