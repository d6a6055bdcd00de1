#include "hwynn/kernels/pool.h"

// What callers may rely on besides the numbers: threads, memory, errors; and parameters far beyond the image.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/reference/pool.h"
#include "hwynn/tests/kernels/pool_case.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::ExpectBounded;
using testing::ExpectExact;
using testing::FillIntegers;
using testing::ForEachTarget;
using testing::Integers;
using testing::kNaN;
using testing::kPoolChannels;
using testing::NewOutput;
using testing::Normals;

// Large enough that images are cut into blocks of rows; windows span the cuts.
TEST(PoolContractTest, BlocksAndThreadsDontShow) {
  const PoolParams plain = {.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same()};
  PoolParams dilated = plain;
  dilated.dilation = {9, 2};
  dilated.padding = Padding::Explicit(-3, 4, 1, 1);
  dilated.count_include_pad = false;
  ForEachTarget([&](const std::string&) {
    for (const auto& [params, shape] :
         {std::pair(plain, Shape{2, 151, 30, 67}), std::pair(plain, Shape{70, 12, 12, 33}),
          std::pair(dilated, Shape{2, 151, 30, 67})}) {
      const Tensor input = Integers(shape, 12, 2);
      const Tensor grad_output = Normals(PoolOutputShape("test", params, shape), 13);
      std::vector<std::vector<Tensor>> runs;
      for (const int threads : {1, 2, 3}) {
        std::vector<Tensor>& run = runs.emplace_back();
        run.push_back(NewOutput(params, shape));
        run.push_back(NewOutput(params, shape));
        run.emplace_back(shape, kNaN);
        run.emplace_back(shape, kNaN);
        run.emplace_back(Shape{shape[0], shape[3]}, kNaN);
        run.emplace_back(shape, kNaN);
        RunWithThreads(threads, [&, &params = params] {
          MaxPoolForward(params, input, run[0]);
          AveragePoolForward(params, input, run[1]);
          MaxPoolBackward(params, input, run[0], grad_output, run[2]);
          AveragePoolBackward(params, grad_output, run[3]);
          GlobalAveragePoolForward(input, run[4]);
          GlobalAveragePoolBackward(run[4], run[5]);
        });
        for (size_t i = 0; i < run.size(); ++i) {
          EXPECT_EQ(std::memcmp(run[i].data(), runs[0][i].data(), run[i].span().size_bytes()), 0)
              << i << " with " << threads << " threads";
        }
      }
      ExpectExact(runs[0][0], reference::MaxPoolForward(params, input));
      ExpectBounded(runs[0][2], reference::MaxPoolBackward(params, input, grad_output), 4);
      ExpectBounded(runs[0][3], reference::AveragePoolBackward(params, grad_output, shape), 10);
    }
  });
}

// Views that start and end anywhere: what lies around the arrays is neither used nor changed.
TEST(PoolContractTest, GuardBandsStay) {
  constexpr int64_t kGuard = 19;  // not a multiple of any vector: misaligned
  const PoolParams params = {.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same()};
  ForEachTarget([&](const std::string&) {
    for (const int64_t c : kPoolChannels) {
      const Shape in_shape = {2, 5, 4, c};
      const Shape out_shape = PoolOutputShape("test", params, in_shape);
      const auto guarded = [](const Shape& shape) { return Tensor({shape.num_elements() + 2 * kGuard}, kNaN); };
      Tensor in = guarded(in_shape), out = guarded(out_shape), grad_out = guarded(out_shape),
             grad_in = guarded(in_shape);
      const TensorView input(in.data() + kGuard, in_shape);
      const TensorView output(out.data() + kGuard, out_shape);
      const TensorView grad_output(grad_out.data() + kGuard, out_shape);
      const TensorView grad_input(grad_in.data() + kGuard, in_shape);
      FillIntegers(input, 14);
      FillIntegers(grad_output, 15);
      const auto check = [&](const char* what) {
        for (const Tensor* tensor : {&in, &out, &grad_out, &grad_in}) {
          for (int64_t i = 0; i < tensor->size(); ++i) {
            const bool guard = i < kGuard || i >= tensor->size() - kGuard;
            ASSERT_EQ(std::isnan((*tensor)[i]), guard) << what << " channels " << c << " at " << i;
          }
        }
      };
      MaxPoolForward(params, input, output);
      MaxPoolBackward(params, input, output, grad_output, grad_input);
      check("max");
      AveragePoolForward(params, input, output);
      AveragePoolBackward(params, grad_output, grad_input);
      check("average");
      const TensorView mean(out.data() + kGuard, {2, c});
      GlobalAveragePoolForward(input, mean);
      GlobalAveragePoolBackward(mean, grad_input);
      check("global average");
    }
  });
}

