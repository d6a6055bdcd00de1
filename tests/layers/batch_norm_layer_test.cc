// The layer around the kernels of batch_norm_test: modes, running statistics, fusion, gradients.

#include <gtest/gtest.h>

#include <cmath>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/sequential.h"
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
using testing::MaxDifference;
using testing::ModuleBed;
using testing::Normals;

Tensor& Stat(ModuleBed& bed, std::string_view name) {
  return GetCollection(bed.variables, kBatchStats).find(name)->second;
}

TEST(BatchNormLayerTest, StartsAsTheIdentityInEvaluation) {
  const BatchNorm norm;
  const Variables variables = Init(norm, KeyFromSeed(0), {2, 3, 3, 5});
  EXPECT_EQ(Describe(GetCollection(variables, kParams)), (std::vector<std::string>{"bias[5]", "scale[5]"}));
  EXPECT_EQ(Describe(GetCollection(variables, kBatchStats)), (std::vector<std::string>{"mean[5]", "var[5]"}));
  const Tensor input = Normals({2, 3, 3, 5}, 1);
  const Activation output = Predict(norm, variables, input, Workspace());
  for (int64_t i = 0; i < input.size(); ++i) {
    EXPECT_NEAR((*output)[i], input[i] / std::sqrt(1.0 + 1e-5), 1e-6 * std::abs(input[i]));
  }
}

// Channel 0 holds 1, 3, 5, 7: mean 4, biased variance 5. Channel 1 holds the constant 2. Momentum is the part kept.
TEST(BatchNormLayerTest, UpdatesRunningStatisticsByHand) {
  const BatchNorm norm({.momentum = 0.75});
  ModuleBed bed(norm, {4, 2});
  for (int64_t n = 0; n < 4; ++n) {
    bed.input[2 * n] = static_cast<float>(2 * n + 1);
    bed.input[2 * n + 1] = 2.0f;
  }
  Tensor& mean = Stat(bed, "mean");
  Tensor& var = Stat(bed, "var");
  mean[0] = 0.0f;
  mean[1] = 8.0f;
  var[0] = 1.0f;
  var[1] = 4.0f;
  bed.Forward(Mode::kTrain);
  EXPECT_EQ(mean[0], 1.0f);  // 0.75·0 + 0.25·4
  EXPECT_EQ(mean[1], 6.5f);  // 0.75·8 + 0.25·2
  EXPECT_EQ(var[0], 2.0f);   // 0.75·1 + 0.25·5
  EXPECT_EQ(var[1], 3.0f);   // 0.75·4 + 0.25·0
}

TEST(BatchNormLayerTest, TrainingUsesTheBatchAndEvaluationTheRunningStatistics) {
  const BatchNorm norm({.use_scale = false, .use_bias = false});
  ModuleBed bed(norm, {64, 3});
  EXPECT_TRUE(GetCollection(bed.variables, kParams).empty());
  const Activation trained = bed.Forward(Mode::kTrain);
  for (int64_t c = 0; c < 3; ++c) {
    double sum = 0;
    double squares = 0;
    for (int64_t n = 0; n < 64; ++n) {
      sum += double{(*trained)[3 * n + c]};
      squares += double{(*trained)[3 * n + c]} * double{(*trained)[3 * n + c]};
    }
    EXPECT_NEAR(sum / 64, 0.0, 1e-6);
    EXPECT_NEAR(squares / 64, 1.0, 1e-4);
  }
  const Tensor mean = Stat(bed, "mean").Clone();
  const Tensor var = Stat(bed, "var").Clone();
  const Activation evaluated = bed.Forward(Mode::kEval);
  for (int64_t i = 0; i < bed.input.size(); ++i) {
    const double expected = (double{bed.input[i]} - double{mean[i % 3]}) / std::sqrt(double{var[i % 3]} + 1e-5);
    EXPECT_NEAR((*evaluated)[i], expected, 1e-5);
  }
  EXPECT_EQ(MaxDifference(mean, Stat(bed, "mean")), 0.0);
  EXPECT_EQ(MaxDifference(var, Stat(bed, "var")), 0.0);
}

TEST(BatchNormLayerTest, FrozenTrainsScaleAndBiasAlone) {
  const BatchNorm norm({.use_running_average = true});
  ModuleBed bed(norm, {8, 3});
  const Activation evaluated = bed.Forward(Mode::kEval);
  CallContext context = bed.Context(Mode::kTrain);
  context.updates = nullptr;  // and needs no permission
  const Activation trained = norm.Forward(Scope(context), BorrowActivation(bed.input));
  EXPECT_EQ(MaxDifference(*evaluated, *trained), 0.0);
  CheckGradients(norm, {8, 3});
}

