#include "hwynn/kernels/loss.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/reference/loss.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::Normals;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr double kUnit = 0x1p-24;  // one rounding to float

std::vector<int32_t> Labels(int64_t rows, int64_t classes) {
  std::vector<int32_t> labels;
  for (int64_t n = 0; n < rows; ++n) labels.push_back(static_cast<int32_t>((7 * n + 3) % classes));
  return labels;
}

// Computed in double, a gradient is rounded once; a little room for the exponentials.
void ExpectRoundedOnce(const Tensor& got, const reference::Sums& want) {
  for (size_t i = 0; i < want.values.size(); ++i) {
    const double error = std::abs(static_cast<double>(got.span()[i]) - want.values[i]);
    EXPECT_LE(error, kUnit * std::abs(want.values[i]) + 1e-13 * want.magnitudes[i]) << i;
  }
}

TEST(LossTest, CrossEntropyIsThatOfTheReference) {
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 2}, Shape{5, 10}, Shape{128, 10}, Shape{32, 1000}, Shape{3, 9001}}) {
    for (const float smoothing : {0.0f, 0.1f, 0.9f}) {
      SCOPED_TRACE(::testing::Message() << shape << " smoothing " << smoothing);
      const Tensor logits = Normals(shape, 1, 0.5f, 3.0f);
      const std::vector<int32_t> labels = Labels(shape[0], shape[1]);
      Tensor grad(shape, kNaN);
      const LossResult got = SoftmaxCrossEntropy(logits, labels, {.label_smoothing = smoothing}, grad);
      const auto want = reference::SoftmaxCrossEntropy(logits, labels, {.label_smoothing = smoothing});
      EXPECT_NEAR(got.loss, want.loss, 1e-12 * (1.0 + want.loss));
      EXPECT_EQ(got.correct, want.correct);
      ExpectRoundedOnce(grad, want.grad);
    }
  }
}

// Weights, a class of weight 0 among them, and rows that are ignored, with a label of the range and with another.
TEST(LossTest, WeightsAndIgnoredRowsAreThoseOfTheReference) {
  const Shape shape = {40, 7};
  const Tensor logits = Normals(shape, 1, 0.5f, 3.0f);
  const std::vector<float> weights = {0.5f, 2.0f, 0.0f, 1.0f, 0.125f, 3.0f, 1.5f};
  std::vector<int32_t> labels = Labels(40, 7);
  for (const int32_t ignored : {-100, 5}) {
    for (const bool weighted : {false, true}) {
      for (const float smoothing : {0.0f, 0.3f}) {
        SCOPED_TRACE(::testing::Message() << ignored << ' ' << weighted << ' ' << smoothing);
        labels[0] = labels[17] = labels[39] = ignored;
        CrossEntropyOptions options = {.label_smoothing = smoothing, .ignore_index = ignored};
        if (weighted) options.class_weights = weights;
        Tensor grad(shape, kNaN);
        const LossResult got = SoftmaxCrossEntropy(logits, labels, options, grad);
        const auto want = reference::SoftmaxCrossEntropy(logits, labels, options);
        EXPECT_NEAR(got.loss, want.loss, 1e-12 * (1.0 + want.loss));
        EXPECT_EQ(got.correct, want.correct);
        EXPECT_EQ(got.rows, want.rows);
        EXPECT_LT(got.rows, 38);
        ExpectRoundedOnce(grad, want.grad);
        for (const float g : grad.span().first(7)) EXPECT_EQ(g, 0.0f);
      }
    }
  }
}