TEST(PoolContractTest, ADilationFarBeyondTheImageSeesOneTap) {
  constexpr int64_t kFar = (int64_t{1} << 31) - 1;
  const PoolParams params = {
      .window = {3, 2}, .dilation = {kFar, kFar}, .padding = Padding::Explicit(kFar, kFar, 0, kFar)};
  const Tensor input = Integers({2, 5, 4, 3}, 30, 9);
  Tensor output = NewOutput(params, input.shape());
  ASSERT_EQ(output.shape(), Shape({2, 5, 4, 3}));
  MaxPoolForward(params, input, output);
  for (int64_t i = 0; i < input.size(); ++i) ASSERT_EQ(output[i], input[i]);
  Tensor grad_input(input.shape(), kNaN);
  MaxPoolBackward(params, input, output, output, grad_input);
  for (int64_t i = 0; i < input.size(); ++i) ASSERT_EQ(grad_input[i], input[i]);
  AveragePoolForward(params, input, output);
  for (int64_t i = 0; i < input.size(); ++i) ASSERT_EQ(output[i], input[i] / 6);
  AveragePoolBackward(params, input, grad_input);
  for (int64_t i = 0; i < input.size(); ++i) ASSERT_EQ(grad_input[i], input[i] / 6);
}

TEST(PoolContractTest, AStrideFarBeyondTheImageTakesItsFirstWindow) {
  const PoolParams params = {.window = {2, 2}, .stride = {1 << 30, 1 << 30}};
  const Tensor input({1, 5, 5, 2}, 3.0f);
  Tensor output({1, 1, 1, 2}, 7.0f);
  MaxPoolForward(params, input, output);
  EXPECT_EQ(output[0], 3.0f);
  AveragePoolForward(params, input, output);
  EXPECT_EQ(output[1], 3.0f);
}

TEST(PoolContractTest, BadArgumentsThrowBeforeAnythingIsWritten) {
  const PoolParams params = {.window = {3, 3}, .stride = {2, 2}};
  const Tensor input({1, 5, 5, 2}, 1.0f);
  Tensor output({1, 2, 2, 2}, 7.0f);
  Tensor wrong({1, 2, 3, 2}, 7.0f);
  EXPECT_THROW(MaxPoolForward(params, input, wrong), std::invalid_argument);
  EXPECT_THROW(AveragePoolForward(params, input, wrong), std::invalid_argument);
  EXPECT_THROW(MaxPoolBackward(params, input, output, wrong, wrong), std::invalid_argument);
  EXPECT_THROW(AveragePoolBackward(params, input, wrong), std::invalid_argument);
  EXPECT_THROW(GlobalAveragePoolForward(input, output), std::invalid_argument);
  EXPECT_THROW(GlobalAveragePoolBackward(input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.window = {6, 1}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.window = {0, 1}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.stride = {1, 0}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.padding = Padding::Symmetric(-2)}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.dilation = {0, 1}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.dilation = {1, 5}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.window = {7, 2}, .stride = {2, 2}, .ceil_mode = true}, input, output),
               std::invalid_argument);
  constexpr int64_t kHuge = int64_t{1} << 62;
  EXPECT_THROW(MaxPoolForward({.stride = {kHuge, 1}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.window = {1, kHuge}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.dilation = {1, kHuge}}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.padding = Padding::Symmetric(kHuge)}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward({.padding = Padding::Symmetric(-kHuge)}, input, output), std::invalid_argument);
  EXPECT_THROW(MaxPoolForward(params, Tensor({0, 5, 5, 2}), output), std::invalid_argument);
  EXPECT_THROW(GlobalAveragePoolForward(Tensor({0, 5, 5, 2}), Tensor({0, 2})), std::invalid_argument);
  for (const Tensor* tensor : {&output, &wrong}) {
    for (const float y : tensor->span()) EXPECT_EQ(y, 7.0f);
  }
  try {
    MaxPoolForward(params, input, wrong);
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "MaxPoolForward: output [1,2,3,2] must be [1,2,2,2]; input [1,5,5,2]");
  }
}

}  // namespace
}  // namespace hwynn
