#include "hwynn/module/tape.h"

#include <gtest/gtest.h>

#include "hwynn/layers/dense.h"
#include "hwynn/layers/relu.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::ExpectError;
using testing::ModuleBed;
using testing::Normals;

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

TEST(TapeTest, KeepsKeysInTheirPlace) {
  const Relu relu;
  Tape tape;
  tape.PushKey(&relu, Key{1, 2});
  tape.Push(&relu, MakeActivation(Tensor({1}, 1.0f)));
  ExpectError<std::invalid_argument>([&] { tape.PopKey(&relu); }, {"Relu", "order"});
  EXPECT_EQ((*tape.Pop(&relu))[0], 1.0f);
  ExpectError<std::invalid_argument>([&] { tape.Pop(&relu); }, {"Relu", "order"});
  EXPECT_EQ(tape.PopKey(&relu), (Key{1, 2}));
  EXPECT_EQ(tape.pops(), 2u);
}

TEST(TapeTest, BackwardTwiceIsAnError) {
  const Dense dense({.features = 2});
  ModuleBed bed(dense, {3, 5});
  const Tensor grad = Normals({3, 2}, 5);
  bed.Backward(Mode::kTrain, grad);
  const CallContext context = bed.Context(Mode::kTrain);
  ExpectError<std::invalid_argument>([&] { Differentiate(dense, context, grad.Clone()); }, {"Dense", "empty"});
}

}  // namespace
}  // namespace hwynn
