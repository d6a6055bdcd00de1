#include "hwynn/layers/residual.h"

#include <gtest/gtest.h>

#include "hwynn/tests/support/double_net.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::CheckAgainstDouble;
using testing::Describe;
using testing::DoubleArray;
using testing::DoubleNet;
using testing::ExpectError;
using testing::MaxDifference;
using testing::ModuleBed;
using testing::Normals;

using Lines = std::vector<std::string>;

TEST(ResidualTest, TreesAreFlax) {
  Variables variables = Init(ResNetBlock({.filters = 8, .stride = 2}), KeyFromSeed(0), {1, 8, 8, 4});
  EXPECT_EQ(Describe(GetCollection(variables, kParams)),
            (Lines{"BatchNorm_0/bias[8]", "BatchNorm_0/scale[8]", "BatchNorm_1/bias[8]", "BatchNorm_1/scale[8]",
                   "Conv_0/kernel[3,3,4,8]", "Conv_1/kernel[3,3,8,8]", "conv_proj/kernel[1,1,4,8]", "norm_proj/bias[8]",
                   "norm_proj/scale[8]"}));
  variables = Init(BottleneckResNetBlock({.filters = 4}), KeyFromSeed(0), {1, 8, 8, 16});
  EXPECT_EQ(Describe(GetCollection(variables, kParams)),
            (Lines{"BatchNorm_0/bias[4]", "BatchNorm_0/scale[4]", "BatchNorm_1/bias[4]", "BatchNorm_1/scale[4]",
                   "BatchNorm_2/bias[16]", "BatchNorm_2/scale[16]", "Conv_0/kernel[1,1,16,4]", "Conv_1/kernel[3,3,4,4]",
                   "Conv_2/kernel[1,1,4,16]"}));
}

// A stride alone makes no projection: one pixel stays one pixel.
TEST(ResidualTest, ProjectsWhereTheShapeChanges) {
  const auto projects = [](const Module& block, const Shape& input) {
    const Variables variables = Init(block, KeyFromSeed(0), input);
    const Shape output = Predict(block, variables, Normals(input, 1), Workspace())->shape();
    const bool projected = GetCollection(variables, kParams).contains("conv_proj/kernel");
    EXPECT_EQ(projected, output != input) << input.ToString();
    return projected;
  };
  const ResNetBlock block({.filters = 4, .stride = 2});
  EXPECT_FALSE(projects(block, {1, 1, 1, 4}));
  EXPECT_TRUE(projects(block, {1, 2, 1, 4}));
  EXPECT_TRUE(projects(block, {1, 1, 2, 4}));
  EXPECT_TRUE(projects(block, {1, 1, 1, 3}));
  EXPECT_FALSE(projects(ResNetBlock({.filters = 4}), {1, 5, 6, 4}));
  EXPECT_TRUE(projects(ResNetBlock({.filters = 4}), {1, 5, 6, 5}));
  const BottleneckResNetBlock bottleneck({.filters = 2, .stride = 2});
  EXPECT_FALSE(projects(bottleneck, {1, 1, 1, 8}));
  EXPECT_TRUE(projects(bottleneck, {1, 1, 1, 2}));
  EXPECT_TRUE(projects(bottleneck, {1, 3, 3, 8}));
}

// The last scale starts at 0: a new block without a projection is relu(input).
TEST(ResidualTest, StartsAsTheIdentity) {
  const ResNetBlock block({.filters = 4});
  const Variables variables = Init(block, KeyFromSeed(0), {2, 6, 6, 4});
  const Tensor input = Normals({2, 6, 6, 4}, 1);
  const Activation output = Predict(block, variables, input, Workspace());
  for (int64_t i = 0; i < input.size(); ++i) EXPECT_EQ((*output)[i], input[i] > 0 ? input[i] : 0.0f);
}

