#include "hwynn/models/mobilenet.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "hwynn/core/parallel.h"
#include "hwynn/tests/support/double_net.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::DoubleArray;
using testing::DoubleNet;
using testing::ExpectError;
using testing::MaxDifference;
using testing::ModuleBed;
using testing::Normals;

int64_t CountParams(double width) {
  return CountElements(GetCollection(InitZeros(MobileNetV2({.width = width}), {1, 32, 32, 3}), kParams));
}

// torchvision's, and those that timm prints for mobilenetv2_050, _100 and _140.
TEST(MobileNetV2Test, HasItsFrameworksNumbersOfParams) {
  EXPECT_EQ(CountParams(1.0), 3'504'872);
  EXPECT_EQ(CountParams(0.5), 1'968'680);
  EXPECT_EQ(CountParams(1.4), 6'108'776);
}

TEST(MobileNetV2Test, Tree) {
  const Variables variables = InitZeros(MobileNetV2(), {1, 32, 32, 3});
  const Collection& params = GetCollection(variables, kParams);
  EXPECT_EQ(params.size(), 158U);
  EXPECT_EQ(GetCollection(variables, kBatchStats).size(), 104U);
  const auto shape = [&](std::string_view path) { return params.find(path)->second.shape(); };
  EXPECT_EQ(shape("conv_init/kernel"), Shape({3, 3, 3, 32}));
  EXPECT_EQ(shape("bn_init/scale"), Shape({32}));
  EXPECT_EQ(shape("InvertedResidual_0/Conv_0/kernel"), Shape({3, 3, 1, 32}));
  EXPECT_EQ(shape("InvertedResidual_0/Conv_1/kernel"), Shape({1, 1, 32, 16}));
  EXPECT_EQ(shape("InvertedResidual_1/Conv_0/kernel"), Shape({1, 1, 16, 96}));
  EXPECT_EQ(shape("InvertedResidual_16/Conv_1/kernel"), Shape({3, 3, 1, 960}));
  EXPECT_EQ(shape("InvertedResidual_16/BatchNorm_2/bias"), Shape({320}));
  EXPECT_EQ(shape("conv_head/kernel"), Shape({1, 1, 320, 1280}));
  EXPECT_EQ(shape("bn_head/bias"), Shape({1280}));
  EXPECT_EQ(shape("Dense_0/kernel"), Shape({1280, 1000}));
}

// What torchvision's _make_divisible gives.
TEST(MobileNetV2Test, ChannelsAreMultiplesOfEight) {
  EXPECT_EQ(MobileNetV2Channels(32, 1.0), 32);
  EXPECT_EQ(MobileNetV2Channels(32, 1.4), 48);   // 44.8
  EXPECT_EQ(MobileNetV2Channels(24, 0.5), 16);   // 12: halfway goes up
  EXPECT_EQ(MobileNetV2Channels(24, 0.75), 24);  // 18 → 16 is more than 10 % less
  EXPECT_EQ(MobileNetV2Channels(16, 0.1), 8);
  EXPECT_EQ(MobileNetV2Channels(320, 0.35), 112);
  EXPECT_EQ(MobileNetV2HeadChannels(0.5), 1280);
  EXPECT_EQ(MobileNetV2HeadChannels(1.4), 1792);
  for (const double width : {0.0, -1.0, 1e300, static_cast<double>(NAN)}) {
    ExpectError<std::invalid_argument>([&] { MobileNetV2Channels(32, width); }, {"width"});
    ExpectError<std::invalid_argument>([&] { MobileNetV2HeadChannels(width); }, {"width"});
  }
}

TEST(MobileNetV2Test, OutputShapesForAnyImage) {
  const Workspace workspace;
  for (const PaddingRule padding : {PaddingRule::kFlax, PaddingRule::kPyTorch}) {
    for (const int64_t stride : {1, 2}) {
      const MobileNetV2 model({.width = 0.1, .num_classes = 3, .stem_stride = stride, .padding = padding});
      for (const Shape& shape : {Shape{2, 1, 1, 1}, Shape{2, 9, 14, 2}, Shape{1, 33, 32, 3}}) {
        const Variables variables = Init(model, KeyFromSeed(0), shape);
        EXPECT_EQ(Predict(model, variables, Normals(shape, 1), workspace)->shape(), Shape({shape[0], 3}));
      }
    }
  }
}

