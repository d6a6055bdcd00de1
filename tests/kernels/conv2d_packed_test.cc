// What surrounds the product: filters packed before, gradients that are added up.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d_plan.h"
#include "hwynn/kernels/reference/conv2d.h"
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

TEST(Conv2dPackedTest, PackedFiltersGiveTheSameBits) {
  const Workspace workspace;
  for (const Conv2dCase& c : Conv2dCases()) {
    const Conv2dGeometry g = GeometryOf(c);
    const Tensor filter = Normals(g.filter_shape(), 40);
    ForEachTarget([&](const std::string&) {
      for (const Conv2dPass pass : {Conv2dPass::kForward, Conv2dPass::kBackwardInput}) {
        const PassShapes shapes = ShapesOf(pass, g);
        const Tensor a = Normals(shapes.a, 41);
        for (const std::string_view algorithm : Conv2dAlgorithms(pass)) {
          if (!Conv2dSupports(pass, algorithm, g)) continue;
          Tensor expected(shapes.result);
          RunPass(pass, c.params, a, filter, expected, workspace, algorithm);
          // Packed for another batch.
          const Shape input{c.input[0] + 1, c.input[1], c.input[2], c.input[3]};
          const PackedConv2dFilter packed = PackConv2dFilter(pass, c.params, input, filter, workspace, algorithm);
          EXPECT_EQ(packed.algorithm(), algorithm);
          EXPECT_GE(packed.bytes(), filter.size() * 4);
          for (int call = 0; call < 2; ++call) {
            Tensor result(shapes.result);
            Poison(workspace);
            if (pass == Conv2dPass::kForward) {
              Conv2dForward(c.params, a, packed, result, workspace);
            } else {
              Conv2dBackwardInput(c.params, a, packed, result, workspace);
            }
            ASSERT_EQ(std::memcmp(result.data(), expected.data(), static_cast<size_t>(result.size()) * 4), 0)
                << c << " " << algorithm;
          }
        }
      }
    });
  }
}

// One serves all sizes of images, strides, dilations and padding. Backward-input's taps come by phases of the stride,
// which depend on all of them.
TEST(Conv2dPackedTest, OnePackedFilterServesAllImages) {
  const Workspace workspace;
  struct PackedCase {
    Shape filter_shape;
    int64_t groups;
  };
  const PackedCase filters[] = {{{3, 3, 20, 70}, 1}, {{3, 2, 4, 9}, 3}, {{1, 1, 33, 18}, 1}, {{3, 3, 1, 17}, 17}};
  const Conv2dParams calls[] = {{},
                                {.padding = Padding::Valid()},
                                {.stride = {2, 2}},
                                {.stride = {2, 3}, .padding = Padding::Explicit(0, 1, 2, 0)},
                                {.stride = {1, 2}, .dilation = {2, 1}, .padding = Padding::Symmetric(2)},
                                {.dilation = {3, 2}, .padding = Padding::Explicit(3, 2, -1, 4)}};
  for (const PackedCase& packed_case : filters) {
    const Shape& filter_shape = packed_case.filter_shape;
    const int64_t groups = packed_case.groups;
    const Tensor filter = Normals(filter_shape, 42);
    ForEachTarget([&](const std::string&) {
      for (const Conv2dPass pass : {Conv2dPass::kForward, Conv2dPass::kBackwardInput}) {
        for (const std::string_view algorithm : Conv2dAlgorithms(pass)) {
          const int64_t ic = filter_shape[2] * groups;
          const Conv2dGeometry smallest = ResolveConv2d("test", {.groups = groups}, {1, 1, 1, ic}, filter_shape);
          if (!Conv2dSupports(pass, algorithm, smallest)) continue;
          const PackedConv2dFilter packed(pass, algorithm, filter, groups, workspace);
          for (Conv2dParams params : calls) {
            params.groups = groups;
            for (const Shape& input : {Shape{1, 7, 9, ic}, Shape{3, 8, 6, ic}, Shape{1, 15, 14, ic}}) {
              const Conv2dGeometry g = ResolveConv2d("test", params, input, filter_shape);
              if (!Conv2dSupports(pass, algorithm, g)) continue;
              const PassShapes shapes = ShapesOf(pass, g);
              const Tensor a = Normals(shapes.a, 43);
              Tensor expected(shapes.result);
              Tensor result(shapes.result);
              RunPass(pass, params, a, filter, expected, workspace, algorithm);
              if (pass == Conv2dPass::kForward) {
                Conv2dForward(params, a, packed, result, workspace);
              } else {
                Conv2dBackwardInput(params, a, packed, result, workspace);
              }
              ASSERT_EQ(std::memcmp(result.data(), expected.data(), static_cast<size_t>(result.size()) * 4), 0)
                  << Conv2dCase{input, filter_shape, params} << " " << algorithm;
            }
          }
        }
      }
    });
  }
}

