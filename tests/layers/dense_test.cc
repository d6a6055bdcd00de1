#include "hwynn/layers/dense.h"

#include <gtest/gtest.h>

#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::CheckGradients;
using testing::Describe;
using testing::ExpectError;
using testing::FillIntegers;
using testing::ModuleBed;
using testing::Normals;

TEST(DenseTest, MultipliesTheLastAxis) {
  const Dense dense({.features = 3});
  ModuleBed bed(dense, {2, 3, 4});
  FillIntegers(bed.input, 1);
  Collection& params = GetCollection(bed.variables, kParams);
  EXPECT_EQ(Describe(params), (std::vector<std::string>{"bias[3]", "kernel[4,3]"}));
  Tensor& kernel = params.find("kernel")->second;
  Tensor& bias = params.find("bias")->second;
  FillIntegers(kernel, 2);
  FillIntegers(bias, 3);
  const Activation output = bed.Forward(Mode::kEval);
  ASSERT_EQ(output->shape(), Shape({2, 3, 3}));
  for (int64_t row = 0; row < 6; ++row) {
    for (int64_t f = 0; f < 3; ++f) {
      float expected = bias[f];
      for (int64_t c = 0; c < 4; ++c) expected += bed.input[row * 4 + c] * kernel[c * 3 + f];
      EXPECT_EQ((*output)[row * 3 + f], expected) << row << "," << f;
    }
  }
}

TEST(DenseTest, Gradients) {
  CheckGradients(Dense({.features = 5}), {7, 4});
  CheckGradients(Dense({.features = 17, .use_bias = false}), {3, 2, 2, 9});
}

TEST(DenseTest, FirstLayerNeedsNoInputGradient) {
  const Dense first({.features = 5, .input_gradient = false});
  const Dense other({.features = 5});
  ModuleBed first_bed(first, {7, 4});
  ModuleBed other_bed(other, {7, 4});
  const Tensor grad = Normals({7, 5}, 3);
  EXPECT_TRUE(first_bed.Backward(Mode::kTrain, grad).empty());
  EXPECT_EQ(other_bed.Backward(Mode::kTrain, grad).shape(), Shape({7, 4}));
  for (const auto& [path, gradient] : first_bed.gradients) {
    EXPECT_EQ(testing::MaxDifference(gradient, other_bed.gradients.at(path)), 0.0) << path;
  }
}

TEST(DenseTest, NamesWrongShapes) {
  const Dense dense({.features = 5});
  const ModuleBed bed(dense, {7, 4});
  ExpectError<std::invalid_argument>(
      [&] {
        Predict(dense, bed.variables, Normals({7, 6}, 1), bed.workspace);
      },
      {"Dense", "[7,6]", "[4,5]"});
  ExpectError<std::invalid_argument>([&] { Init(dense, KeyFromSeed(0), {4}); }, {"Dense", "[4]"});
  ExpectError<std::invalid_argument>([&] { Dense({}); }, {"features (0)"});
}

}  // namespace
}  // namespace hwynn
