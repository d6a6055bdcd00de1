// Flax's two ways over the same layers: Apply and ValueAndGrad, nnx::Model and its keys.

#include "hwynn/module/functional.h"

#include <gtest/gtest.h>

#include <cstring>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/dropout.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/module/nnx.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"
#include "hwynn/training/nnx_optimizer.h"

namespace hwynn {
namespace {

using testing::Describe;
using testing::ExpectError;
using testing::MaxDifference;

Sequential Net() {
  Sequential net;
  net.Add("linear", Dense({.features = 4})).Add("bn", BatchNorm({.momentum = 0.5}));
  return net;
}

Tensor Input() {
  Tensor input({6, 3});
  Normal(KeyFromSeed(3), input.span());
  return input;
}

bool SameBits(ConstTensorView a, ConstTensorView b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), sizeof(float) * static_cast<size_t>(a.size())) == 0;
}

TEST(ApplyTest, ReturnsMutableCollectionsAndChangesNothing) {
  const Sequential net = Net();
  const Tensor x = Input();
  const Variables variables = Init(net, KeyFromSeed(0), x.shape());
  const ApplyResult trained = Apply(net, variables, x, {.mode = Mode::kTrain, .mutable_collections = {"batch_stats"}});
  EXPECT_EQ(variables.at("batch_stats").at("bn/mean")[0], 0.0f);
  ASSERT_EQ(trained.updates.size(), 1u);
  EXPECT_NE(trained.updates.at("batch_stats").at("bn/mean")[0], 0.0f);
  EXPECT_TRUE(Apply(net, variables, x).updates.empty());

  Variables next = Clone(variables);
  Replace(next, Clone(trained.updates));
  EXPECT_TRUE(SameBits(next.at("batch_stats").at("bn/var"), trained.updates.at("batch_stats").at("bn/var")));
  EXPECT_TRUE(SameBits(next.at("params").at("linear/kernel"), variables.at("params").at("linear/kernel")));
}

TEST(ApplyTest, TrainingWithoutMutableStatisticsIsAnError) {
  const Sequential net = Net();
  const Tensor x = Input();
  const Variables variables = Init(net, KeyFromSeed(0), x.shape());
  ExpectError<std::invalid_argument>(
      [&] { Apply(net, variables, x, {.mode = Mode::kTrain}); },
      {"Cannot update variable \"mean\" in \"/bn\" because collection \"batch_stats\" is immutable."});
  ExpectError<std::invalid_argument>([&] { Apply(net, variables, ConstTensorView()); }, {"Apply", "empty"});
}

TEST(ApplyTest, MissingMutableCollectionsStartAsInitMakesThem) {
  const Sequential net = Net();
  const Tensor x = Input();
  const Variables variables = Init(net, KeyFromSeed(0), x.shape());
  Variables params_only;
  params_only["params"] = Clone(variables.at("params"));
  const ApplyOptions options{.mode = Mode::kTrain, .mutable_collections = {"batch_stats"}};
  EXPECT_TRUE(SameBits(Apply(net, params_only, x, options).updates.at("batch_stats").at("bn/mean"),
                       Apply(net, variables, x, options).updates.at("batch_stats").at("bn/mean")));
  ExpectError<std::invalid_argument>(
      [&] { Apply(net, params_only, x); },
      {"Tried to access \"mean\" from collection \"batch_stats\" in \"/bn\" but the collection is empty."});
}

TEST(ValueAndGradTest, IsTheLosssDerivative) {
  const Sequential net = Net();
  const Tensor x = Input();
  Tensor target({6, 4});
  Normal(KeyFromSeed(4), target.span());
  Variables variables = Init(net, KeyFromSeed(0), x.shape());
  const auto loss = [&](ConstTensorView output) { return MeanSquaredError(output, target); };
  const ApplyOptions options{.mode = Mode::kTrain, .mutable_collections = {"batch_stats"}};
  const ValueAndGradResult result = ValueAndGrad(net, variables, x, loss, options);
  EXPECT_EQ(result.value, loss(*Apply(net, variables, x, options).output).value);

  float& weight = variables["params"].at("bn/scale")[1];
  const float before = weight;
  const float step = 1.0f / 64;
  weight = before + step;
  const double above = ValueAndGrad(net, variables, x, loss, options).value;
  weight = before - step;
  const double below = ValueAndGrad(net, variables, x, loss, options).value;
  EXPECT_NEAR(result.gradients.at("bn/scale")[1], (above - below) / (2 * step), 1e-4);

  ExpectError<std::invalid_argument>(
      [&] {
        ValueAndGrad(
            net, variables, x, [](ConstTensorView) { return Loss{.gradient = Tensor({2})}; }, options);
      },
      {"[2]", "[6,4]"});
}

