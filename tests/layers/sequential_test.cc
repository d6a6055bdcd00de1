#include "hwynn/layers/sequential.h"

#include <gtest/gtest.h>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/flatten.h"
#include "hwynn/layers/pool.h"
#include "hwynn/layers/relu.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::CheckGradients;
using testing::Describe;
using testing::ExpectError;
using testing::Integers;
using testing::ModuleBed;

using Lines = std::vector<std::string>;

// Numbers count by type, and a name of one's own doesn't advance them.
TEST(SequentialTest, NumbersChildrenByType) {
  Sequential net;
  net.Add(Dense({.features = 4})).Add(BatchNorm()).Add("hidden", Dense({.features = 3, .use_bias = false}));
  net.Add(Relu()).Add(std::make_shared<const Dense>(DenseOptions{.features = 2}));
  const Variables variables = Init(net, KeyFromSeed(0), {1, 5});
  EXPECT_EQ(Describe(GetCollection(variables, kParams)),
            (Lines{"BatchNorm_0/bias[4]", "BatchNorm_0/scale[4]", "Dense_0/bias[4]", "Dense_0/kernel[5,4]",
                   "Dense_1/bias[2]", "Dense_1/kernel[3,2]", "hidden/kernel[4,3]"}));
  EXPECT_EQ(Describe(GetCollection(variables, kBatchStats)), (Lines{"BatchNorm_0/mean[4]", "BatchNorm_0/var[4]"}));
  ExpectError<std::invalid_argument>([&] { net.Add("Dense_1", Relu()); }, {"\"Dense_1\" already"});
}

TEST(SequentialTest, NestsAndDifferentiates) {
  Sequential inner;
  inner.Add(Dense({.features = 6})).Add(BatchNorm());
  Sequential net;
  net.Add(Conv({.features = 3, .stride = {2, 2}})).Add(AveragePool({.stride = {2, 2}}));
  net.Add(Flatten()).Add(inner).Add(inner).Add(Dense({.features = 2}));
  const Variables variables = Init(net, KeyFromSeed(0), {1, 8, 8, 2});
  EXPECT_TRUE(GetCollection(variables, kParams).contains("Sequential_1/Dense_0/kernel"));
  CheckGradients(net, {6, 8, 8, 2});
}

// Whatever the first child is: one that adds on the way, one that doesn't, or none.
TEST(SequentialTest, BackwardAccumulates) {
  Sequential begins_with_conv, begins_with_norm;
  begins_with_conv.Add(Conv({.features = 3})).Add(Relu());
  begins_with_norm.Add(BatchNorm()).Add(Conv({.features = 3}));
  for (const Sequential& net : {begins_with_conv, begins_with_norm, Sequential().Add(begins_with_conv), Sequential()}) {
    ModuleBed bed(net, {2, 5, 4, 3});
    const Tensor grad_output = Integers({2, 5, 4, 3}, 3);
    const Tensor before = Integers({2, 5, 4, 3}, 4);
    const Tensor gradient = bed.Backward(Mode::kTrain, grad_output);
    const Gradients params = std::exchange(bed.gradients, Gradients(GetCollection(bed.variables, kParams)));
    bed.Forward(Mode::kTrain);
    const CallContext context = bed.Context(Mode::kTrain);
    bed.gradients.Start();
    Tensor sum = before.Clone();
    const float* memory = sum.data();
    sum = net.BackwardAccumulate(Scope(context), grad_output.Clone(), std::move(sum));
    bed.gradients.Finish();
    EXPECT_TRUE(bed.tape.empty());
    EXPECT_EQ(sum.data(), memory);
    for (int64_t i = 0; i < sum.size(); ++i) ASSERT_NEAR(sum[i], before[i] + gradient[i], 1e-4) << i;
    for (const auto& [path, values] : params) {
      for (int64_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], bed.gradients.at(path)[i]) << path;
    }
  }
  Sequential first_layer;
  first_layer.Add(Conv({.features = 3, .input_gradient = false}));
  ModuleBed bed(first_layer, {2, 5, 4, 3});
  bed.Forward(Mode::kTrain);
  const CallContext context = bed.Context(Mode::kTrain);
  ExpectError<std::invalid_argument>(
      [&] {
        first_layer.BackwardAccumulate(Scope(context), Tensor({2, 5, 4, 3}), Tensor({2, 5, 4, 3}));
      },
      {"Conv_0", "input_gradient"});
}

TEST(SequentialTest, WithoutChildrenIsTheIdentity) {
  const Sequential net;
  ModuleBed bed(net, {2, 3});
  EXPECT_EQ(bed.Forward(Mode::kTrain)->data(), bed.input.data());
}

TEST(FlattenTest, KeepsTheMemory) {
  const Flatten flatten;
  ModuleBed bed(flatten, {2, 3, 4, 5});
  const Activation output = bed.Forward(Mode::kTrain);
  EXPECT_EQ(output->shape(), Shape({2, 60}));
  EXPECT_EQ(output->data(), bed.input.data());
  EXPECT_EQ(bed.Backward(Mode::kTrain, Integers({2, 60}, 3)).shape(), Shape({2, 3, 4, 5}));
  EXPECT_TRUE(bed.Backward(Mode::kTrain, Tensor()).empty());
  ExpectError<std::invalid_argument>([&] { Init(flatten, KeyFromSeed(0), {0, 3}); }, {"Flatten", "[0,3]"});
}

TEST(ReluTest, PassesTheGradientOfPositiveOutputs) {
  const Relu relu;
  ModuleBed bed(relu, {5, 7});
  bed.input[3] = 0.0f;
  const Activation output = bed.Forward(Mode::kTrain);
  const Tensor grad_output = Integers({5, 7}, 3);
  const Tensor grad_input = bed.Backward(Mode::kTrain, grad_output);
  for (int64_t i = 0; i < output->size(); ++i) {
    EXPECT_EQ((*output)[i], bed.input[i] > 0 ? bed.input[i] : 0.0f);
    EXPECT_EQ(grad_input[i], bed.input[i] > 0 ? grad_output[i] : 0.0f);
  }
}

}  // namespace
}  // namespace hwynn
