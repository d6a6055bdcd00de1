// BatchNorm computed by the convolutions around it gives what it gives in passes of its own.

#include "hwynn/module/fusion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dropout.h"
#include "hwynn/layers/inverted_residual.h"
#include "hwynn/layers/pool.h"
#include "hwynn/layers/relu.h"
#include "hwynn/layers/residual.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/module/functional.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::MaxDifference;
using testing::ModuleBed;
using testing::Normals;

// A module of a user's own that gives what it gets, and in Backward lets no more than 1/2 through. Its param's gradient
// says what it saw: a gradient that was masked before its time is another.
class Observes final : public Module {
 public:
  std::string_view TypeName() const override { return "Observes"; }
  Shape Init(InitScope scope, const Shape& input) const override {
    scope.Param("mean_gradient", {1}, initializers::Zeros());
    return input;
  }
  Activation Forward(const Scope& scope, Activation input) const override {
    scope.Save(this, input);
    return input;
  }
  Tensor Backward(const Scope& scope, Tensor grad) const override {
    const Activation input = scope.Saved(this);
    double sum = 0;
    for (int64_t i = 0; i < grad.size(); ++i) sum += std::abs(grad[i]) + 0.1 * (*input)[i];
    scope.Gradient("mean_gradient")[0] = static_cast<float>(sum / static_cast<double>(grad.size()));
    for (float& value : grad.span()) value = std::min(value, 0.5f);
    return grad;
  }
};

Conv Square(int64_t features, int64_t size = 3, int64_t stride = 1) {
  return Conv({.features = features, .kernel_size = {size, size}, .stride = {stride, stride}, .use_bias = false});
}

BatchNorm Norm(BatchNormOptions options = {.relu = true}) { return BatchNorm(std::move(options)); }

// A container of a user's own that fuses, and calls its BatchNorm by the functions that take options.
class OwnContainer final : public FusingModule {
 public:
  std::string_view TypeName() const override { return "OwnContainer"; }
  Shape Init(InitScope scope, const Shape& input) const override {
    return norm_.Init(scope.Child("norm"), conv_.Init(scope.Child("conv"), input));
  }
  Activation ForwardFused(const Scope& scope, Activation input) const override {
    return norm_.Forward(scope.Child("norm"), ChildForward(conv_, scope.Child("conv"), std::move(input)), {});
  }
  ActivationGradient BackwardFused(const Scope& scope, ActivationGradient gradient, Tensor grad_input) const override {
    gradient = {.values = norm_.Backward(scope.Child("norm"), std::move(gradient.values), {})};
    return ChildBackward(conv_, scope.Child("conv"), std::move(gradient), std::move(grad_input));
  }

 private:
  Conv conv_ = Square(8);
  BatchNorm norm_ = Norm();
};

// A block of a user's own: its only convolution gets the gradient that is the shortcut's too.
class OneConvBlock final : public ResidualBlock {
 public:
  explicit OneConvBlock(int64_t features)
      : ResidualBlock({.filters = features}, Sequential().Add(Square(features)), "norm", features) {}
  std::string_view TypeName() const override { return "OneConvBlock"; }
};

