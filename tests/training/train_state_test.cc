// The training step: what it leaves when it fails, and what it does with params that a model skips.

#include "hwynn/training/train_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"

namespace hwynn {
namespace {

using testing::ExpectError;
using testing::Normals;

const std::vector<int32_t> kLabels{0, 1, 2, 0, 1, 2};

bool SameBits(const Collection& a, const Collection& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [path, values] : a) {
    if (std::memcmp(values.data(), b.at(path).data(), values.span().size_bytes()) != 0) return false;
  }
  return true;
}

TrainState Copy(const TrainState& state) {
  return {{Clone(state.variables), Clone(state.opt_state), state.step}, state.epoch_sums};
}

void ExpectSame(const TrainState& actual, const TrainState& expected) {
  EXPECT_EQ(actual.step, expected.step);
  EXPECT_TRUE(SameBits(actual.opt_state, expected.opt_state));
  for (const auto& [name, collection] : expected.variables) {
    EXPECT_TRUE(SameBits(GetCollection(actual.variables, name), collection)) << name;
  }
}

/// Passes values on; its Backward multiplies the gradient, or throws.
class Meddler : public Module {
 public:
  std::string_view TypeName() const override { return "Meddler"; }
  Shape Init(InitScope, const Shape& input) const override { return input; }
  Activation Forward(const Scope& scope, Activation input) const override {
    Tensor output = scope.NewTensor(input.shape());
    for (int64_t i = 0; i < output.size(); ++i) output[i] = (*input)[i] * forward;
    return MakeActivation(std::move(output));
  }
  Tensor Backward(const Scope&, Tensor grad_output) const override {
    if (throws) throw std::logic_error("meddled");
    for (float& value : grad_output.span()) value *= backward;
    return grad_output;
  }
  float forward = 1.0f, backward = 1.0f;
  bool throws = false;
};

class StepperTest : public ::testing::Test {
 protected:
  StepperTest() {
    model_.Add(Dense({.features = 5})).Add(BatchNorm({.momentum = 0.5}));
    model_.Add(meddler_).Add(Dense({.features = 3}));
    state_ = CreateTrainState(model_, kOptions, KeyFromSeed(1), {4});
  }

  static constexpr OptimizerOptions kOptions{.momentum = 0.9f, .weight_decay = 0.01f};
  std::shared_ptr<Meddler> meddler_ = std::make_shared<Meddler>();
  Sequential model_;
  TrainState state_;
  Tensor images_ = Normals({6, 4}, 1);
};

TEST_F(StepperTest, ALossThatIsntFiniteChangesNothing) {
  Stepper stepper(model_, kOptions);
  stepper.Train(images_, kLabels, 0.1f, Key{}, state_);
  const TrainState before = Copy(state_);
  meddler_->forward = NAN;
  ExpectError<std::runtime_error>([&] { stepper.Train(images_, kLabels, 0.1f, Key{}, state_); }, {"loss", "step 2"});
  ExpectSame(state_, before);
  // And the next step is the one that it would have been.
  meddler_->forward = 1.0f;
  stepper.Train(images_, kLabels, 0.1f, Key{}, state_);
  TrainState other = Copy(before);
  Stepper(model_, kOptions).Train(images_, kLabels, 0.1f, Key{}, other);
  ExpectSame(state_, other);
  EXPECT_FALSE(SameBits(state_.variables.at("batch_stats"), before.variables.at("batch_stats")));
}

TEST_F(StepperTest, AGradientThatIsntFiniteChangesNothing) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    const OptimizerOptions options{.kind = kind, .clip_norm = 1.0f};
    Stepper stepper(model_, options);
    state_ = CreateTrainState(model_, options, KeyFromSeed(1), {4});
    meddler_->backward = 1.0f;
    stepper.Train(images_, kLabels, 0.1f, Key{}, state_);
    const TrainState before = Copy(state_);
    meddler_->backward = INFINITY;
    ExpectError<std::runtime_error>([&] { stepper.Train(images_, kLabels, 0.1f, Key{}, state_); },
                                    {"gradient", "step 2"});
    ExpectSame(state_, before);
  }
}

TEST_F(StepperTest, AModuleThatThrowsChangesNothing) {
  Stepper stepper(model_, kOptions);
  const TrainState before = Copy(state_);
  meddler_->throws = true;
  EXPECT_THROW(stepper.Train(images_, kLabels, 0.1f, Key{}, state_), std::logic_error);
  ExpectSame(state_, before);
  meddler_->throws = false;
  TrainState other = Copy(before);
  stepper.Train(images_, kLabels, 0.1f, Key{}, state_);
  Stepper(model_, kOptions).Train(images_, kLabels, 0.1f, Key{}, other);
  ExpectSame(state_, other);
}