TEST(Conv2dPackedTest, PackedFiltersKnowWhatTheyAreFor) {
  const Workspace workspace;
  const Tensor filter = Integers({3, 3, 4, 6}, 50);
  const Tensor x = Integers({1, 8, 8, 4}, 51);
  Tensor y({1, 8, 8, 6});
  constexpr std::string_view kWinograd = "winograd_f4x4";
  const auto fails = [&](const PackedConv2dFilter& packed, const Conv2dParams& params, std::string_view text,
                         std::string_view algorithm = {}) {
    try {
      Conv2dForward(params, x, packed, y, workspace, {.algorithm = algorithm});
      ADD_FAILURE() << "expected: " << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  };
  const Shape shape = x.shape();
  fails({}, {}, "packed filter is empty");
  fails(PackConv2dFilter(Conv2dPass::kBackwardInput, {}, shape, filter, workspace), {}, "another pass");
  const Tensor narrow = Integers({3, 3, 2, 6}, 52);
  fails(PackConv2dFilter(Conv2dPass::kForward, {.groups = 2}, shape, narrow, workspace), {}, "filter IC (2)");
  const PackedConv2dFilter transformed =
      PackConv2dFilter(Conv2dPass::kForward, {}, shape, filter, workspace, kWinograd);
  fails(transformed, {.stride = {2, 1}}, "\"winograd_f4x4\" declines");
  fails(transformed, {.precision = Precision::kHighest}, "rounds more than precision kHighest allows");
  fails(transformed, {}, "the filter was packed for winograd_f4x4", "direct");
  EXPECT_THROW(PackedConv2dFilter(Conv2dPass::kForward, kWinograd, narrow, 2, workspace), std::invalid_argument);
  EXPECT_THROW(PackConv2dFilter(Conv2dPass::kBackwardFilter, {}, shape, filter, workspace), std::invalid_argument);
  const std::string before = CurrentTarget();
  const PackedConv2dFilter packed = PackConv2dFilter(Conv2dPass::kForward, {}, shape, filter, workspace);
  ForEachTarget([&](const std::string& target) {
    if (target != before) fails(packed, {}, StrCat("packed on ", before));
  });
}

// Also the inputs that no output reaches, and those beyond the last stride.
TEST(Conv2dPackedTest, BackwardInputAccumulates) {
  const Workspace workspace;
  constexpr Conv2dPass kPass = Conv2dPass::kBackwardInput;
  std::vector<Conv2dCase> cases = Conv2dCases();
  // So large that results pass the caches by where they aren't added to.
  cases.push_back({{1, 313, 321, 64}, {1, 1, 64, 2}, {.stride = {2, 2}}});
  cases.push_back({{1, 313, 321, 64}, {3, 3, 64, 2}, {}});
  cases.push_back({{1, 313, 321, 64}, {3, 3, 1, 64}, {.stride = {2, 2}, .groups = 64}});
  cases.push_back({{1, 7, 7, 200}, {3, 3, 200, 200}, {}});  // whose Winograd filter is transformed panel by panel
  for (const Conv2dCase& c : cases) {
    const Conv2dGeometry g = GeometryOf(c);
    const Tensor dy = Integers(g.output_shape(), 70);
    const Tensor w = Integers(g.filter_shape(), 71);
    const Tensor before = Integers(g.input_shape(), 72);
    const reference::Sums sums = reference::Conv2dBackwardInput(g, dy, w);
    ForEachTarget([&](const std::string&) {
      for (const std::string_view algorithm : Conv2dAlgorithms(kPass)) {
        if (!Conv2dSupports(kPass, algorithm, g)) continue;
        Tensor dx = before.Clone();
        Conv2dBackwardInput(c.params, dy, w, dx, workspace, {.accumulate = true, .algorithm = algorithm});
        const double tolerance = algorithm.starts_with("winograd") ? 0.01 : 0;
        for (int64_t i = 0; i < dx.size(); ++i) {
          ASSERT_NEAR(dx[i], before[i] + sums.values[static_cast<size_t>(i)], tolerance)
              << c << " " << algorithm << " element " << i;
        }
        const PackedConv2dFilter packed = PackConv2dFilter(kPass, c.params, c.input, w, workspace, algorithm);
        Tensor from_packed = before.Clone();
        Conv2dBackwardInput(c.params, dy, packed, from_packed, workspace, {.accumulate = true});
        ASSERT_EQ(std::memcmp(from_packed.data(), dx.data(), static_cast<size_t>(dx.size()) * sizeof(float)), 0)
            << c << " " << algorithm;
      }
    });
  }
}

}  // namespace
}  // namespace hwynn