struct Case {
  std::string name;
  Sequential net;
  Shape input{3, 9, 10, 5};
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name) -> Sequential& { return cases.emplace_back(Case{name, {}}).net; };
  add("conv clipped norm conv").Add(Square(17)).Add(Norm()).Add(Square(6));
  add("conv norm relu conv").Add(Square(17)).Add(Norm({})).Add(Relu()).Add(Square(6));
  add("conv norm conv").Add(Square(17)).Add(Norm({})).Add(Square(6));
  add("conv relu conv").Add(Square(17)).Add(Relu()).Add(Square(6));
  add("relu norm relu conv").Add(Relu()).Add(Norm({})).Add(Relu()).Add(Square(6));
  add("ends in norm").Add(Square(17)).Add(Norm());
  add("norm norm conv").Add(Norm()).Add(Norm()).Add(Square(6));
  add("without scale and bias").Add(Square(8)).Add(Norm({.use_scale = false, .use_bias = false})).Add(Square(6));
  add("biases").Add(Conv({.features = 8})).Add(Norm()).Add(Conv({.features = 3}));
  add("kFast").Add(Square(8)).Add(Norm({.variance = Variance::kFast, .relu = true})).Add(Square(6));
  add("kTwoPass").Add(Square(8)).Add(Norm({.variance = Variance::kTwoPass, .relu = true})).Add(Square(6));
  add("axis 1").Add(Square(8)).Add(Norm({.axis = 1, .relu = true})).Add(Square(6));
  add("batch statistics in evaluation")
      .Add(Square(8))
      .Add(Norm({.use_running_average = false, .relu = true}))
      .Add(Square(6));
  add("frozen").Add(Square(8)).Add(Norm({.use_running_average = true, .relu = true})).Add(Square(6));
  add("strides").Add(Square(16, 3, 2)).Add(Norm()).Add(Square(8, 1, 2)).Add(Norm()).Add(Square(4));
  add("groups")
      .Add(Square(8))
      .Add(Norm())
      .Add(Conv({.features = 8, .groups = 4, .use_bias = false}))
      .Add(Norm())
      .Add(Square(2));
  add("depthwise")
      .Add(Square(24))
      .Add(Norm())
      .Add(Conv({.features = 24, .groups = 24, .use_bias = false}))
      .Add(Norm())
      .Add(Square(2, 1));
  // Ends low enough that both meet many values.
  add("clipped at both ends").Add(Square(17)).Add(Norm({.relu = true, .upper = 0.7f})).Add(Square(6));
  add("norm relu with an end").Add(Square(17)).Add(Norm({})).Add(Relu({.upper = 0.7f})).Add(Square(6));
  add("ends in norm clipped at both ends").Add(Square(17)).Add(Norm({.relu = true, .upper = 0.7f}));
  add("depthwise clipped at both ends")
      .Add(Square(24, 1))
      .Add(Norm({.relu = true, .upper = 0.7f}))
      .Add(Conv({.features = 24, .groups = 24, .use_bias = false}))
      .Add(Norm({.relu = true, .upper = 0.7f}))
      .Add(Square(2, 1));
  add("frozen and clipped at both ends")
      .Add(Square(8))
      .Add(Norm({.use_running_average = true, .relu = true, .upper = 0.7f}))
      .Add(Square(6));
  add("axis 1 clipped at both ends").Add(Square(8)).Add(Norm({.axis = 1, .relu = true, .upper = 0.7f})).Add(Square(6));
  add("a user's module").Add(Square(17)).Add(Norm()).Add(Observes()).Add(Square(6));
  add("a user's module before relu").Add(Square(17)).Add(Norm({})).Add(Observes()).Add(Relu()).Add(Square(6));
  add("max pool").Add(Square(17)).Add(Norm()).Add(MaxPool({.window = {3, 3}, .stride = {2, 2}})).Add(Square(6));
  add("dropout").Add(Square(17)).Add(Norm()).Add(Dropout({.rate = 0.5f})).Add(Square(6));
  add("nested").Add(Square(7)).Add(Sequential().Add(Norm())).Add(Sequential().Add(Sequential()).Add(Square(6)));
  add("empty containers")
      .Add(Square(7))
      .Add(Sequential())
      .Add(Norm())
      .Add(Sequential().Add(Sequential()))
      .Add(Square(6));
  add("a user's container").Add(Norm()).Add(OwnContainer()).Add(Square(6));
  add("blocks")
      .Add(Square(8))
      .Add(Norm())
      .Add(ResNetBlock({.filters = 8}))
      .Add(ResNetBlock({.filters = 8}))
      .Add(ResNetBlock({.filters = 12, .stride = 2}))
      .Add(ResNetBlock({.filters = 12}))
      .Add(GlobalAveragePool());
  add("bottlenecks")
      .Add(BottleneckResNetBlock({.filters = 8}))
      .Add(BottleneckResNetBlock({.filters = 8}))
      .Add(BottleneckResNetBlock({.filters = 4, .stride = 2}))
      .Add(BottleneckResNetBlock({.filters = 4}));
  add("kin of bottlenecks")
      .Add(BottleneckResNetBlock({.filters = 8, .groups = 2, .width = 4}))
      .Add(BottleneckResNetBlock({.filters = 4, .stride = 2, .width = 10, .average_projection = true}))
      .Add(BottleneckResNetBlock({.filters = 4, .groups = 4, .width = 8}));
  add("inverted residuals")
      .Add(Square(4))
      .Add(Norm({.relu = true, .upper = 6.0f}))
      .Add(InvertedResidual(4, {.channels = 6, .expansion = 1}))
      .Add(InvertedResidual(6, {.channels = 8, .stride = 2}))
      .Add(InvertedResidual(8, {.channels = 8}))
      .Add(InvertedResidual(8, {.channels = 8, .expansion = 3}))
      .Add(InvertedResidual(8, {.channels = 5}))
      .Add(Square(6, 1))
      .Add(Norm({.relu = true, .upper = 6.0f}))
      .Add(GlobalAveragePool());
  add("a user's module between inverted residuals")
      .Add(InvertedResidual(5, {.channels = 5}))
      .Add(Observes())
      .Add(InvertedResidual(5, {.channels = 5}));
  add("a user's module between blocks")
      .Add(ResNetBlock({.filters = 8}))
      .Add(Observes())
      .Add(ResNetBlock({.filters = 8}));
  add("a block behind a norm").Add(Square(8)).Add(Norm({})).Add(ResNetBlock({.filters = 8}));
  add("blocks of one convolution").Add(OneConvBlock(5)).Add(OneConvBlock(5)).Add(OneConvBlock(8)).Add(Square(6));
  add("a block of one convolution behind a norm").Add(Square(8)).Add(Norm()).Add(OneConvBlock(8)).Add(Observes());
  Sequential wide = Sequential().Add(Square(64)).Add(Norm()).Add(Square(64)).Add(Norm()).Add(Square(32));
  cases.push_back({"winograd", std::move(wide), {4, 16, 16, 32}});
  Sequential one = Sequential().Add(Square(8, 1)).Add(Norm()).Add(Square(3, 1));
  cases.push_back({"one pixel", std::move(one), {2, 1, 1, 3}});
  return cases;
}