// Two labels a row, the same one in some, with weights and smoothing.
TEST(LossTest, TwoLabelsARowAreThoseOfTheReference) {
  const Shape shape = {41, 7};
  const Tensor logits = Normals(shape, 1, 0.5f, 3.0f);
  const std::vector<float> weights = {0.5f, 2.0f, 0.0f, 1.0f, 0.125f, 3.0f, 1.5f};
  const std::vector<int32_t> labels = Labels(41, 7);
  std::vector<int32_t> second(labels.rbegin(), labels.rend());
  second[3] = labels[3];
  for (const float share : {0.0f, 0.625f, 1.0f}) {
    for (const bool weighted : {false, true}) {
      for (const float smoothing : {0.0f, 0.3f}) {
        SCOPED_TRACE(::testing::Message() << share << ' ' << weighted << ' ' << smoothing);
        CrossEntropyOptions options = {.label_smoothing = smoothing, .second_labels = second, .first_share = share};
        if (weighted) options.class_weights = weights;
        Tensor grad(shape, kNaN);
        const LossResult got = SoftmaxCrossEntropy(logits, labels, options, grad);
        const auto want = reference::SoftmaxCrossEntropy(logits, labels, options);
        EXPECT_NEAR(got.loss, want.loss, 1e-12 * (1.0 + want.loss));
        EXPECT_EQ(got.correct, want.correct);
        ExpectRoundedOnce(grad, want.grad);
        if (weighted) continue;
        options.second_labels = {};
        const double first = SoftmaxCrossEntropy(logits, labels, options, {}).loss;
        const double other = SoftmaxCrossEntropy(logits, second, options, {}).loss;
        EXPECT_NEAR(got.loss, share * first + (1.0 - share) * other, 1e-12 * (1.0 + want.loss));
      }
    }
  }
}

// A logit of the label that has no share may be infinite.
TEST(LossTest, ALabelWithoutAShareTakesNoPart) {
  Tensor logits({1, 3}, 0.0f);
  logits[1] = -kInfinity;
  const std::vector<int32_t> zero = {0}, one = {1};
  const double want = std::log(2.0);
  EXPECT_NEAR(SoftmaxCrossEntropy(logits, one, {.second_labels = zero, .first_share = 0.0f}, {}).loss, want, 1e-15);
  EXPECT_NEAR(SoftmaxCrossEntropy(logits, zero, {.second_labels = one, .first_share = 1.0f}, {}).loss, want, 1e-15);
}

TEST(LossTest, RejectsSecondLabelsThatDoNotFit) {
  const Tensor logits({2, 3}, 0.0f);
  const std::vector<int32_t> labels = {0, 1}, short_one = {0}, bad = {0, 3}, negative = {-1, 0};
  const auto expect = [&](const CrossEntropyOptions& options) {
    EXPECT_THROW(SoftmaxCrossEntropy(logits, labels, options, {}), std::invalid_argument);
  };
  expect({.second_labels = short_one});
  expect({.second_labels = bad});
  expect({.second_labels = negative});
  expect({.ignore_index = 7, .second_labels = labels});
  expect({.second_labels = labels, .first_share = 1.5f});
  expect({.second_labels = labels, .first_share = -0.5f});
  expect({.second_labels = labels, .first_share = kNaN});
}

// torch.nn.functional.cross_entropy of PyTorch 2.13 in float64, with weight, ignore_index and label_smoothing.
TEST(LossTest, WeightsAndIgnoredRowsAreThoseOfPyTorch) {
  Tensor logits({4, 3});
  const float values[] = {1.0f, -2.0f, 0.5f, 0.25f, 3.0f, -1.0f, 9.0f, 8.0f, 7.0f, -0.5f, 0.0f, 2.0f};
  std::copy(std::begin(values), std::end(values), logits.data());
  const std::vector<int32_t> labels = {0, 2, -100, 1};
  const std::vector<float> weights = {0.5f, 2.0f, 1.25f};
  struct Golden {
    CrossEntropyOptions options;
    double loss;
    std::vector<double> grad;  // 10 digits
  };
  const Golden cases[] = {
      {{.ignore_index = -100},
       2.2601224002220004,
       {-0.1320837013, 0.01001962919, 0.1220640721, 0.0196899192, 0.3080021578, -0.327692077, 0.0, 0.0, 0.0,
        0.02247511941, -0.2962781259, 0.2738030065}},
      {{.ignore_index = -100, .class_weights = weights},
       2.598549839137467,
       {-0.05283348051, 0.004007851676, 0.04882562884, 0.0196899192, 0.3080021578, -0.327692077, 0.0, 0.0, 0.0,
        0.03596019106, -0.4740450014, 0.4380848104}},
      {{.label_smoothing = 0.25f, .ignore_index = -100, .class_weights = weights},
       2.4194985349641556,
       {-0.0004238134839, -0.03893364839, 0.03935746187, 0.008578808086, 0.2635577134, -0.2721365215, 0.0, 0.0, 0.0,
        0.02147781203, -0.3907143937, 0.3692365816}},
      {{.label_smoothing = 0.25f, .ignore_index = -100},
       2.1698446224442227,
       {-0.07652814573, -0.01775814859, 0.09428629432, -0.00808785858, 0.2802243801, -0.2721365215, 0.0, 0.0, 0.0,
        -0.005302658367, -0.2407225703, 0.2460252287}},
  };
  for (const Golden& golden : cases) {
    Tensor grad({4, 3});
    EXPECT_NEAR(SoftmaxCrossEntropy(logits, labels, golden.options, grad).loss, golden.loss, 1e-14);
    for (size_t i = 0; i < golden.grad.size(); ++i) EXPECT_NEAR(grad.span()[i], golden.grad[i], 2e-8) << i;
  }
}

