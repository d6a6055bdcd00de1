// What surrounds the product: filters packed before, gradients that are added up.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d.h"
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

TEST(Conv2dPackedTest, PackedFiltersKnowWhatTheyAreFor) {
  const Workspace workspace;
  const Tensor filter = Integers({3, 3, 4, 6}, 50);
  const Tensor x = Integers({1, 8, 8, 4}, 51);
  Tensor y({1, 8, 8, 6});
  const auto fails = [&](const PackedConv2dFilter& packed, const Conv2dParams& params, std::string_view text) {
    try {
      Conv2dForward(params, x, packed, y, workspace);
      ADD_FAILURE() << "expected: " << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  };
  const Shape shape = x.shape();
  fails({}, {}, "packed filter is empty");
  fails(PackConv2dFilter(Conv2dPass::kBackwardInput, {}, shape, filter, workspace), {}, "another pass");
  fails(PackConv2dFilter(Conv2dPass::kForward, {}, {1, 9, 8, 4}, filter, workspace), {}, "other strides");
  fails(PackConv2dFilter(Conv2dPass::kForward, {}, shape, filter, workspace), {.dilation = {2, 1}}, "other strides");
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