// |a − b| relative to b's largest value, or to 1 if that is less: the gradient of a bias before a BatchNorm is nothing
// but roundings.
double Apart(ConstTensorView a, ConstTensorView b) {
  double largest = 1;
  for (const float value : b.span()) largest = std::max(largest, std::abs(static_cast<double>(value)));
  return MaxDifference(a, b) / largest;
}

class FusionTest : public ::testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Nets, FusionTest, ::testing::ValuesIn(Cases()), [](const auto& info) {
  std::string name = info.param.name;
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
});

// Forward and Backward, fused and not.
void ExpectAlike(const Case& c, Mode mode, BatchStatistics statistics) {
  ModuleBed fused(c.net, c.input), unfused(c.net, c.input);
  fused.statistics = unfused.statistics = statistics;
  unfused.fusion = false;
  const Activation output = fused.Forward(mode);
  EXPECT_LT(Apart(*output, *unfused.Forward(mode)), 2e-5);
  // Running statistics from the same start.
  for (const auto& [path, values] : GetCollection(unfused.variables, kBatchStats)) {
    EXPECT_LT(Apart(GetCollection(fused.variables, kBatchStats).at(path), values), 1e-6) << path;
  }
  const Tensor grad_output = Normals(output.shape(), 5);
  const Tensor grad_input = fused.Backward(mode, grad_output);
  EXPECT_LT(Apart(grad_input, unfused.Backward(mode, grad_output)), 5e-5);
  for (const auto& [path, gradient] : unfused.gradients) {
    EXPECT_LT(Apart(fused.gradients.at(path), gradient), 5e-5) << path;
  }
}

TEST_P(FusionTest, TrainsAsInPassesOfItsOwn) {
  for (const BatchStatistics statistics :
       {BatchStatistics::kUpdate, BatchStatistics::kKeep, BatchStatistics::kFrozen}) {
    ExpectAlike(GetParam(), Mode::kTrain, statistics);
  }
}

TEST_P(FusionTest, DifferentiatesEvaluationAsInPassesOfItsOwn) {
  ExpectAlike(GetParam(), Mode::kEval, BatchStatistics::kUpdate);
}

// Outside training the numbers are the same to the bit: an epilogue has the arithmetic of BatchNorm's own pass.
TEST_P(FusionTest, EvaluatesWithTheSameBits) {
  const Case& c = GetParam();
  // A bias is added before the statistics' mean is subtracted, or to it; the batch's statistics are added up in another
  // order.
  const bool rounds = c.name == "biases" || c.name == "batch statistics in evaluation";
  ModuleBed bed(c.net, c.input);
  const auto run = [&](bool fusion) {
    return Apply(c.net, bed.variables, bed.input,
                 {.mode = Mode::kEval, .mutable_collections = {"batch_stats"}, .fusion = fusion})
        .output;
  };
  const Activation fused = run(true);
  const Activation unfused = run(false);
  if (rounds) {
    EXPECT_LT(Apart(*fused, *unfused), 1e-6);
  } else {
    EXPECT_EQ(std::memcmp(fused->data(), unfused->data(), static_cast<size_t>(fused->size()) * sizeof(float)), 0);
  }
}

