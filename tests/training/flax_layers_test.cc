// Every layer against Flax, and every optimizer against optax: initial values bit for bit, outputs, gradients and
// running statistics, from tests/golden/flax_layers.safetensors, which flax_layers.py wrote.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "hwynn/formats/tensor_io.h"
#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/dropout.h"
#include "hwynn/layers/pool.h"
#include "hwynn/layers/relu.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/tests/support/module_bed.h"
#include "hwynn/tests/support/targets.h"
#include "hwynn/training/optimizer.h"

namespace hwynn {
namespace {

using testing::ForEachTarget;

const SafetensorsFile& Golden() {
  static const SafetensorsFile file(HWYNN_GOLDEN_DIR "/flax_layers.safetensors");
  return file;
}

Tensor Load(const std::string& name) { return LoadTensor(Golden(), name); }

// The arrays "<prefix>.<path with dots>" by path.
Collection LoadCollection(const std::string& prefix) {
  Collection collection;
  for (const auto& [name, entry] : Golden().entries()) {
    if (!name.starts_with(prefix + ".")) continue;
    std::string path = name.substr(prefix.size() + 1);
    std::ranges::replace(path, '.', '/');
    collection.emplace(path, Load(name));
  }
  return collection;
}

// The largest error, relative to the largest expected value or, where all are 0, to 1.
double RelativeError(ConstTensorView actual, const Tensor& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double largest = 0;
  for (int64_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
  }
  return testing::MaxDifference(actual, expected) / (largest > 0 ? largest : 1);
}

template <class Arrays>
void ExpectNear(const Arrays& actual, const Collection& expected, double tolerance, const std::string& what) {
  EXPECT_EQ(actual.size(), expected.size()) << what;
  for (const auto& [path, values] : expected) {
    ASSERT_TRUE(actual.contains(path)) << what << " " << path;
    EXPECT_LE(RelativeError(actual.at(path), values), tolerance) << what << " " << path;
  }
}

struct LayerOptions {
  Mode mode = Mode::kTrain;
  double tolerance = 2e-6;
  std::optional<Key> dropout_key = std::nullopt;
};

void ExpectFlaxs(const std::string& name, const Module& module, const LayerOptions& options = {}) {
  SCOPED_TRACE(name);
  const Tensor x = Load(name + "/input");
  const Variables initial = Init(module, KeyFromSeed(5), x.shape());
  for (const auto& [path, values] : LoadCollection(name + "/params")) {
    const Tensor& actual = GetCollection(initial, kParams).at(path);
    ASSERT_EQ(actual.shape(), values.shape()) << path;
    EXPECT_EQ(std::memcmp(actual.data(), values.data(), sizeof(float) * static_cast<size_t>(values.size())), 0) << path;
  }
  ForEachTarget([&](const std::string&) {
    const Workspace workspace;
    Variables variables = Clone(initial);
    Gradients gradients(GetCollection(variables, kParams));
    Tape tape;
    LinenRules rules(options.dropout_key);
    const CallContext context{.workspace = &workspace,
                              .variables = &variables,
                              .updates = &variables,
                              .gradients = &gradients,
                              .tape = &tape,
                              .mode = options.mode,
                              .rules = &rules};
    const Activation output = module.Forward(Scope(context), BorrowActivation(x));
    const Tensor grad_input = Differentiate(module, context, Load(name + "/grad_output"));
    EXPECT_LE(RelativeError(*output, Load(name + "/output")), options.tolerance);
    EXPECT_LE(RelativeError(grad_input, Load(name + "/grad_input")), options.tolerance);
    ExpectNear(gradients, LoadCollection(name + "/grads"), options.tolerance, "gradient");
    ExpectNear(variables[std::string(kBatchStats)], LoadCollection(name + "/batch_stats"), options.tolerance,
               "statistics");
  });
}

template <class M>
Sequential One(M module) {
  Sequential model;
  model.Add(std::move(module));
  return model;
}

const Initializer kNormal = initializers::NormalInitializer(1.0f);

BatchNorm MakeBatchNorm(Variance variance, int axis = -1) {
  return BatchNorm({.axis = axis, .momentum = 0.9, .scale_init = kNormal, .bias_init = kNormal, .variance = variance});
}

// What a user writes who has a mask.
class MaskedBatchNorm : public Module {
 public:
  MaskedBatchNorm(Variance variance, const Tensor& mask) : norm_(MakeBatchNorm(variance)) {
    for (const float keep : mask.span()) mask_.push_back(keep != 0);
  }
  std::string_view TypeName() const override { return "MaskedBatchNorm"; }
  Shape Init(InitScope scope, const Shape& input) const override {
    return norm_.Init(scope.Child("BatchNorm_0"), input);
  }
  Activation Forward(const Scope& scope, Activation input) const override {
    return norm_.Forward(scope.Child("BatchNorm_0"), std::move(input), {.mask = mask_});
  }
  Tensor Backward(const Scope& scope, Tensor grad_output) const override {
    return norm_.Backward(scope.Child("BatchNorm_0"), std::move(grad_output), {.mask = mask_});
  }

