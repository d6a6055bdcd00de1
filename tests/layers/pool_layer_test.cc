// The layers around the kernels of pool_test.

#include <gtest/gtest.h>

#include <vector>

#include "hwynn/layers/pool.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::CheckGradients;
using testing::ExpectError;
using testing::Integers;
using testing::ModuleBed;
using testing::Normals;

TEST(PoolLayerTest, MaxPoolTakesTheMaximumAndReturnsItsGradient) {
  const MaxPool pool({.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same()});
  ModuleBed bed(pool, {2, 6, 6, 5});
  const Activation output = bed.Forward(Mode::kTrain);
  ASSERT_EQ(output->shape(), Shape({2, 3, 3, 5}));
  // Each window's gradient arrives at one pixel, and where the pixel is the output's value.
  const Tensor grad_output = Integers({2, 3, 3, 5}, 3);
  const Tensor grad_input = bed.Backward(Mode::kTrain, grad_output);
  ASSERT_EQ(grad_input.shape(), bed.input.shape());
  double sum = 0;
  double weighted = 0;
  double expected_sum = 0;
  double expected_weighted = 0;
  for (int64_t i = 0; i < grad_input.size(); ++i) {
    sum += double{grad_input[i]};
    weighted += double{grad_input[i]} * double{bed.input[i]};
  }
  for (int64_t i = 0; i < grad_output.size(); ++i) {
    expected_sum += double{grad_output[i]};
    expected_weighted += double{grad_output[i]} * double{(*output)[i]};
  }
  EXPECT_EQ(sum, expected_sum);
  EXPECT_NEAR(weighted, expected_weighted, 1e-9);
  EXPECT_NE(sum, 0.0);
}

TEST(PoolLayerTest, Gradients) {
  CheckGradients(AveragePool({.window = {3, 2}, .stride = {2, 1}, .padding = Padding::Same()}), {2, 6, 5, 3});
  CheckGradients(GlobalAveragePool(), {2, 6, 5, 3});
  CheckGradients(AveragePool({.window = {3, 2},
                              .stride = {2, 3},
                              .dilation = {1, 2},
                              .padding = Padding::Explicit(2, -1, 1, 0),
                              .ceil_mode = true,
                              .count_include_pad = false}),
                 {2, 7, 6, 3});
}

TEST(PoolLayerTest, OptionsReachTheKernels) {
  const PoolOptions options = {.window = {2, 1},
                               .stride = {2, 1},
                               .dilation = {2, 1},
                               .padding = Padding::Explicit(1, 1, -1, 0),
                               .ceil_mode = true};
  PoolOptions inside = options;
  inside.count_include_pad = false;
  const MaxPool max(options);
  const AveragePool average(options), average_inside(inside);
  const auto outputs = [](const Module& pool) {
    ModuleBed bed(pool, {1, 4, 2, 1});
    for (int64_t i = 0; i < 8; ++i) bed.input[i] = static_cast<float>(i + 1);  // the right column: 2, 4, 6, 8
    const Activation output = bed.Forward(Mode::kEval);
    return std::vector<float>(output->span().begin(), output->span().end());
  };
  // Rows −1 and 1, 1 and 3, and 3 alone: what lies beyond the padding isn't counted.
  EXPECT_EQ(outputs(max), (std::vector<float>{4, 8, 8}));
  EXPECT_EQ(outputs(average), (std::vector<float>{2, 6, 8}));
  EXPECT_EQ(outputs(average_inside), (std::vector<float>{4, 6, 8}));
}

TEST(PoolLayerTest, GlobalAveragePoolIsTheMean) {
  const GlobalAveragePool pool;
  ModuleBed bed(pool, {2, 4, 2, 3});
  bed.input = Integers({2, 4, 2, 3}, 4);
  const Activation output = bed.Forward(Mode::kEval);
  ASSERT_EQ(output->shape(), Shape({2, 3}));
  for (int64_t n = 0; n < 2; ++n) {
    for (int64_t c = 0; c < 3; ++c) {
      float sum = 0;
      for (int64_t p = 0; p < 8; ++p) sum += bed.input[(n * 8 + p) * 3 + c];
      EXPECT_EQ((*output)[n * 3 + c], sum / 8);
    }
  }
}

// What averages keep for Backward is a shape, not the input.
TEST(PoolLayerTest, AveragesHoldNoInput) {
  const GlobalAveragePool pool;
  ModuleBed bed(pool, {2, 4, 2, 3});
  Activation input = MakeActivation(Normals({2, 4, 2, 3}, 1));
  const std::weak_ptr<const void> watch = std::shared_ptr<const void>(input);
  const CallContext context = bed.Context(Mode::kTrain);
  pool.Forward(Scope(context), std::move(input));
  EXPECT_TRUE(watch.expired());
}

TEST(PoolLayerTest, NamesWrongShapes) {
  ExpectError<std::invalid_argument>(
      [] {
        Init(GlobalAveragePool(), KeyFromSeed(0), {4, 3});
      },
      {"GlobalAveragePool", "[4,3]"});
  ExpectError<std::invalid_argument>([] { Init(MaxPool({}), KeyFromSeed(0), {4, 1, 1, 3}); }, {"MaxPool", "[4,1,1,3]"});
  ExpectError<std::invalid_argument>([] { Init(AveragePool({}), KeyFromSeed(0), {4, 3}); }, {"AveragePool", "[4,3]"});
}

}  // namespace
}  // namespace hwynn
