#include "hwynn/layers/conv.h"

#include <gtest/gtest.h>

#include <cstring>
#include <utility>
#include <vector>

#include "hwynn/module/packed_filters.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::CheckGradients;
using testing::Describe;
using testing::ExpectError;
using testing::FillIntegers;
using testing::ModuleBed;
using testing::Normals;

// Packed in the first call, for images of other sizes too, and again only after Clear().
// faster.
TEST(ConvTest, PackedFiltersAreMadeOnce) {
  const Conv conv({.features = 20});
  ModuleBed bed(conv, {2, 8, 8, 16});
  PackedFilters filters;
  const auto predict = [&](const Tensor& input) {
    const Activation output = Predict(conv, bed.variables, input, bed.workspace, &filters);
    return std::vector<float>(output->span().begin(), output->span().end());
  };
  const auto expected = [&](const Tensor& input) {
    const Activation output = Predict(conv, bed.variables, input, bed.workspace);
    return std::vector<float>(output->span().begin(), output->span().end());
  };
  const Tensor first = Normals({2, 8, 8, 16}, 1);
  EXPECT_EQ(predict(first), expected(first));
  const int64_t bytes = filters.bytes();
  EXPECT_GE(bytes, 9 * 16 * 20 * 4);
  EXPECT_EQ(predict(first), expected(first));
  EXPECT_EQ(filters.bytes(), bytes);
  const Tensor other = Normals({1, 9, 7, 16}, 2);
  EXPECT_EQ(predict(other), expected(other));
  EXPECT_EQ(filters.bytes(), bytes);

  const std::vector<float> before = expected(first);
  GetCollection(bed.variables, kParams).find("kernel")->second[0] += 1.0f;
  EXPECT_EQ(predict(first), before);
  filters.Clear();
  EXPECT_EQ(filters.bytes(), 0);
  EXPECT_EQ(predict(first), expected(first));
}

// As many filters as algorithms, however many sizes of images come.
TEST(ConvTest, PackedFiltersDontGrowWithImageSizes) {
  const Conv conv({.features = 20});
  ModuleBed bed(conv, {1, 3, 3, 16});
  PackedFilters filters;
  int64_t most = 0;
  const ConstTensorView kernel = GetCollection(bed.variables, kParams).find("kernel")->second;
  for (const std::string_view algorithm : {"direct", "winograd_f2x2", "winograd_f4x4"}) {
    most += PackedConv2dFilter(Conv2dPass::kForward, algorithm, kernel, 1, bed.workspace).bytes();
  }
  for (int64_t size = 0; size < 200; ++size) {
    const Tensor input = Normals({1 + size % 3, 1 + size / 10, 1 + size % 10 * 2, 16}, static_cast<uint32_t>(size));
    const Activation with = Predict(conv, bed.variables, input, bed.workspace, &filters);
    const Activation without = Predict(conv, bed.variables, input, bed.workspace);
    ASSERT_EQ(testing::MaxDifference(*with, *without), 0) << input.shape();
  }
  EXPECT_LE(filters.bytes(), most);
}

// Without CallContext::batch_invariant a batch of 7 takes another algorithm than an image.
TEST(ConvTest, ImagesDontDependOnTheirBatch) {
  const Conv conv({.features = 96});
  ModuleBed bed(conv, {7, 4, 4, 96});
  const auto run = [&](ConstTensorView input, CallContext context) {
    context.workspace = &bed.workspace;
    context.variables = &bed.variables;
    const Scope scope(context);
    return conv.Forward(scope, BorrowActivation(input));
  };
  PackedFilters filters;
  for (const bool batch_invariant : {true, false}) {
    for (PackedFilters* packed : {static_cast<PackedFilters*>(nullptr), &filters}) {
      const CallContext context{.packed_filters = packed, .batch_invariant = batch_invariant};
      const Activation together = run(bed.input, context);
      bool same = true;
      for (int64_t n = 0; n < 7; ++n) {
        const Activation alone = run(std::as_const(bed.input).view().Rows(n, 1), context);
        const ConstTensorView row = together->view().Rows(n, 1);
        same &= std::memcmp(alone->data(), row.data(), static_cast<size_t>(row.size()) * sizeof(float)) == 0;
      }
      EXPECT_EQ(same, batch_invariant) << (packed != nullptr ? "packed" : "");
    }
  }
}

// On an even extent at stride 2, SAME pads at the end alone: the first window starts at pixel 0.
TEST(ConvTest, PadsAsFlaxDoes) {
  const Conv conv({.features = 1, .stride = {2, 2}});
  ModuleBed bed(conv, {1, 4, 4, 1});
  Collection& params = GetCollection(bed.variables, kParams);
  EXPECT_EQ(Describe(params), (std::vector<std::string>{"bias[1]", "kernel[3,3,1,1]"}));
  Tensor& kernel = params.find("kernel")->second;
  FillIntegers(bed.input, 1);
  FillIntegers(kernel, 2);
  params.find("bias")->second[0] = 5.0f;
  const Activation output = bed.Forward(Mode::kEval);
  ASSERT_EQ(output->shape(), Shape({1, 2, 2, 1}));
  for (int64_t y = 0; y < 2; ++y) {
    for (int64_t x = 0; x < 2; ++x) {
      float expected = 5.0f;
      for (int64_t i = 0; i < 3 && 2 * y + i < 4; ++i) {
        for (int64_t j = 0; j < 3 && 2 * x + j < 4; ++j) {
          expected += bed.input[(2 * y + i) * 4 + 2 * x + j] * kernel[i * 3 + j];
        }
      }
      EXPECT_EQ((*output)[y * 2 + x], expected) << y << "," << x;
    }
  }
}

TEST(ConvTest, Gradients) {
  CheckGradients(Conv({.features = 5}), {2, 6, 5, 3});
  CheckGradients(Conv({.features = 4, .kernel_size = {1, 1}, .stride = {2, 2}, .use_bias = false}), {2, 6, 5, 3});
  CheckGradients(Conv({.features = 6, .padding = Padding::Symmetric(2), .dilation = {2, 1}, .groups = 2}),
                 {2, 6, 5, 4});
  CheckGradients(Conv({.features = 6, .padding = Padding::Valid(), .groups = 6}), {2, 5, 5, 6});
}

TEST(ConvTest, FirstLayerNeedsNoInputGradient) {
  const Conv conv({.features = 5, .input_gradient = false});
  ModuleBed bed(conv, {2, 6, 5, 3});
  EXPECT_TRUE(bed.Backward(Mode::kTrain, Normals({2, 6, 5, 5}, 3)).empty());
  CheckGradients(conv, {2, 6, 5, 3});
}

TEST(ConvTest, NamesWrongShapes) {
  const Conv conv({.features = 6, .groups = 3});
  ExpectError<std::invalid_argument>([&] { Init(conv, KeyFromSeed(0), {1, 8, 8, 4}); }, {"Conv", "[1,8,8,4]"});
  ExpectError<std::invalid_argument>([&] { Init(conv, KeyFromSeed(0), {1, 8, 3}); }, {"Conv", "[1,8,3]"});
  const ModuleBed bed(conv, {1, 8, 8, 3});
  ExpectError<std::invalid_argument>(
      [&] {
        Predict(conv, bed.variables, Normals({1, 8, 8, 6}, 1), bed.workspace);
      },
      {"Conv", "[1,8,8,6]", "[3,3,1,6]"});
}

}  // namespace
}  // namespace hwynn