DoubleArray Definition(const DoubleNet& net, const DoubleArray& image) {
  DoubleArray x = DoubleNet::Relu6(net.BatchNorm("bn_init", net.Conv("conv_init", image, 2)));
  int number = 0;
  for (const InvertedResidualStage& stage : MobileNetV2Stages()) {
    for (int64_t block = 0; block < stage.blocks; ++block) {
      const std::string path = StrCat("InvertedResidual_", number++, "/");
      x = net.InvertedResidual(path, x, block == 0 ? stage.stride : 1);
    }
  }
  x = DoubleNet::Relu6(net.BatchNorm("bn_head", net.Conv("conv_head", x)));
  return net.Dense("Dense_0", DoubleNet::GlobalAverage(x));
}

TEST(MobileNetV2Test, LogitsAreThoseOfTheDefinition) {
  const MobileNetV2 model({.width = 0.1, .num_classes = 5});
  const ModuleBed bed(model, {2, 40, 33, 3});
  const DoubleArray expected = Definition(DoubleNet(bed.variables, Mode::kEval), DoubleArray(bed.input.view()));
  double largest = 0;
  for (const double value : expected.values) largest = std::max(largest, std::abs(value));
  testing::ForEachTarget([&](const std::string&) {
    const Activation logits = Predict(model, bed.variables, bed.input, bed.workspace);
    for (size_t i = 0; i < expected.values.size(); ++i) {
      EXPECT_NEAR(logits->span()[i], expected.values[i], 1e-5 * largest);
    }
  });
}

// A training step, fused and not; dropout draws the same elements in both.
TEST(MobileNetV2Test, TrainsAsInPassesOfItsOwn) {
  const MobileNetV2 model({.width = 0.25, .num_classes = 5, .input_gradient = true});
  ModuleBed fused(model, {8, 48, 48, 3}), plain(model, {8, 48, 48, 3});
  plain.fusion = false;
  const Tensor grad_logits = Normals({8, 5}, 3);
  const Tensor a = fused.Backward(Mode::kTrain, grad_logits), b = plain.Backward(Mode::kTrain, grad_logits);
  // Of the largest value, or of 1: the gradient of a bias before a BatchNorm is nothing but roundings. They grow on
  // their way through 52 layers.
  const auto expect_alike = [](ConstTensorView x, ConstTensorView y, const std::string& what) {
    double largest = 1;
    for (const float value : y.span()) largest = std::max(largest, std::abs(double{value}));
    EXPECT_LT(MaxDifference(x, y), 5e-4 * largest) << what;
  };
  expect_alike(a, b, "input");
  for (const auto& [path, gradient] : plain.gradients) expect_alike(fused.gradients.at(path), gradient, path);
}

TEST(MobileNetV2Test, StepsHaveTheSameBitsOnAllTargetsAndThreads) {
  const MobileNetV2 model({.width = 0.25, .num_classes = 5});
  const auto step = [&](int threads) {
    ModuleBed bed(model, {4, 32, 32, 3});
    const Tensor grad_logits = Normals({4, 5}, 2);
    RunWithThreads(threads, [&] { bed.Backward(Mode::kTrain, grad_logits); });
    std::vector<Tensor> results;
    results.push_back(Clone(bed.gradients.flat()));
    for (const auto& [path, values] : GetCollection(bed.variables, kBatchStats)) results.push_back(Clone(values));
    return results;
  };
  testing::ExpectSameBitsOnTargets([&] { return step(1); });
  const std::vector<Tensor> one = step(1);
  for (const int threads : {2, 3}) {
    const std::vector<Tensor> more = step(threads);
    ASSERT_EQ(one.size(), more.size());
    for (size_t i = 0; i < one.size(); ++i) {
      EXPECT_EQ(std::memcmp(one[i].data(), more[i].data(), one[i].span().size_bytes()), 0) << i;
    }
  }
}

}  // namespace
}  // namespace hwynn
