// Scopes, the tape, Predict: what every module stands on.

#include "hwynn/layers/module.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/relu.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::ExpectError;
using testing::ModuleBed;
using testing::Normals;

Sequential SmallNet() {
  Sequential net;
  net.Add(Dense({.features = 4})).Add(BatchNorm({.relu = true})).Add(Dense({.features = 2}));
  return net;
}

TEST(TapeTest, IsAStack) {
  const Relu relu;
  Tape tape;
  tape.Push(&relu, MakeActivation(Tensor({1}, 1.0f)));
  tape.Push(&relu, MakeActivation(Tensor({1}, 2.0f)));
  EXPECT_EQ((*tape.Pop(&relu))[0], 2.0f);
  EXPECT_EQ((*tape.Pop(&relu))[0], 1.0f);
  EXPECT_TRUE(tape.empty());
}

TEST(TapeTest, NamesBothModulesOfAMismatch) {
  const Relu relu;
  const Dense dense({.features = 1});
  Tape tape;
  ExpectError<std::invalid_argument>([&] { tape.Pop(&relu); }, {"Relu", "empty"});
  tape.Push(&dense, MakeActivation(Tensor({1}, 1.0f)));
  ExpectError<std::invalid_argument>([&] { tape.Pop(&relu); }, {"Relu found an entry of Dense", "reverse order"});
  EXPECT_FALSE(tape.empty());
}

TEST(TapeTest, BackwardTwiceIsAnError) {
  const Sequential net = SmallNet();
  ModuleBed bed(net, {3, 5});
  const Tensor grad = Normals({3, 2}, 5);
  bed.Backward(Mode::kTrain, grad);
  const CallContext context = bed.Context(Mode::kTrain);
  ExpectError<std::invalid_argument>([&] { net.Backward(Scope(context), grad.Clone()); }, {"Dense", "empty"});
}

TEST(ScopeTest, NamesWhatIsMissing) {
  const Sequential net = SmallNet();
  ModuleBed bed(net, {3, 5});
  const Activation input = BorrowActivation(bed.input);
  const auto forward = [&](const CallContext& context) { net.Forward(Scope(context), input); };

  CallContext context = bed.Context(Mode::kTrain);
  context.updates = nullptr;
  ExpectError<std::invalid_argument>(
      [&] { forward(context); },
      {"Cannot update variable \"mean\" in \"/BatchNorm_0\" because collection \"batch_stats\" is immutable."});
  Variables without_stats;
  context.updates = &without_stats;
  ExpectError<std::invalid_argument>([&] { forward(context); }, {"\"/BatchNorm_0\"", "immutable"});

  const Variables none;
  context = bed.Context(Mode::kEval);
  context.variables = &none;
  context.updates = nullptr;
  ExpectError<std::invalid_argument>([&] { forward(context); },
                                     {"Could not find parameter named \"kernel\" in scope \"/Dense_0\"."});
  Variables params_only;
  params_only[std::string(kParams)] = Clone(GetCollection(bed.variables, kParams));
  context.variables = &params_only;
  ExpectError<std::invalid_argument>(
      [&] { forward(context); },
      {"Tried to access \"mean\" from collection \"batch_stats\" in \"/BatchNorm_0\" but the collection is empty."});
  params_only[std::string(kBatchStats)].emplace("BatchNorm_1/mean", Tensor({2}));
  ExpectError<std::invalid_argument>(
      [&] { forward(context); },
      {"No Variable named \"mean\" for collection \"batch_stats\" exists in \"/BatchNorm_0\"."});
  context.variables = nullptr;
  ExpectError<std::invalid_argument>([&] { forward(context); }, {"needs workspace and variables"});

  context = bed.Context(Mode::kTrain);
  context.tape = nullptr;
  forward(context);
  ExpectError<std::invalid_argument>([&] { net.Backward(Scope(context), Normals({3, 2}, 5)); }, {"Dense", "tape"});
  context = bed.Context(Mode::kTrain);
  context.gradients = nullptr;
  forward(context);
  ExpectError<std::invalid_argument>([&] { net.Backward(Scope(context), Normals({3, 2}, 5)); }, {"gradients"});
}

TEST(ScopeTest, WithoutATapeNothingIsKept) {
  const Sequential net = SmallNet();
  ModuleBed bed(net, {64, 500});
  { const Activation output = Predict(net, bed.variables, bed.input, bed.workspace); }
  EXPECT_EQ(bed.workspace.bytes_in_use(), 0);
  { const Activation output = bed.Forward(Mode::kTrain); }
  EXPECT_GT(bed.workspace.bytes_in_use(), 0);
  bed.tape.Clear();
  EXPECT_EQ(bed.workspace.bytes_in_use(), 0);
}

TEST(BorrowActivationTest, SharesMemoryAndKeepsItAlive) {
  auto owner = std::make_shared<const Tensor>(Normals({2, 3}, 1));
  const float* data = owner->data();
  Activation borrowed = BorrowActivation(owner->view().Reshaped({6}), owner);
  EXPECT_EQ(borrowed->data(), data);
  EXPECT_EQ(borrowed->shape(), Shape({6}));
  const std::weak_ptr<const Tensor> watch = owner;
  owner.reset();
  EXPECT_FALSE(watch.expired());
  borrowed.reset();
  EXPECT_TRUE(watch.expired());
}

TEST(PredictTest, RefusesAnEmptyBatch) {
  const Sequential net = SmallNet();
  const ModuleBed bed(net, {3, 5});
  ExpectError<std::invalid_argument>([&] { Predict(net, bed.variables, Tensor({0, 5}), bed.workspace); }, {"[0,5]"});
}

// One const model and one set of variables serve many threads; each has a workspace.
TEST(PredictTest, RunsOnManyThreadsAtOnce) {
  const Sequential net = SmallNet();
  const ModuleBed bed(net, {16, 5});
  const Variables& variables = bed.variables;
  const Activation expected = Predict(net, variables, bed.input, Workspace());
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      const Workspace workspace;
      for (int call = 0; call < 50; ++call) {
        const Activation output = Predict(net, variables, bed.input, workspace);
        if (std::memcmp(output->data(), expected->data(), output->span().size_bytes()) != 0) ++wrong[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace hwynn
