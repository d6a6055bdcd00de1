#include "hwynn/layers/relu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "hwynn/kernels/reference/elementwise.h"
#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::FillIntegers;
using testing::ModuleBed;
using testing::Normals;

TEST(ReluTest, ClipsAtBothEnds) {
  for (const ReluOptions& options : {ReluOptions(), ReluOptions{.upper = 6}}) {
    const Relu relu(options);
    ModuleBed bed(relu, {5, 7, 3});
    FillIntegers(bed.input, 1, 9);  // with 0 and 6 among them
    Tensor expected(bed.input.shape());
    reference::ReluForward(bed.input, expected, options);
    EXPECT_EQ(testing::MaxDifference(*bed.Forward(Mode::kEval), expected), 0.0);
    const Tensor grad_output = Normals(bed.input.shape(), 2);
    const Tensor grad_input = bed.Backward(Mode::kTrain, grad_output);
    reference::ReluBackward(expected, grad_output, expected, options);
    EXPECT_EQ(testing::MaxDifference(grad_input, expected), 0.0);
  }
}

// Behind a convolution, behind a BatchNorm, and with a layer behind that would compute it, against passes of their own;
// a BatchNorm in a convolution rounds differently.
TEST(ReluTest, AnUpperEndIsKeptWhereverItIsComputed) {
  Sequential behind_conv, behind_norm, before_conv;
  behind_conv.Add(Conv({.features = 5})).Add(Relu({.upper = 0.5f}));
  behind_norm.Add(Conv({.features = 5, .use_bias = false})).Add(BatchNorm()).Add(Relu({.upper = 0.5f}));
  before_conv.Add(Conv({.features = 5, .use_bias = false}))
      .Add(BatchNorm())
      .Add(Relu({.upper = 0.5f}))
      .Add(Conv({.features = 4}));
  for (const Sequential* net : {&behind_conv, &behind_norm, &before_conv}) {
    ModuleBed fused(*net, {2, 9, 8, 3}), plain(*net, {2, 9, 8, 3});
    plain.fusion = false;
    // Evaluation first: training leaves running statistics that differ in rounding.
    for (const Mode mode : {Mode::kEval, Mode::kTrain}) {
      const Tensor a = fused.Forward(mode)->Clone(), b = plain.Forward(mode)->Clone();
      ASSERT_EQ(a.shape(), b.shape());
      if (net == &behind_conv) {
        EXPECT_EQ(std::memcmp(a.data(), b.data(), a.span().size_bytes()), 0);
      }
      EXPECT_LE(testing::MaxDifference(a, b), 1e-5);
      if (net == &before_conv) continue;
      float largest = 0;
      for (const float y : a.span()) largest = std::max(largest, y);
      EXPECT_EQ(largest, 0.5f);
    }
    const Tensor grad_output = Normals(fused.Forward(Mode::kTrain)->shape(), 3);
    const Tensor a = fused.Backward(Mode::kTrain, grad_output), b = plain.Backward(Mode::kTrain, grad_output);
    EXPECT_LE(testing::MaxDifference(a, b), 1e-5);
    for (const auto& [path, gradient] : plain.gradients) {
      EXPECT_LE(testing::MaxDifference(gradient, fused.gradients.at(path)), 1e-4) << path;
    }
  }
}

}  // namespace
}  // namespace hwynn