// The loss, and so the gradient, is the mean of those of both labels by their shares.
TEST_F(StepperTest, MixedImagesAreTrainedOnBothOfTheirLabels) {
  const std::vector<int32_t> second_labels{2, 2, 1, 0, 0, 1};
  const TrainState before = Copy(state_);
  const auto loss = [&](const std::vector<int32_t>& labels) {
    TrainState state = Copy(before);
    return Stepper(model_, kOptions).Train(images_, labels, 0.1f, Key{}, state).loss;
  };
  const CrossEntropyOptions both{.second_labels = second_labels, .first_share = 0.75f};
  const double mixed = Stepper(model_, kOptions).Train(images_, kLabels, both, 0.1f, Key{}, state_).loss;
  EXPECT_NEAR(mixed, 0.75 * loss(kLabels) + 0.25 * loss(second_labels), 1e-6);
  EXPECT_GT(std::abs(loss(kLabels) - loss(second_labels)), 1e-3);
  TrainState plain = Copy(before);
  Stepper(model_, kOptions).Train(images_, kLabels, 0.1f, Key{}, plain);
  EXPECT_FALSE(SameBits(GetCollection(plain.variables, kParams), GetCollection(state_.variables, kParams)));
}

// The views that a host holds of the state's arrays stay good: values change in place.
TEST_F(StepperTest, ChangesValuesInPlace) {
  Stepper stepper(model_, kOptions);
  const float* mean = GetCollection(state_.variables, kBatchStats).find("BatchNorm_0/mean")->second.data();
  EXPECT_EQ(mean[0], 0.0f);
  stepper.Train(images_, kLabels, 0.1f, Key{}, state_);
  EXPECT_EQ(GetCollection(state_.variables, kBatchStats).find("BatchNorm_0/mean")->second.data(), mean);
  EXPECT_NE(mean[0], 0.0f);
}

/// A layer that some steps leave out.
class Skipping : public Module {
 public:
  std::string_view TypeName() const override { return "Skipping"; }
  Shape Init(InitScope scope, const Shape& input) const override { return layer_.Init(scope.Child("layer"), input); }
  Activation Forward(const Scope& scope, Activation input) const override {
    return skip ? input : layer_.Forward(scope.Child("layer"), std::move(input));
  }
  Tensor Backward(const Scope& scope, Tensor grad_output) const override {
    return skip ? std::move(grad_output) : layer_.Backward(scope.Child("layer"), std::move(grad_output));
  }
  bool skip = false;

 private:
  Dense layer_{{.features = 4}};
};

TEST(StepperSkipTest, AParamThatAStepSkipsStaysAsItIs) {
  const auto skipping = std::make_shared<Skipping>();
  Sequential model;
  model.Add("skipping", skipping).Add(Dense({.features = 3}));
  const OptimizerOptions options{.momentum = 0.0f, .nesterov = false};
  TrainState state = CreateTrainState(model, options, KeyFromSeed(1), {4});
  Stepper stepper(model, options);
  const Tensor images = Normals({6, 4}, 1);
  stepper.Train(images, kLabels, 0.1f, Key{}, state);
  const Collection before = Clone(GetCollection(state.variables, kParams));
  skipping->skip = true;
  stepper.Train(images, kLabels, 0.1f, Key{}, state);
  const Collection& after = GetCollection(state.variables, kParams);
  EXPECT_EQ(std::memcmp(after.at("skipping/layer/kernel").data(), before.at("skipping/layer/kernel").data(), 64), 0);
  EXPECT_NE(after.at("Dense_0/kernel")[0], before.at("Dense_0/kernel")[0]);
}

// A Stepper may go on with another model's state: its memory follows.
TEST(StepperSkipTest, FollowsTheStateThatItIsGiven) {
  Sequential model;
  model.Add(Dense({.features = 3}));
  Stepper stepper(model, {});
  TrainState narrow = CreateTrainState(model, {}, KeyFromSeed(1), {4});
  TrainState wide = CreateTrainState(model, {}, KeyFromSeed(1), {7});
  stepper.Train(Normals({6, 4}, 1), kLabels, 0.1f, Key{}, narrow);
  stepper.Train(Normals({6, 7}, 1), kLabels, 0.1f, Key{}, wide);
  EXPECT_EQ(wide.step, 1);
}

// Loss and hits are reported without smoothing, whatever training has.
TEST(StepperEvaluateTest, LeavesLabelSmoothingOut) {
  Sequential model;
  model.Add(Dense({.features = 3}));
  const TrainState state = CreateTrainState(model, {}, KeyFromSeed(1), {4});
  const Tensor images = Normals({6, 4}, 1);
  const LossResult smoothed = Stepper(model, {}, {.label_smoothing = 0.5f}).Evaluate(images, kLabels, state.variables);
  const LossResult plain = Stepper(model).Evaluate(images, kLabels, state.variables);
  EXPECT_EQ(smoothed.loss, plain.loss);
  EXPECT_EQ(smoothed.correct, plain.correct);
}

}  // namespace
}  // namespace hwynn
