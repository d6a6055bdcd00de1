// hwynn against JAX and Flax: outputs, gradients and the losses of ten training steps, from
// tests/golden/flax.safetensors, which tests/golden/flax_golden.py wrote.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "hwynn/formats/safetensors.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/loss.h"
#include "hwynn/kernels/pool.h"
#include "hwynn/models/mlp.h"
#include "hwynn/models/presets.h"
#include "hwynn/tests/support/module_bed.h"
#include "hwynn/tests/support/targets.h"
#include "hwynn/training/train_state.h"

namespace hwynn {
namespace {

using testing::ForEachTarget;

const SafetensorsFile& Golden() {
  static const SafetensorsFile file(HWYNN_GOLDEN_DIR "/flax.safetensors");
  return file;
}

template <class T>
std::vector<T> Values(const std::string& name) {
  const SafetensorsEntry& entry = Golden().Entry(name);
  std::vector<T> values(entry.bytes.size() / sizeof(T));
  std::memcpy(values.data(), entry.bytes.data(), entry.bytes.size());
  return values;
}

Tensor Load(const std::string& name) {
  Tensor tensor(Golden().Entry(name).shape);
  const std::vector<float> values = Values<float>(name);
  std::copy(values.begin(), values.end(), tensor.data());
  return tensor;
}

// The largest error, relative to the largest expected value.
double RelativeError(const Tensor& actual, const std::string& name) {
  const Tensor expected = Load(name);
  EXPECT_EQ(actual.size(), expected.size()) << name;
  double largest = 0;
  for (int64_t i = 0; i < actual.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
  }
  return testing::MaxDifference(actual, expected) / largest;
}

TEST(FlaxGoldenTest, Convolution) {
  const std::pair<const char*, Conv2dParams> cases[] = {
      {"conv_same", {}},
      {"conv_same_stride2", {.stride = {2, 2}}},
      {"conv_explicit", {.stride = {2, 1}, .padding = Padding::Explicit(2, 1, 0, 2)}},
      {"conv_dilated", {.dilation = {2, 2}, .padding = Padding::Valid()}},
      {"conv_groups", {.groups = 3}},
      {"conv_depthwise", {.stride = {2, 2}, .groups = 10}}};
  const Workspace workspace;
  ForEachTarget([&](const std::string&) {
    for (const auto& [name, params] : cases) {
      const std::string at = std::string(name) + "/";
      const Tensor x = Load(at + "input");
      const Tensor w = Load(at + "filter");
      const Tensor g = Load(at + "grad_output");
      Tensor y(g.shape());
      Tensor dx(x.shape());
      Tensor dw(w.shape());
      Conv2dForward(params, x, w, y, workspace);
      Conv2dBackwardInput(params, g, w, dx, workspace);
      Conv2dBackwardFilter(params, x, g, dw, workspace);
      EXPECT_LT(RelativeError(y, at + "output"), 1e-6) << name;
      EXPECT_LT(RelativeError(dx, at + "grad_input"), 1e-6) << name;
      EXPECT_LT(RelativeError(dw, at + "grad_filter"), 1e-6) << name;
    }
  });
}

TEST(FlaxGoldenTest, BatchNorm) {
  struct Case {
    std::string name;
    Variance variance;
    double tolerance;  // Flax's own statistics are in float32; mean/std is 20 in the second case
  };
  const Case cases[] = {{"batch_norm_fast/", Variance::kFast, 2e-6},
                        {"batch_norm_two_pass/", Variance::kTwoPass, 1e-5},
                        {"batch_norm_two_pass/", Variance::kStable, 1e-5},
                        {"batch_norm_rows/", Variance::kFast, 2e-6}};
  const Workspace workspace;
  ForEachTarget([&](const std::string&) {
    for (const auto& [at, variance, tolerance] : cases) {
      const Tensor x = Load(at + "input");
      const Tensor scale = Load(at + "scale");
      const Tensor bias = Load(at + "bias");
      const Tensor g = Load(at + "grad_output");
      Tensor mean(scale.shape());
      Tensor var(scale.shape());
      BatchNormStatistics(x, variance, mean, var, workspace);
      const BatchNormAffine affine{.mean = mean, .var = var, .scale = scale, .bias = bias};
      Tensor y(x.shape());
      BatchNormNormalize(x, affine, y);
      Tensor dx(x.shape());
      Tensor dscale(scale.shape());
      Tensor dbias(scale.shape());
      BatchNormBackward(
          {.input = x, .grad_output = g, .affine = affine, .grad_input = dx, .grad_scale = dscale, .grad_bias = dbias},
          workspace);
      Tensor running_mean(scale.shape(), 0.0f);
      Tensor running_var(scale.shape(), 1.0f);
      BatchNormUpdateRunning(0.9, mean, var, running_mean, running_var);
      EXPECT_LT(RelativeError(y, at + "output"), tolerance) << at;
      EXPECT_LT(RelativeError(dx, at + "grad_input"), tolerance) << at;
      EXPECT_LT(RelativeError(dscale, at + "grad_scale"), tolerance) << at;
      EXPECT_LT(RelativeError(dbias, at + "grad_bias"), tolerance) << at;
      EXPECT_LT(RelativeError(running_mean, at + "running_mean"), tolerance) << at;
      EXPECT_LT(RelativeError(running_var, at + "running_var"), tolerance) << at;
    }
  });
}

TEST(FlaxGoldenTest, Pools) {
  ForEachTarget([&](const std::string&) {
    {
      const PoolParams params{.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same()};
      const Tensor x = Load("max_pool_same/input");
      const Tensor g = Load("max_pool_same/grad_output");
      Tensor y(g.shape());
      Tensor dx(x.shape());
      MaxPoolForward(params, x, y);
      MaxPoolBackward(params, x, y, g, dx);
      EXPECT_EQ(RelativeError(y, "max_pool_same/output"), 0);
      EXPECT_LT(RelativeError(dx, "max_pool_same/grad_input"), 1e-6);
    }
    const PoolParams params{.window = {3, 2}, .stride = {2, 1}, .padding = Padding::Same()};
    const Tensor x = Load("average_pool_same/input");
    const Tensor g = Load("average_pool_same/grad_output");
    Tensor y(g.shape());
    Tensor dx(x.shape());
    AveragePoolForward(params, x, y);
    AveragePoolBackward(params, g, dx);
    EXPECT_LT(RelativeError(y, "average_pool_same/output"), 1e-6);
    EXPECT_LT(RelativeError(dx, "average_pool_same/grad_input"), 1e-6);
  });
}

TEST(FlaxGoldenTest, CrossEntropy) {
  const Tensor logits = Load("cross_entropy/logits");
  Tensor grad(logits.shape());
  const LossResult result = SoftmaxCrossEntropy(logits, Values<int32_t>("cross_entropy/labels"), {}, grad);
  EXPECT_NEAR(result.loss, Load("cross_entropy/loss")[0], 1e-6);
  EXPECT_LT(RelativeError(grad, "cross_entropy/grad_logits"), 1e-6);
}

// The same seed, the same data: Flax's initial values, ten steps, then logits from the running statistics. Rounding
// differences grow from step to step, in Flax itself between versions and machines too.
void ExpectSameTraining(const std::string& at, const Module& model, const OptimizerOptions& optimizer,
                        float learning_rate, double loss_tolerance, double logit_tolerance) {
  Tensor images = Load(at + "images");
  if (images.shape().rank() == 2) images.Reshape({images.shape()[0], 1, 1, images.shape()[1]});
  const std::vector<int32_t> labels = Values<int32_t>(at + "labels");
  const std::vector<float> losses = Values<float>(at + "losses");
  ForEachTarget([&](const std::string&) {
    const Shape image(images.shape().extents().subspan(1));
    TrainState state = CreateTrainState(model, optimizer, KeyFromSeed(0), image);
    Stepper stepper(model, optimizer);
    for (size_t step = 0; step < losses.size(); ++step) {
      const LossResult result = stepper.Train(images, labels, learning_rate, Key{}, state);
      EXPECT_NEAR(result.loss, losses[step], loss_tolerance * losses[step]) << at << " step " << step;
    }
    const Activation logits = Predict(model, state.variables, images, Workspace());
    EXPECT_LT(RelativeError(logits->Clone(), at + "logits"), logit_tolerance) << at;
  });
}

TEST(FlaxGoldenTest, TenStepsOfAnMlp) {
  const Mlp model({.features = {16, 10}, .batch_norm = true});
  // The gradient of a bias before a BatchNorm is 0 but for rounding, which Adam scales up to steps of the learning
  // rate. Training doesn't notice; evaluation does, since the running mean lags behind.
  ExpectSameTraining("train_mlp/", model, {.kind = OptimizerKind::kAdam}, 1e-2f, 1e-5, 0.05);
}

TEST(FlaxGoldenTest, TenStepsOfAResNet20) {
  const ResNet model(ResNetPreset("resnet20"));
  ExpectSameTraining("train_resnet20/", model, {.momentum = 0.9f, .nesterov = true}, 0.05f, 1e-4, 2e-3);
}

}  // namespace
}  // namespace hwynn