// A BatchNorm that takes the batch's statistics in evaluation too.
TEST(BatchStatisticsTest, MayBeTheBatchsInEvaluation) {
  const Sequential net = Sequential().Add(Square(4)).Add(Norm({.use_running_average = false, .relu = true}));
  ModuleBed bed(net, {2, 5, 5, 3});
  const auto output = [&](Mode mode, bool fusion) {
    return Apply(net, bed.variables, bed.input, {.mode = mode, .fusion = fusion, .statistics = BatchStatistics::kKeep})
        .output;
  };
  const Activation trained = output(Mode::kTrain, true);
  EXPECT_EQ(MaxDifference(*output(Mode::kEval, true), *trained), 0);
  EXPECT_LT(Apart(*output(Mode::kEval, false), *trained), 2e-5);
}

// Bytes that Forward leaves for Backward.
int64_t KeptBytes(const Module& net, bool fusion, BatchStatistics statistics) {
  ModuleBed bed(net, {8, 32, 32, 4});
  bed.fusion = fusion;
  bed.statistics = statistics;
  const Activation output = bed.Forward(Mode::kTrain);
  return bed.workspace.bytes_in_use();
}

// What lies between a BatchNorm and the convolution behind it is never kept; with frozen statistics, nor what lies
// before the BatchNorm.
TEST(FusionMemoryTest, InnerArraysAreNotKept) {
  const Sequential net = Sequential().Add(Square(64)).Add(Norm()).Add(Square(64)).Add(Norm()).Add(Square(4));
  const int64_t inner = TensorBytes({8, 32, 32, 64});
  const int64_t unfused = KeptBytes(net, false, BatchStatistics::kUpdate);
  const auto expect_saved = [&](BatchStatistics statistics, int64_t arrays) {
    const int64_t saved = unfused - KeptBytes(net, true, statistics);
    EXPECT_NEAR(static_cast<double>(saved), static_cast<double>(arrays * inner), 0.01 * static_cast<double>(inner));
  };
  expect_saved(BatchStatistics::kUpdate, 2);
  expect_saved(BatchStatistics::kFrozen, 2);
  const Sequential block = Sequential().Add(Square(64)).Add(Norm()).Add(ResNetBlock({.filters = 64}));
  // z and y of the first norm, z and y of the block's first, z and the output of its last.
  const int64_t kept = KeptBytes(block, false, BatchStatistics::kUpdate);
  EXPECT_NEAR(static_cast<double>(kept), 6.0 * static_cast<double>(inner), 0.05 * static_cast<double>(inner));
  const int64_t frozen = KeptBytes(block, true, BatchStatistics::kFrozen);
  EXPECT_NEAR(static_cast<double>(frozen), 3.0 * static_cast<double>(inner), 0.05 * static_cast<double>(inner));
}

// Statistics of the batch, without a trace in the running ones; the collection need not be one that may be written.
TEST(BatchStatisticsTest, KeepLeavesTheRunningOnes) {
  const Sequential net = Sequential().Add(Square(4)).Add(Norm());
  ModuleBed bed(net, {2, 5, 5, 3});
  const auto output = [&](BatchStatistics statistics, std::vector<std::string> may_change) {
    return Apply(net, bed.variables, bed.input,
                 {.mode = Mode::kTrain, .mutable_collections = std::move(may_change), .statistics = statistics});
  };
  const ApplyResult updates = output(BatchStatistics::kUpdate, {"batch_stats"});
  const ApplyResult keeps = output(BatchStatistics::kKeep, {"batch_stats"});
  EXPECT_EQ(MaxDifference(*updates.output, *keeps.output), 0);
  EXPECT_EQ(MaxDifference(*updates.output, *output(BatchStatistics::kKeep, {}).output), 0);
  for (const auto& [path, values] : GetCollection(bed.variables, kBatchStats)) {
    EXPECT_EQ(MaxDifference(GetCollection(keeps.updates, kBatchStats).at(path), values), 0) << path;
    EXPECT_GT(MaxDifference(GetCollection(updates.updates, kBatchStats).at(path), values), 0) << path;
  }
  // Frozen in training is evaluation, but for the gradients.
  const Activation evaluated = Apply(net, bed.variables, bed.input).output;
  EXPECT_EQ(MaxDifference(*output(BatchStatistics::kFrozen, {}).output, *evaluated), 0);
}

}  // namespace
}  // namespace hwynn
