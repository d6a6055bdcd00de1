#include "hwynn/models/mlp.h"

#include <gtest/gtest.h>

#include "hwynn/tests/support/double_net.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::CheckAgainstDouble;
using testing::CheckGradients;
using testing::Describe;
using testing::DoubleArray;
using testing::DoubleNet;
using testing::ExpectError;
using testing::ModuleBed;
using testing::Normals;

using Lines = std::vector<std::string>;

// The model of Flax's BatchNorm guide; the sums are those of Flax's values for seed 0.
TEST(MlpTest, IsTheGuidesModel) {
  const Variables variables = Init(Mlp({.features = {4, 1}}), KeyFromSeed(0), {1, 3});
  const Collection& params = GetCollection(variables, kParams);
  EXPECT_EQ(Describe(params), (Lines{"BatchNorm_0/bias[4]", "BatchNorm_0/scale[4]", "Dense_0/bias[4]",
                                     "Dense_0/kernel[3,4]", "Dense_1/bias[1]", "Dense_1/kernel[4,1]"}));
  EXPECT_EQ(Describe(GetCollection(variables, kBatchStats)), (Lines{"BatchNorm_0/mean[4]", "BatchNorm_0/var[4]"}));
  double sum = 0;
  for (const float value : params.find("Dense_0/kernel")->second.span()) sum += double{value};
  EXPECT_NEAR(sum, 0.178142773, 1e-8);
  sum = 0;
  for (const float value : params.find("Dense_1/kernel")->second.span()) sum += double{value};
  EXPECT_NEAR(sum, -0.168095031, 1e-8);
}

TEST(MlpTest, FlattensImages) {
  const Mlp mlp;
  const Variables variables = Init(mlp, KeyFromSeed(0), {1, 28, 28, 1});
  EXPECT_EQ(GetCollection(variables, kParams).find("Dense_0/kernel")->second.shape(), Shape({784, 256}));
  EXPECT_EQ(Predict(mlp, variables, Normals({5, 28, 28, 1}, 1), Workspace())->shape(), Shape({5, 10}));
}

TEST(MlpTest, WithoutBatchNormHasNoStatistics) {
  const Mlp mlp({.features = {6, 5, 3}, .batch_norm = false, .input_gradient = true});
  const Variables variables = Init(mlp, KeyFromSeed(0), {2, 3, 4});
  EXPECT_FALSE(variables.contains(kBatchStats));
  EXPECT_EQ(GetCollection(variables, kParams).size(), 6U);
  CheckAgainstDouble(mlp, {64, 3, 4}, Mode::kTrain, [](const DoubleNet& net, const DoubleArray& input) {
    DoubleArray x = DoubleNet::Relu(net.Dense("Dense_0", DoubleNet::Reshaped(input, {64, 12})));
    x = DoubleNet::Relu(net.Dense("Dense_1", x));
    return net.Dense("Dense_2", x);
  });
}

TEST(MlpTest, Gradients) {
  for (const Mode mode : {Mode::kTrain, Mode::kEval}) {
    CheckAgainstDouble(Mlp({.features = {6, 5, 3}, .input_gradient = true}), {64, 3, 4}, mode,
                       [](const DoubleNet& net, const DoubleArray& input) {
                         DoubleArray x = net.Dense("Dense_0", DoubleNet::Reshaped(input, {64, 12}));
                         x = net.Dense("Dense_1", DoubleNet::Relu(net.BatchNorm("BatchNorm_0", x)));
                         return net.Dense("Dense_2", DoubleNet::Relu(net.BatchNorm("BatchNorm_1", x)));
                       });
  }
  CheckGradients(Mlp({.features = {3}}), {8, 4});
}

TEST(MlpTest, FirstLayerNeedsNoInputGradient) {
  const Mlp mlp({.features = {6, 3}});
  ModuleBed bed(mlp, {8, 2, 2});
  EXPECT_TRUE(bed.Backward(Mode::kTrain, Normals({8, 3}, 1)).empty());
  ExpectError<std::invalid_argument>([] { Mlp({.features = {}}); }, {"features"});
}

}  // namespace
}  // namespace hwynn