TEST(BatchNormCallTest, FollowsTheRulesOfBothFlavours) {
  const Tensor x = Input();
  class Caller : public Module {
   public:
    Caller(std::optional<bool> constructor, std::optional<bool> call)
        : norm_({.use_running_average = constructor}), call_(call) {}
    std::string_view TypeName() const override { return "Caller"; }
    Shape Init(InitScope scope, const Shape& input) const override { return norm_.Init(scope.Child("bn"), input); }
    Activation Forward(const Scope& scope, Activation input) const override {
      return norm_.Forward(scope.Child("bn"), std::move(input), {.use_running_average = call_});
    }
    Tensor Backward(const Scope&, Tensor) const override { return {}; }

   private:
    BatchNorm norm_;
    std::optional<bool> call_;
  };
  const auto is_identity = [&](ConstTensorView output) { return MaxDifference(output, x) < 1e-4; };

  // Linen: exactly one.
  ExpectError<std::invalid_argument>(
      [&] {
        const Caller both(true, true);
        Apply(both, Init(both, Key{}, x.shape()), x);
      },
      {"Parameter \"use_running_average\" was passed to the constructor and at call time. Should be passed just "
       "once."});
  const Caller in_call({}, true);
  EXPECT_TRUE(is_identity(*Apply(in_call, Init(in_call, Key{}, x.shape()), x, {.mode = Mode::kTrain}).output));
  // NNX: the call's.
  nnx::Rngs rngs(0);
  nnx::Model call_true(Caller(false, true), x.shape(), rngs);
  EXPECT_TRUE(is_identity(*call_true(x)));
  nnx::Model call_false(Caller(true, false), x.shape(), rngs);
  call_false.Eval();
  EXPECT_FALSE(is_identity(*call_false(x)));
}

// nnx.Rngs(0): draws 0, 1, 2 as flax.nnx documents them.
TEST(NnxTest, KeysFollowTheOrderOfDraws) {
  nnx::Rngs rngs(0);
  EXPECT_EQ(rngs.Draw("params"), (Key{1797259609, 2579123966}));
  EXPECT_EQ(rngs.Draw("dropout"), (Key{928981903, 3453687069}));
  EXPECT_EQ(rngs.Draw(), (Key{4146024105, 2718843009}));
  nnx::Rngs separate({{"params", 42}, {"dropout", 0}});
  EXPECT_EQ(separate.Draw("dropout"), (Key{1797259609, 2579123966}));
  EXPECT_EQ(separate.Draw("params"), (Key{1832780943, 270669613}));
  ExpectError<std::invalid_argument>([&] { separate.Draw("noise"); }, {"No RngStream named 'noise' found in Rngs."});
}

TEST(NnxTest, ModelsStartWithNnxsWeights) {
  Sequential net;
  net.Add("a", Dense({.features = 4})).Add("b", Dense({.features = 4}));
  nnx::Rngs rngs(0);
  nnx::Model model(net, {1, 4}, rngs);
  // nnx.Linear(4, 4, rngs=nnx.Rngs(0)): draws 0 and 2.
  const TensorView a = model.Get(kParams, "a/kernel");
  const TensorView b = model.Get(kParams, "b/kernel");
  EXPECT_EQ(a[0], 0.5350889f);
  EXPECT_EQ(a[3], -0.61925626f);
  EXPECT_EQ(b[0], 0.67979455f);
  EXPECT_EQ(b[3], -0.4147039f);
  ExpectError<std::invalid_argument>([&] { model.Get(kParams, "c/kernel"); }, {"c/kernel", "params"});
}