TEST(BatchNormLayerTest, BackwardLeavesBatchStatsAlone) {
  const BatchNorm norm;
  ModuleBed bed(norm, {8, 3});
  bed.Forward(Mode::kTrain);
  const Variables before = Clone(bed.variables);
  const CallContext context = bed.Context(Mode::kTrain);
  Differentiate(norm, context, Normals({8, 3}, 2));
  for (const auto& [name, collection] : before) {
    for (const auto& [path, tensor] : collection) {
      EXPECT_EQ(MaxDifference(tensor, GetCollection(bed.variables, name).find(path)->second), 0.0) << path;
    }
  }
  EXPECT_EQ(Describe(bed.gradients), (std::vector<std::string>{"bias[3]", "scale[3]"}));
}

TEST(BatchNormLayerTest, Gradients) {
  for (const Variance variance : {Variance::kStable, Variance::kFast, Variance::kTwoPass}) {
    CheckGradients(BatchNorm({.variance = variance}), {3, 4, 4, 5});
  }
  CheckGradients(BatchNorm({.use_scale = false}), {16, 5});
  CheckGradients(BatchNorm({.use_bias = false}), {16, 5});
  CheckGradients(BatchNorm(), {16, 5}, Mode::kEval);
  Sequential with_relu;
  with_relu.Add(BatchNorm({.relu = true}));
  for (const Mode mode : {Mode::kTrain, Mode::kEval}) {
    CheckAgainstDouble(with_relu, {8, 8, 8, 5}, mode, [](const DoubleNet& net, const DoubleArray& x) {
      return DoubleNet::Relu(net.BatchNorm("BatchNorm_0", x));
    });
  }
}

// Without a momentum the running statistics are the mean over the steps, whatever they were before the first.
TEST(BatchNormLayerTest, WithoutMomentumAveragesOverAllSteps) {
  const BatchNorm norm({.momentum = std::nullopt});
  ModuleBed bed(norm, {16, 3});
  EXPECT_EQ(Describe(GetCollection(bed.variables, kBatchStats)),
            (std::vector<std::string>{"count[1]", "mean[3]", "var[3]"}));
  Stat(bed, "count")[0] = 0.0f;
  std::vector<double> mean(3), var(3);
  constexpr int kSteps = 5;
  for (int step = 0; step < kSteps; ++step) {
    bed.input = Normals({16, 3}, 20 + step, static_cast<float>(step), static_cast<float>(1 + step));
    bed.Forward(Mode::kTrain);
    EXPECT_EQ(Stat(bed, "count")[0], static_cast<float>(step + 1));
    Tensor batch_mean({3}), batch_var({3});
    BatchNormStatistics(bed.input, Variance::kStable, batch_mean, batch_var, bed.workspace);
    for (size_t c = 0; c < 3; ++c) {
      mean[c] += double{batch_mean.span()[c]} / kSteps;
      var[c] += double{batch_var.span()[c]} / kSteps;
    }
  }
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(Stat(bed, "mean").span()[c], mean[c], 1e-6 * (1 + std::abs(mean[c])));
    EXPECT_NEAR(Stat(bed, "var").span()[c], var[c], 1e-6 * var[c]);
  }
  bed.statistics = BatchStatistics::kKeep;
  bed.Forward(Mode::kTrain);
  EXPECT_EQ(Stat(bed, "count")[0], static_cast<float>(kSteps));
}

// Several calls' statistics, weighted by their images.
TEST(BatchNormLayerTest, AveragesGatherWhatCallsSee) {
  const BatchNorm norm;
  ModuleBed bed(norm, {8, 3});
  StatisticsAverages averages;
  bed.averages = &averages;
  const Tensor mean_before = Stat(bed, "mean").Clone();
  std::vector<double> mean(3), var(3);
  for (const int64_t rows : {8, 2}) {
    bed.input = Normals({rows, 3}, static_cast<uint32_t>(rows), 2.0f, 3.0f);
    bed.Forward(Mode::kTrain);
    Tensor batch_mean({3}), batch_var({3});
    BatchNormStatistics(bed.input, Variance::kStable, batch_mean, batch_var, bed.workspace);
    for (size_t c = 0; c < 3; ++c) {
      mean[c] += 0.1 * static_cast<double>(rows) * double{batch_mean.span()[c]};
      var[c] += 0.1 * static_cast<double>(rows) * double{batch_var.span()[c]};
    }
  }
  EXPECT_EQ(MaxDifference(mean_before, Stat(bed, "mean")), 0.0);
  averages.Store(bed.variables);
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(Stat(bed, "mean").span()[c], mean[c], 1e-6);
    EXPECT_NEAR(Stat(bed, "var").span()[c], var[c], 1e-6 * var[c]);
  }
  Variables others = Init(BatchNorm(), KeyFromSeed(0), {8, 4});
  ExpectError<std::invalid_argument>([&] { averages.Store(others); }, {"batch_stats", "3 channels"});
}

