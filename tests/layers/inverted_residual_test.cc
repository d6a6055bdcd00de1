#include "hwynn/layers/inverted_residual.h"

#include <gtest/gtest.h>

#include <cmath>

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
using testing::ModuleBed;
using testing::Normals;

using Lines = std::vector<std::string>;

TEST(InvertedResidualTest, Trees) {
  const auto tree = [](const InvertedResidualOptions& options) {
    return Describe(GetCollection(Init(InvertedResidual(4, options), KeyFromSeed(0), {1, 8, 8, 4}), kParams));
  };
  EXPECT_EQ(tree({.channels = 5, .expansion = 2}),
            (Lines{"BatchNorm_0/bias[8]", "BatchNorm_0/scale[8]", "BatchNorm_1/bias[8]", "BatchNorm_1/scale[8]",
                   "BatchNorm_2/bias[5]", "BatchNorm_2/scale[5]", "Conv_0/kernel[1,1,4,8]", "Conv_1/kernel[3,3,1,8]",
                   "Conv_2/kernel[1,1,8,5]"}));
  EXPECT_EQ(tree({.channels = 5, .expansion = 1}),
            (Lines{"BatchNorm_0/bias[4]", "BatchNorm_0/scale[4]", "BatchNorm_1/bias[5]", "BatchNorm_1/scale[5]",
                   "Conv_0/kernel[3,3,1,4]", "Conv_1/kernel[1,1,4,5]"}));
}

TEST(InvertedResidualTest, Gradients) {
  for (const Mode mode : {Mode::kTrain, Mode::kEval}) {
    for (const int64_t stride : {1, 2}) {
      for (const int64_t expansion : {1, 3}) {
        for (const int64_t channels : {4, 6}) {  // the input has 4: with stride 1 it is added
          SCOPED_TRACE(StrCat("stride ", stride, " expansion ", expansion, " channels ", channels));
          const InvertedResidual block(4, {.channels = channels, .expansion = expansion, .stride = stride});
          CheckAgainstDouble(block, {8, 7, 6, 4}, mode, [&](const DoubleNet& net, const DoubleArray& x) {
            return net.InvertedResidual("", x, stride);
          });
        }
      }
    }
  }
}

// Large scales, so that many values are above 6, where no gradient passes.
TEST(InvertedResidualTest, ClipsAtSix) {
  Sequential scaled;
  scaled.Add(BatchNorm()).Add(InvertedResidual(3, {.channels = 3, .expansion = 2}));
  ModuleBed fused(scaled, {4, 9, 9, 3}), plain(scaled, {4, 9, 9, 3});
  plain.fusion = false;
  for (ModuleBed* bed : {&fused, &plain}) {
    for (const char* path : {"InvertedResidual_0/BatchNorm_0/bias", "InvertedResidual_0/BatchNorm_1/bias"}) {
      for (float& value : GetCollection(bed->variables, kParams).at(path).span()) value = 6.0f;
    }
  }
  const Tensor grad_output = Normals({4, 9, 9, 3}, 7);
  const Tensor a = fused.Backward(Mode::kTrain, grad_output), b = plain.Backward(Mode::kTrain, grad_output);
  EXPECT_LT(testing::MaxDifference(a, b), 1e-5);
  // About half of the values are clipped: without the ends the gradients would be others.
  double sum = 0;
  for (const float g : fused.gradients.at("InvertedResidual_0/BatchNorm_1/bias").span()) sum += std::abs(double{g});
  EXPECT_GT(sum, 1e-3);
  for (const auto& [path, gradient] : plain.gradients) {
    EXPECT_LT(testing::MaxDifference(gradient, fused.gradients.at(path)), 2e-4) << path;
  }
}

TEST(InvertedResidualTest, RefusesOtherInputs) {
  const InvertedResidual block(4, {.channels = 4});
  ExpectError<std::invalid_argument>([&] { Init(block, KeyFromSeed(0), {1, 8, 8, 5}); }, {"[N,H,W,4]"});
  ExpectError<std::invalid_argument>([&] { Init(block, KeyFromSeed(0), {1, 4}); }, {"[N,H,W,4]"});
  ExpectError<std::invalid_argument>([] { InvertedResidual(0, {.channels = 4}); }, {"must be positive"});
  ExpectError<std::invalid_argument>([] { InvertedResidual(4, {}); }, {"must be positive"});
  ExpectError<std::invalid_argument>([] { InvertedResidual(4, {.channels = 4, .expansion = 0}); },
                                     {"must be positive"});
}

}  // namespace
}  // namespace hwynn