TEST(LossTest, IgnoredRowsChangeNothingInTheOthers) {
  const Shape shape = {9, 5};
  Tensor logits = Normals(shape, 3);
  std::vector<int32_t> labels = Labels(9, 5);
  Tensor want({8, 5});
  const ConstTensorView first(logits.data(), {8, 5});
  const LossResult without = SoftmaxCrossEntropy(first, std::span(labels).first(8), {}, want);
  labels[8] = -1;
  for (float& z : logits.span().last(5)) z = kNaN;  // not read
  Tensor got(shape, kNaN);
  const LossResult with = SoftmaxCrossEntropy(logits, labels, {.ignore_index = -1}, got);
  EXPECT_EQ(with.loss, without.loss);
  EXPECT_EQ(with.correct, without.correct);
  EXPECT_EQ(with.rows, 8);
  EXPECT_EQ(std::memcmp(got.data(), want.data(), want.span().size_bytes()), 0);
}

TEST(LossTest, WhereAllRowsAreIgnoredTheLossIsNaNAndTheGradientZero) {
  const Tensor logits = Normals({3, 2}, 4);
  Tensor grad({3, 2}, kNaN);
  const LossResult result = SoftmaxCrossEntropy(logits, std::vector<int32_t>{7, 7, 7}, {.ignore_index = 7}, grad);
  EXPECT_TRUE(std::isnan(result.loss));
  EXPECT_EQ(result.correct, 0);
  EXPECT_EQ(result.rows, 0);
  for (const float g : grad.span()) EXPECT_EQ(g, 0.0f);
}

TEST(LossTest, CrossEntropyByHand) {
  Tensor logits({2, 2}, 0.0f);
  logits[0] = std::log(3.0f);  // probabilities 3/4, 1/4, then 1/2, 1/2
  Tensor grad({2, 2});
  const LossResult result = SoftmaxCrossEntropy(logits, std::vector<int32_t>{1, 0}, {}, grad);
  EXPECT_NEAR(result.loss, (std::log(4.0) + std::log(2.0)) / 2.0, 1e-7);
  EXPECT_EQ(result.correct, 1);  // the tie in row 1 goes to the lower index, which is the label
  const float want[] = {0.375f, -0.375f, -0.25f, 0.25f};
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(grad[i], want[i], 1e-7f) << i;
}

TEST(LossTest, TiesCountForTheLowestIndexOnly) {
  const Tensor logits({3, 3}, 2.0f);
  EXPECT_EQ(SoftmaxCrossEntropy(logits, std::vector<int32_t>{0, 1, 2}, {}, {}).correct, 1);
}