TEST(NnxTest, DropoutDrawsAnewInEachTrainingCall) {
  Sequential net;
  net.Add(Dense({.features = 8})).Add(Dropout({.rate = 0.5f}));
  nnx::Rngs rngs(0);
  nnx::Model model(net, {1, 3}, rngs);
  const Tensor x = Input();
  const Activation first = model(x);
  const Activation second = model(x);
  EXPECT_GT(MaxDifference(*first, *second), 0);
  model.Eval();
  EXPECT_EQ(MaxDifference(*model(x), *model(x)), 0);
  // The constructor took draw 2 for the stream, whose first key is fold_in(draw 2, 0).
  std::vector<uint8_t> keep(static_cast<size_t>(first->size()));
  Bernoulli(FoldIn(Key{4146024105, 2718843009}, 0), 0.5f, keep);
  for (int64_t i = 0; i < first->size(); ++i) EXPECT_EQ((*first)[i] != 0, keep[static_cast<size_t>(i)] != 0) << i;
}

// A Dropout takes a stream, and with it a draw, whatever its rate is: what comes behind it has the same keys.
TEST(NnxTest, EveryDropoutTakesADraw) {
  const auto kernel_behind = [](float rate) {
    Sequential net;
    net.Add("dropout", Dropout({.rate = rate})).Add("dense", Dense({.features = 8}));
    nnx::Rngs rngs(0);
    nnx::Model model(net, {1, 3}, rngs);
    return Clone(model.Get(kParams, "dense/kernel"));
  };
  EXPECT_TRUE(SameBits(kernel_behind(0.0f), kernel_behind(0.5f)));
}

TEST(NnxTest, ValueAndGradDrawsAnewInEachCall) {
  nnx::Rngs rngs(0);
  nnx::Model model(Sequential().Add(Dropout({.rate = 0.5f})), {1, 40}, rngs);
  const Tensor ones({2, 40}, 1.0f), target({2, 40}, 0.0f);
  const auto loss = [&](ConstTensorView output) { return MeanSquaredError(output, target); };
  const ValueAndGradResult first = nnx::ValueAndGrad(model, ones, loss);
  const ValueAndGradResult second = nnx::ValueAndGrad(model, ones, loss);
  EXPECT_GT(MaxDifference(*first.output, *second.output), 0);
  // A call of another kind goes on where it ended: draw 2 of the stream.
  std::vector<uint8_t> keep(80);
  Bernoulli(FoldIn(Key{1797259609, 2579123966}, 2), 0.5f, keep);
  const Activation third = model(ones);
  for (int64_t i = 0; i < 80; ++i) EXPECT_EQ((*third)[i] != 0, keep[static_cast<size_t>(i)] != 0) << i;
  // A call that fails draws nothing.
  ExpectError<std::invalid_argument>(
      [&] { nnx::ValueAndGrad(model, ones, [](ConstTensorView) { return Loss{.gradient = Tensor({2})}; }); }, {"[2]"});
  Bernoulli(FoldIn(Key{1797259609, 2579123966}, 3), 0.5f, keep);
  const Activation fourth = model(ones);
  for (int64_t i = 0; i < 80; ++i) EXPECT_EQ((*fourth)[i] != 0, keep[static_cast<size_t>(i)] != 0) << i;
}