TEST(ResidualTest, Gradients) {
  for (const Mode mode : {Mode::kTrain, Mode::kEval}) {
    for (const int64_t stride : {1, 2}) {
      const auto basic = [&](const DoubleNet& net, const DoubleArray& x) { return net.ResNetBlock("", x, stride); };
      const auto bottleneck = [&](const DoubleNet& net, const DoubleArray& x) {
        return net.BottleneckResNetBlock("", x, stride);
      };
      CheckAgainstDouble(ResNetBlock({.filters = 4, .stride = stride}), {16, 8, 8, 4}, mode, basic);
      CheckAgainstDouble(ResNetBlock({.filters = 6, .stride = stride}), {8, 7, 5, 4}, mode, basic);
      CheckAgainstDouble(BottleneckResNetBlock({.filters = 2, .stride = stride}), {16, 8, 8, 8}, mode, bottleneck);
      CheckAgainstDouble(BottleneckResNetBlock({.filters = 4, .stride = stride}), {8, 8, 6, 4}, mode, bottleneck);
    }
  }
}

// Groups, a width of its own, and the projection of ResNet-D, with odd extents too.
TEST(ResidualTest, GradientsOfItsKin) {
  for (const Mode mode : {Mode::kTrain, Mode::kEval}) {
    for (const int64_t stride : {1, 2}) {
      for (const bool pools : {false, true}) {
        const auto basic = [&](const DoubleNet& net, const DoubleArray& x) {
          return net.ResNetBlock("", x, stride, pools);
        };
        const auto bottleneck = [&](const DoubleNet& net, const DoubleArray& x) {
          return net.BottleneckResNetBlock("", x, stride, pools);
        };
        CheckAgainstDouble(ResNetBlock({.filters = 6, .stride = stride, .average_projection = pools}), {8, 7, 5, 4},
                           mode, basic);
        CheckAgainstDouble(BottleneckResNetBlock(
                               {.filters = 2, .stride = stride, .groups = 3, .width = 6, .average_projection = pools}),
                           {8, 8, 7, 4}, mode, bottleneck);
        CheckAgainstDouble(
            BottleneckResNetBlock({.filters = 2, .stride = stride, .width = 5, .average_projection = pools}),
            {8, 8, 6, 8}, mode, bottleneck);
      }
    }
  }
}

TEST(ResidualTest, TreesOfItsKin) {
  const BottleneckResNetBlock block({.filters = 4, .stride = 2, .groups = 2, .width = 6, .average_projection = true});
  EXPECT_EQ(
      Describe(GetCollection(Init(block, KeyFromSeed(0), {1, 8, 8, 4}), kParams)),
      (Lines{"BatchNorm_0/bias[6]", "BatchNorm_0/scale[6]", "BatchNorm_1/bias[6]", "BatchNorm_1/scale[6]",
             "BatchNorm_2/bias[16]", "BatchNorm_2/scale[16]", "Conv_0/kernel[1,1,4,6]", "Conv_1/kernel[3,3,3,6]",
             "Conv_2/kernel[1,1,6,16]", "conv_proj/kernel[1,1,4,16]", "norm_proj/bias[16]", "norm_proj/scale[16]"}));
  ExpectError<std::invalid_argument>([] { ResNetBlock({.filters = 4, .groups = 2}); }, {"a bottleneck's"});
  ExpectError<std::invalid_argument>([] { ResNetBlock({.filters = 4, .width = 8}); }, {"a bottleneck's"});
}

// A stride that changes no extent needs no projection: Flax compares shapes.
TEST(ResidualTest, AStrideOverOnePixelIsRight) {
  CheckAgainstDouble(ResNetBlock({.filters = 4, .stride = 2}), {5, 1, 1, 4}, Mode::kTrain,
                     [](const DoubleNet& net, const DoubleArray& x) { return net.ResNetBlock("", x, 2); });
}

// On even extents SAME's windows start one pixel later than PyTorch's.
TEST(ResidualTest, PaddingRulesDifferAtStride2) {
  const ResNetBlock flax({.filters = 4, .stride = 2});
  const ResNetBlock torch({.filters = 4, .stride = 2, .padding = PaddingRule::kPyTorch});
  const ModuleBed bed(flax, {2, 8, 8, 4});
  const Activation a = Predict(flax, bed.variables, bed.input, bed.workspace);
  const Activation b = Predict(torch, bed.variables, bed.input, bed.workspace);
  EXPECT_EQ(a->shape(), b->shape());
  EXPECT_GT(MaxDifference(*a, *b), 0.1);
}

}  // namespace
}  // namespace hwynn