 private:
  BatchNorm norm_;
  std::vector<uint8_t> mask_;
};

TEST(FlaxLayersTest, DenseAndConv) {
  ExpectFlaxs("dense", One(Dense({.features = 7, .bias_init = kNormal})));
  ExpectFlaxs("dense_he_uniform",
              One(Dense({.features = 4, .use_bias = false, .kernel_init = initializers::HeUniform()})));
  ExpectFlaxs("conv", One(Conv({.features = 6, .stride = {2, 2}, .bias_init = kNormal})));
  ExpectFlaxs(
      "conv_dilated",
      One(Conv(
          {.features = 9, .kernel_size = {3, 2}, .padding = Padding::Valid(), .dilation = {2, 2}, .use_bias = false})));
  ExpectFlaxs("conv_groups", One(Conv({.features = 10, .groups = 5, .kernel_init = initializers::GlorotNormal()})));
}

TEST(FlaxLayersTest, BatchNorm) {
  ExpectFlaxs("batch_norm", One(MakeBatchNorm(Variance::kFast)));
  ExpectFlaxs("batch_norm_axis", One(MakeBatchNorm(Variance::kFast, 1)));
  ExpectFlaxs("batch_norm_eval", One(MakeBatchNorm(Variance::kFast)), {.mode = Mode::kEval});
  // The gradient is 0; what is left of it is rounding, times 1/√epsilon.
  ExpectFlaxs("batch_norm_one_row", One(MakeBatchNorm(Variance::kFast)), {.tolerance = 2e-5});
  ExpectFlaxs("batch_norm_constant", One(MakeBatchNorm(Variance::kFast)));
  ExpectFlaxs("batch_norm_masked_fast", MaskedBatchNorm(Variance::kFast, Load("batch_norm_masked_fast/mask")));
  for (const Variance variance : {Variance::kTwoPass, Variance::kStable}) {
    ExpectFlaxs("batch_norm_two_pass", One(MakeBatchNorm(variance)));
    ExpectFlaxs("batch_norm_constant_two_pass", One(MakeBatchNorm(variance)));
    ExpectFlaxs("batch_norm_masked", MaskedBatchNorm(variance, Load("batch_norm_masked/mask")));
    // mean/std is 1000: Flax's own mean, in float32, is off by 1e-7 of the mean.
    ExpectFlaxs("batch_norm_far", One(MakeBatchNorm(variance)), {.tolerance = 5e-4});
  }
}

TEST(FlaxLayersTest, Others) {
  ExpectFlaxs("relu", One(Relu()));
  ExpectFlaxs("max_pool", One(MaxPool({.window = {3, 2}, .stride = {2, 1}, .padding = Padding::Same()})));
  ExpectFlaxs("average_pool", One(AveragePool({.window = {2, 2}, .stride = {2, 2}})));
  ExpectFlaxs("global_average_pool", One(GlobalAveragePool()));
  ExpectFlaxs("dropout", One(Dropout({.rate = 0.3f})), {.dropout_key = KeyFromSeed(8)});
}

TEST(FlaxLayersTest, Optimizers) {
  struct Case {
    std::string name;
    OptimizerOptions options;
    float learning_rate = 0.1f;
  };
  const Case cases[] = {{"sgd", {.momentum = 0}},
                        {"momentum", {.momentum = 0.9f, .nesterov = false}},
                        {"nesterov", {.momentum = 0.9f, .nesterov = true}},
                        {"nesterov_decay", {.momentum = 0.9f, .nesterov = true, .weight_decay = 1e-2f}},
                        {"adam", {.kind = OptimizerKind::kAdam}, 1e-2f},
                        {"adamw", {.kind = OptimizerKind::kAdamW, .weight_decay = 1e-2f, .decay_all = true}, 1e-2f},
                        {"clipped", {.momentum = 0, .clip_norm = 1.0f}}};
  ForEachTarget([&](const std::string&) {
    for (const Case& test : cases) {
      const std::string at = "optimizer_" + test.name + "/";
      const Optimizer optimizer(test.options);
      Collection params = LoadCollection(at + "params");
      Collection state = optimizer.Init(params);
      for (int64_t step = 0; step < 5; ++step) {
        Collection gradients = LoadCollection(at + "grads");
        for (auto& [path, gradient] : gradients) {
          for (float& value : gradient.span()) {
            value *= static_cast<float>((step % 2 == 0 ? 1.0 : -1.0) / static_cast<double>(step + 1));
          }
        }
        optimizer.Update(test.learning_rate, step + 1, Gradients::CopyOf(gradients), params, state);
        ExpectNear(params, LoadCollection(StrCat(at, "after", step)), 5e-7, at);
      }
    }
  });
}

}  // namespace
}  // namespace hwynn