// Central differences of the loss, itself in double; the logits step by a power of two, so that the step is exact.
TEST(LossTest, CrossEntropyGradientIsTheSlopeOfTheLoss) {
  constexpr float kStep = 0x1p-10f;
  Tensor logits({3, 5});
  for (int64_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>((11 * i) % 7) * 0.25f - 0.5f;
  const std::vector<int32_t> labels = {4, 0, 2};
  for (const float smoothing : {0.0f, 0.1f}) {
    Tensor grad(logits.shape());
    SoftmaxCrossEntropy(logits, labels, {.label_smoothing = smoothing}, grad);
    for (int64_t i = 0; i < logits.size(); ++i) {
      Tensor moved = logits.Clone();
      moved[i] += kStep;
      const double above = SoftmaxCrossEntropy(moved, labels, {.label_smoothing = smoothing}, {}).loss;
      moved[i] -= 2 * kStep;
      const double below = SoftmaxCrossEntropy(moved, labels, {.label_smoothing = smoothing}, {}).loss;
      EXPECT_NEAR((above - below) / (2.0 * static_cast<double>(kStep)), static_cast<double>(grad[i]), 1e-6) << i;
    }
  }
}

TEST(LossTest, GradientMayOverwriteTheLogits) {
  const Shape shape = {9, 17};
  Tensor logits = Normals(shape, 2);
  const std::vector<int32_t> labels = Labels(9, 17);
  Tensor grad(shape);
  SoftmaxCrossEntropy(logits, labels, {.label_smoothing = 0.1f}, grad);
  SoftmaxCrossEntropy(logits, labels, {.label_smoothing = 0.1f}, logits);
  EXPECT_EQ(std::memcmp(logits.data(), grad.data(), grad.span().size_bytes()), 0);
}

TEST(LossTest, LargeLogitsNeitherOverflowNorVanish) {
  Tensor logits({2, 3}, 0.0f);
  logits[0] = 3e38f, logits[1] = -3e38f, logits[2] = 0.0f;
  logits[3] = -1000.0f, logits[4] = -1001.0f, logits[5] = -kInfinity;
  Tensor grad({2, 3});
  const LossResult result = SoftmaxCrossEntropy(logits, std::vector<int32_t>{0, 0}, {}, grad);
  EXPECT_NEAR(result.loss, 0.5 * std::log1p(std::exp(-1.0)), 1e-12);
  EXPECT_EQ(result.correct, 2);
  EXPECT_EQ(grad[0], 0.0f);
  EXPECT_EQ(grad[1], 0.0f);
  EXPECT_EQ(grad[5], 0.0f);
  EXPECT_NEAR(grad[4], 0.5 / (1.0 + std::exp(1.0)), 1e-8);
}

TEST(LossTest, NaNShowsInTheLossAndIsNeverCorrect) {
  for (int64_t i = 0; i < 3; ++i) {
    Tensor logits({1, 3}, 0.0f);
    logits[i] = kNaN;
    for (int32_t label = 0; label < 3; ++label) {
      const LossResult result = SoftmaxCrossEntropy(logits, std::vector<int32_t>{label}, {}, {});
      EXPECT_TRUE(std::isnan(result.loss));
      EXPECT_EQ(result.correct, 0);
    }
  }
}

TEST(LossTest, MeanSquaredErrorIsThatOfTheReference) {
  for (const Shape& shape : {Shape{1}, Shape{7, 3}, Shape{4, 5000}}) {
    const Tensor predictions = Normals(shape, 3, 1.0f);
    const Tensor targets = Normals(shape, 4);
    Tensor grad(shape, kNaN);
    const LossResult got = MeanSquaredError(predictions, targets, grad);
    const auto want = reference::MeanSquaredError(predictions, targets);
    EXPECT_NEAR(got.loss, want.loss, 1e-12 * want.loss);
    EXPECT_EQ(got.correct, 0);
    ExpectRoundedOnce(grad, want.grad);
    EXPECT_EQ(MeanSquaredError(predictions, targets, {}).loss, got.loss);
  }
}

// Around the classes whose exponentials are kept between the two passes over a row.
TEST(LossTest, LongRowsAreThoseOfTheReference) {
  for (const int64_t classes : {1023, 1024, 1025, 2049}) {
    const Tensor logits = Normals({2, classes}, 7, 0.0f, 3.0f);
    const std::vector<int32_t> labels = {0, static_cast<int32_t>(classes - 1)};
    Tensor grad(logits.shape(), kNaN);
    const LossResult got = SoftmaxCrossEntropy(logits, labels, {}, grad);
    const auto want = reference::SoftmaxCrossEntropy(logits, labels, {});
    EXPECT_NEAR(got.loss, want.loss, 1e-12 * want.loss) << classes;
    ExpectRoundedOnce(grad, want.grad);
  }
}

// Scalar code: also the targets without a fused multiply-add.
TEST(LossTest, TargetsDontShow) {
  const Shape shape = {33, 1031};
  const Tensor logits = Normals(shape, 8, 0.0f, 3.0f);
  const std::vector<int32_t> labels = Labels(33, 1031);
  Tensor first;
  double first_loss = 0.0;
  testing::ForEachTarget([&](const std::string&) {
    Tensor grad(shape);
    const double loss = SoftmaxCrossEntropy(logits, labels, {.label_smoothing = 0.1f}, grad).loss;
    if (first.size() == 0) {
      first = std::move(grad);
      first_loss = loss;
      return;
    }
    EXPECT_EQ(loss, first_loss);
    EXPECT_EQ(std::memcmp(grad.data(), first.data(), first.span().size_bytes()), 0);
  });
}

TEST(LossTest, ThreadsDontShow) {
  const Shape shape = {100, 1000};  // a dozen blocks of rows
  const Tensor logits = Normals(shape, 5, 0.0f, 3.0f);
  const Tensor targets = Normals(shape, 6);
  const std::vector<int32_t> labels = Labels(100, 1000);
  Tensor first_grad(shape);
  Tensor first_error(shape);
  const LossResult first = SoftmaxCrossEntropy(logits, labels, {.label_smoothing = 0.1f}, first_grad);
  const LossResult first_mse = MeanSquaredError(logits, targets, first_error);
  for (const int threads : {1, 2, 3}) {
    RunWithThreads(threads, [&] {
      Tensor grad(shape);
      const LossResult result = SoftmaxCrossEntropy(logits, labels, {.label_smoothing = 0.1f}, grad);
      EXPECT_EQ(result.loss, first.loss);
      EXPECT_EQ(result.correct, first.correct);
      EXPECT_EQ(std::memcmp(grad.data(), first_grad.data(), grad.span().size_bytes()), 0);
      EXPECT_EQ(MeanSquaredError(logits, targets, grad).loss, first_mse.loss);
      EXPECT_EQ(std::memcmp(grad.data(), first_error.data(), grad.span().size_bytes()), 0);
    });
  }
}

TEST(LossTest, BadArgumentsThrowBeforeAnythingIsWritten) {
  const Tensor logits({2, 3}, 1.0f);
  Tensor grad({2, 3}, 7.0f);
  const std::vector<int32_t> labels = {0, 2};
  const auto throws = [&](ConstTensorView z, const std::vector<int32_t>& y, float smoothing, TensorView g) {
    EXPECT_THROW(SoftmaxCrossEntropy(z, y, {.label_smoothing = smoothing}, g), std::invalid_argument);
  };
  throws(logits, {0, 3}, 0.0f, grad);
  throws(logits, {-1, 0}, 0.0f, grad);
  throws(logits, {0}, 0.0f, grad);
  throws(logits, labels, 1.0f, grad);
  throws(logits, labels, -0.1f, grad);
  throws(logits, labels, kNaN, grad);
  throws(Tensor({0, 3}), {}, 0.0f, {});
  throws(Tensor({6}, 0.0f), labels, 0.0f, {});
  throws(logits, labels, 0.0f, grad.view().Reshaped({3, 2}));
  EXPECT_THROW(MeanSquaredError(logits, grad.view().Reshaped({3, 2}), grad), std::invalid_argument);
  EXPECT_THROW(MeanSquaredError(logits, logits, grad.view().Reshaped({6})), std::invalid_argument);
  EXPECT_THROW(MeanSquaredError(Tensor({0}), Tensor({0}), {}), std::invalid_argument);
  for (const float g : grad.span()) EXPECT_EQ(g, 7.0f);
  const auto throws_with = [&](const CrossEntropyOptions& options) {
    EXPECT_THROW(SoftmaxCrossEntropy(logits, labels, options, grad), std::invalid_argument);
  };
  throws_with({.class_weights = std::vector<float>{1.0f, 1.0f}});
  throws_with({.class_weights = std::vector<float>{1.0f, -1.0f, 1.0f}});
  throws_with({.class_weights = std::vector<float>{1.0f, 1.0f, kNaN}});
  throws_with({.class_weights = std::vector<float>{1.0f, kInfinity, 1.0f}});
  EXPECT_THROW(SoftmaxCrossEntropy(logits, std::vector<int32_t>{0, -100}, {.ignore_index = -1}, grad),
               std::invalid_argument);
  for (const float g : grad.span()) EXPECT_EQ(g, 7.0f);
  try {
    SoftmaxCrossEntropy(logits, std::vector<int32_t>{0, 3}, {}, {});
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "SoftmaxCrossEntropy: label 3 of row 1 is not in 0 … 2 (K = 3)");
  }
}

}  // namespace
}  // namespace hwynn