// The fused forms agree with the plain layer followed by the addition and ReLU.
TEST(BatchNormLayerTest, FusedFormsAgreeWithTheirParts) {
  const Shape shape{3, 4, 4, 17};
  const Tensor residual_values = Normals(shape, 5);
  const Activation residual = BorrowActivation(residual_values);
  const Tensor grad_output = Normals(shape, 6);
  for (const bool relu : {false, true}) {
    const BatchNorm plain;
    const BatchNorm fused({.relu = relu});
    ModuleBed bed(plain, shape);
    ModuleBed fused_bed(fused, shape);
    const Activation normalized = bed.Forward(Mode::kTrain);
    const CallContext context = fused_bed.Context(Mode::kTrain);
    const Activation output = fused.ForwardAdd(Scope(context), BorrowActivation(fused_bed.input), residual);
    Tensor grad = grad_output.Clone();
    for (int64_t i = 0; i < output->size(); ++i) {
      const float sum = (*normalized)[i] + (*residual)[i];
      const float expected = relu && sum < 0 ? 0.0f : sum;
      EXPECT_NEAR((*output)[i], expected, 2e-6f);
      if (relu && (*output)[i] <= 0) grad[i] = 0.0f;
    }
    fused_bed.gradients.Start();
    const auto [grad_input, grad_residual] = fused.BackwardAdd(Scope(context), {.values = grad_output.Clone()});
    fused_bed.gradients.Finish();
    EXPECT_TRUE(fused_bed.tape.empty());
    EXPECT_EQ(MaxDifference(grad_residual, grad), 0.0);
    EXPECT_LT(MaxDifference(grad_input.values, bed.Backward(Mode::kTrain, grad)), 1e-5);
    for (const auto& [path, gradient] : bed.gradients) {
      EXPECT_LT(MaxDifference(gradient, fused_bed.gradients.at(path)), 1e-4) << path;
    }
  }
}

// max(0, E[x²] − E[x]²) is exactly 0 here, and half of its gradient passes: r·(1 − x̂²/2) with x̂ = 2⁻¹³·r. The other
// forms have a variance of 2⁻²⁶ and let all of it pass.
TEST(BatchNormLayerTest, HalfTheGradientPassesAFastVarianceOfZero) {
  const double r = 1 / std::sqrt(1e-5);
  for (const Variance variance : {Variance::kFast, Variance::kStable, Variance::kTwoPass}) {
    const BatchNorm norm({.use_scale = false, .use_bias = false, .variance = variance});
    ModuleBed bed(norm, {2, 1});
    bed.input[0] = 1.0f;
    bed.input[1] = 1.0f + 0x1p-12f;
    Tensor grad_output({2, 1});
    grad_output[0] = -1.0f;
    grad_output[1] = 1.0f;
    const Tensor grad_input = bed.Backward(Mode::kTrain, grad_output);
    const double part = variance == Variance::kFast ? 0.5 : 1.0;
    const double of_r = variance == Variance::kFast ? r : 1 / std::sqrt(0x1p-26 + 1e-5);
    EXPECT_NEAR(grad_input[1] - r, of_r * (1 - part * 0x1p-26 * of_r * of_r) - r, 1e-3);
    if (variance == Variance::kFast) {
      EXPECT_NEAR(grad_input[1] - r, -0.2356, 1e-3);
    }
    EXPECT_NEAR(grad_input[0], -grad_input[1], 1e-3);
  }
}

TEST(BatchNormLayerTest, RefusesAnExtentOfZeroOnAnyAxis) {
  for (const int axis : {1, 3, -3}) {
    const BatchNorm norm({.axis = axis});
    ModuleBed bed(norm, {2, 3, 3, 3});
    for (const Shape& shape : {Shape{2, 3, 0, 3}, Shape{0, 3, 3, 3}}) {
      bed.input = Tensor(shape);
      for (const Mode mode : {Mode::kTrain, Mode::kEval}) {
        ExpectError<std::invalid_argument>([&] { bed.Forward(mode); }, {"BatchNorm", shape.ToString(), "without a 0"});
      }
    }
  }
}

TEST(BatchNormLayerTest, NamesBadOptionsAndShapes) {
  ExpectError<std::invalid_argument>([] { BatchNorm({.momentum = 1.5}); }, {"momentum (1.5)"});
  ExpectError<std::invalid_argument>([] { BatchNorm({.epsilon = -1.0f}); }, {"epsilon (-1)"});
  ExpectError<std::invalid_argument>([] { BatchNorm({.ghost_batch_size = -1}); }, {"ghost batch size (-1)"});
  const BatchNorm norm;
  ExpectError<std::invalid_argument>([&] { Init(norm, KeyFromSeed(0), {5}); }, {"BatchNorm", "[5]"});
  const ModuleBed bed(norm, {8, 3});
  ExpectError<std::invalid_argument>(
      [&] {
        Predict(norm, bed.variables, Normals({8, 4}, 1), bed.workspace);
      },
      {"BatchNorm", "mean [3] must be [4]"});
}

}  // namespace
}  // namespace hwynn
