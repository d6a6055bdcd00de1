#include "hwynn/layers/dropout.h"

#include <gtest/gtest.h>

#include "hwynn/layers/sequential.h"
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
  const CallContext context{
      .workspace = &workspace, .variables = &variables, .mode = Mode::kTrain, .dropout_key = KeyFromSeed(1)};
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
  context.dropout_key.reset();
  ExpectError<std::invalid_argument>([&] { dropout.Forward(Scope(context), BorrowActivation(bed.input)); },
                                     {"dropout_key"});
  ExpectError<std::invalid_argument>([] { Dropout({.rate = 1.0f}); }, {"rate (1)"});
}

}  // namespace
}  // namespace hwynn
