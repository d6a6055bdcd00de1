// Statistics of outputs that are so large that they are stored past the caches, of more channels than wait at once
// (the others: conv2d_epilogue_test).

#include <gtest/gtest.h>

#include <string_view>

#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/tests/kernels/conv2d_cases.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::Conv2dCase;
using testing::ForEachAlgorithm;
using testing::GeometryOf;
using testing::Normals;

TEST(Conv2dStatisticsTest, OfLargeOutputs) {
  const Workspace workspace;
  // 80 and 176 are whole cache lines, but neither 64 nor a half or a third of them is.
  const Conv2dCase cases[] = {{{8, 112, 112, 16}, {3, 3, 16, 80}, {}},
                              {{4, 112, 112, 16}, {3, 3, 16, 176}, {}},
                              {{8, 112, 112, 16}, {1, 1, 16, 80}, {}}};
  for (const Conv2dCase& c : cases) {
    const Conv2dGeometry g = GeometryOf(c);
    const Tensor input = Normals(g.input_shape(), 1, 0.5f);
    const Tensor filter = Normals(g.filter_shape(), 2);
    ForEachAlgorithm(Conv2dPass::kForward, g, [&](std::string_view algorithm) {
      Tensor output = workspace.NewTensor(g.output_shape());
      Tensor mean({g.OC}), var({g.OC}), expected_mean({g.OC}), expected_var({g.OC});
      Conv2dForward(c.params, input, filter, output, workspace,
                    {.epilogue = {.mean = mean, .var = var}, .algorithm = algorithm});
      BatchNormStatistics(output, Variance::kTwoPass, expected_mean, expected_var, workspace);
      for (int64_t i = 0; i < g.OC; ++i) {
        ASSERT_NEAR(mean[i], expected_mean[i], 1e-5f) << c << " " << algorithm << " " << i;
        ASSERT_NEAR(var[i], expected_var[i], 1e-6f * expected_var[i]) << c << " " << algorithm << " " << i;
      }
    });
  }
}

}  // namespace
}  // namespace hwynn