TEST(NnxTest, OptimizerChangesWhatWrtSelects) {
  nnx::Rngs rngs(0);
  const Tensor x = Input();
  const Tensor target({6, 4}, 0.25f);
  nnx::Model model(Net(), x.shape(), rngs);
  const auto loss = [&](ConstTensorView output) { return MeanSquaredError(output, target); };
  const Collection before = Clone(GetCollection(model.variables(), kParams));
  nnx::Optimizer optimizer(model, {.momentum = 0}, {.collection = kParams, .where = [](std::string_view path) {
                                                      return path.starts_with("bn/");
                                                    }});
  const ValueAndGradResult result = nnx::ValueAndGrad(model, x, loss);
  EXPECT_NE(model.Get(kBatchStats, "bn/mean")[0], 0.0f);
  const Tensor mean = Clone(model.Get(kBatchStats, "bn/mean"));
  optimizer.Update(model, result.gradients, 0.5f);
  EXPECT_EQ(optimizer.step(), 1);
  EXPECT_TRUE(SameBits(model.Get(kBatchStats, "bn/mean"), mean));
  EXPECT_TRUE(SameBits(model.Get(kParams, "linear/kernel"), before.at("linear/kernel")));
  for (int64_t c = 0; c < 4; ++c) {
    EXPECT_NEAR(model.Get(kParams, "bn/bias")[c], before.at("bn/bias")[c] - 0.5f * result.gradients.at("bn/bias")[c],
                1e-6);
  }
  EXPECT_EQ(Describe(GetCollection(model.variables(), kParams)), Describe(before));

  ExpectError<std::invalid_argument>([&] { nnx::Optimizer(model, {}, {.collection = kBatchStats}); }, {"batch_stats"});
  ExpectError<std::invalid_argument>(
      [&] { nnx::Optimizer(model, {}, {.collection = kParams, .where = [](std::string_view) { return false; }}); },
      {"selects none"});
  ExpectError<std::invalid_argument>([&] { optimizer.Update(model, {}, 0.1f); }, {"bn/bias"});
  EXPECT_EQ(Describe(GetCollection(model.variables(), kParams)), Describe(before));
}

// What isn't selected has no part in the norm that is clipped.
TEST(NnxTest, ClipsTheNormOfWhatWrtSelects) {
  nnx::Rngs rngs(0);
  nnx::Model model(Net(), {1, 3}, rngs);
  nnx::Optimizer optimizer(
      model, {.momentum = 0, .nesterov = false, .clip_norm = 1},
      {.collection = kParams, .where = [](std::string_view path) { return path.starts_with("bn/"); }});
  Gradients gradients(GetCollection(model.variables(), kParams));
  for (float& value : gradients.at("linear/kernel").span()) value = 1000.0f;
  for (float& value : gradients.at("bn/bias").span()) value = 0.25f;  // norm 0.5
  optimizer.Update(model, gradients, 1.0f);
  for (int64_t c = 0; c < 4; ++c) EXPECT_EQ(model.Get(kParams, "bn/bias")[c], -0.25f);
  for (float& value : gradients.at("bn/bias").span()) value = 2.0f;  // norm 4
  optimizer.Update(model, gradients, 1.0f);
  for (int64_t c = 0; c < 4; ++c) EXPECT_EQ(model.Get(kParams, "bn/bias")[c], -0.75f);
}

// `where` is asked when the optimizer is made, never with a model half in pieces.
TEST(NnxTest, AWhereThatThrowsLosesNothing) {
  nnx::Rngs rngs(0);
  nnx::Model model(Net(), {1, 3}, rngs);
  const std::vector<std::string> before = Describe(GetCollection(model.variables(), kParams));
  int asked = 0;
  const int throws_at = 3;
  const auto where = [&](std::string_view) {
    if (++asked == throws_at) throw std::runtime_error("where");
    return true;
  };
  EXPECT_THROW(nnx::Optimizer(model, {}, {.collection = kParams, .where = where}), std::runtime_error);
  EXPECT_EQ(Describe(GetCollection(model.variables(), kParams)), before);
  asked = -2;  // of four params: the constructor's questions pass, the next would throw
  nnx::Optimizer optimizer(model, {}, {.collection = kParams, .where = where});
  EXPECT_NO_THROW(optimizer.Update(model, Gradients(GetCollection(model.variables(), kParams)), 0.1f));
  EXPECT_EQ(Describe(GetCollection(model.variables(), kParams)), before);
}

// A call whose loss throws leaves the running statistics as they were.
TEST(NnxTest, ACallThatThrowsChangesNothing) {
  nnx::Rngs rngs(0);
  const Tensor x = Input();
  nnx::Model model(Net(), x.shape(), rngs);
  EXPECT_THROW(nnx::ValueAndGrad(model, x, [](ConstTensorView) -> Loss { throw std::runtime_error("loss"); }),
               std::runtime_error);
  EXPECT_EQ(model.Get(kBatchStats, "bn/mean")[0], 0.0f);
  model(x);
  EXPECT_NE(model.Get(kBatchStats, "bn/mean")[0], 0.0f);
}

}  // namespace
}  // namespace hwynn
