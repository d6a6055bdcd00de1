#include "hwynn/layers/dropout.h"

#include <gtest/gtest.h>

#include "hwynn/layers/sequential.h"
#include "hwynn/module/nnx.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::CheckGradients;
using testing::ExpectError;
using testing::ModuleBed;
using testing::Normals;

// Flax: Dropout_0 in a model, rate 0.5, key(1), shape (1,4) keeps the first two.
TEST(DropoutTest, DrawsFlaxElements) {
  Sequential net;
  net.Add(Dropout());
  const Variables variables = Init(net, KeyFromSeed(0), {1, 4});
  const Workspace workspace;
  LinenRules rules(KeyFromSeed(1));
  const CallContext context{.workspace = &workspace, .variables = &variables, .mode = Mode::kTrain, .rules = &rules};
  const Tensor input = Normals({1, 4}, 1);
  const Activation output = net.Forward(Scope(context), BorrowActivation(input));
  EXPECT_EQ((*output)[0], 2.0f * input[0]);
  EXPECT_EQ((*output)[1], 2.0f * input[1]);
  EXPECT_EQ((*output)[2], 0.0f);
  EXPECT_EQ((*output)[3], 0.0f);
}

TEST(DropoutTest, ForwardAndBackwardDropTheSameElements) {
  const Dropout dropout({.rate = 0.25f});
  ModuleBed bed(dropout, {50, 20});
  const Activation output = bed.Forward(Mode::kTrain);
  const Tensor grad_output = Normals({50, 20}, 2);
  const Tensor grad_input = bed.Backward(Mode::kTrain, grad_output);
  int64_t kept = 0;
  for (int64_t i = 0; i < output->size(); ++i) {
    const bool keep = (*output)[i] != 0.0f;
    if (keep) ++kept;
    EXPECT_FLOAT_EQ((*output)[i], keep ? bed.input[i] / 0.75f : 0.0f);
    EXPECT_FLOAT_EQ(grad_input[i], keep ? grad_output[i] / 0.75f : 0.0f);
  }
  EXPECT_NEAR(static_cast<double>(kept), 750.0, 60.0);  // 4 standard deviations are 55
  CheckGradients(dropout, {5, 4});
}

// Calls its one child twice, at one path.
class Twice : public Module {
 public:
  explicit Twice(DropoutOptions options) : child_(options) {}
  std::string_view TypeName() const override { return "Twice"; }
  Shape Init(InitScope scope, const Shape& input) const override { return child_.Init(scope.Child("Dense_0"), input); }
  Activation Forward(const Scope& scope, Activation input) const override {
    const Scope child = scope.Child("Dense_0");
    return child_.Forward(child, child_.Forward(child, std::move(input)));
  }
  Tensor Backward(const Scope& scope, Tensor grad_output) const override {
    const Scope child = scope.Child("Dense_0");
    return child_.Backward(child, child_.Backward(child, std::move(grad_output)));
  }

 private:
  Dropout child_;
};

// make_rng counts the draws of a scope: its first two keys under key(0) in "Dense_0" are those that Flax gives the
// kernel and the bias of a Dense there.
TEST(DropoutTest, CalledTwiceDrawsTheScopesNextKey) {
  const Twice twice({.rate = 0.5f});
  ModuleBed bed(twice, {40, 10});
  bed.input = Tensor({40, 10}, 1.0f);
  LinenRules rules(KeyFromSeed(0));
  CallContext context = bed.Context(Mode::kTrain);
  context.rules = &rules;
  const Activation output = twice.Forward(Scope(context), BorrowActivation(bed.input));
  const Tensor grad_input = twice.Backward(Scope(context), Tensor({40, 10}, 1.0f));
  std::vector<uint8_t> first(400), second(400);
  Bernoulli(Key{3043437727, 3662875008}, 0.5f, first);
  Bernoulli(Key{2912151818, 3648475384}, 0.5f, second);
  EXPECT_NE(first, second);
  for (size_t i = 0; i < first.size(); ++i) {
    const float expected = first[i] != 0 && second[i] != 0 ? 4.0f : 0.0f;
    EXPECT_EQ((*output)[static_cast<int64_t>(i)], expected);
    EXPECT_EQ(grad_input[static_cast<int64_t>(i)], expected);
  }
}

// In NNX too, each draw of a module's stream gives another key.
TEST(DropoutTest, CalledTwiceDrawsTheStreamsNextKey) {
  nnx::Rngs rngs(0);
  nnx::Model model(Twice({.rate = 0.5f}), {40, 10}, rngs);
  const Tensor ones({40, 10}, 1.0f);
  uint32_t draws = 0;
  for (int call = 0; call < 2; ++call) {
    const Activation output = model(ones);
    std::vector<uint8_t> first(400), second(400);
    // nnx.Rngs(0)'s draw 0 is the key of the stream.
    Bernoulli(FoldIn(Key{1797259609, 2579123966}, draws++), 0.5f, first);
    Bernoulli(FoldIn(Key{1797259609, 2579123966}, draws++), 0.5f, second);
    for (size_t i = 0; i < first.size(); ++i) {
      EXPECT_EQ((*output)[static_cast<int64_t>(i)], first[i] != 0 && second[i] != 0 ? 4.0f : 0.0f) << call;
    }
  }
}

TEST(DropoutTest, IsTheIdentityInEvaluation) {
  const Dropout dropout;
  ModuleBed bed(dropout, {5, 4});
  EXPECT_EQ(bed.Forward(Mode::kEval)->data(), bed.input.data());
  EXPECT_TRUE(bed.tape.empty());
}

TEST(DropoutTest, NamesAMissingKeyAndABadRate) {
  const Dropout dropout;
  ModuleBed bed(dropout, {5, 4});
  CallContext context = bed.Context(Mode::kTrain);
  context.rules = nullptr;
  ExpectError<std::invalid_argument>([&] { dropout.Forward(Scope(context), BorrowActivation(bed.input)); },
                                     {"dropout_key"});
  ExpectError<std::invalid_argument>([] { Dropout({.rate = 1.0f}); }, {"rate (1)"});
}

}  // namespace
}  // namespace hwynn
