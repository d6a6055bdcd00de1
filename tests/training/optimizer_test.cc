#include "hwynn/training/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/module_bed.h"

namespace hwynn {
namespace {

using testing::ExpectError;
using testing::MaxDifference;
using testing::Normals;

Collection MakeParams(uint32_t seed) {
  Collection params;
  params.emplace("Dense_0/bias", Normals({5}, seed));
  params.emplace("Dense_0/kernel", Normals({3, 5}, seed + 1));
  return params;
}

Gradients MakeGradients(uint32_t seed) { return Gradients::CopyOf(MakeParams(seed)); }

constexpr float kRate = 0.05f;
// Each update is a handful of roundings of numbers of this size.
constexpr double kTolerance = 1e-6;

TEST(Optimizer, SgdWithNesterovAndDecayOnKernelsFollowsOptax) {
  const OptimizerOptions options{.momentum = 0.9f, .nesterov = true, .weight_decay = 0.01f};
  const Optimizer optimizer(options);
  Collection params = MakeParams(1);
  Collection state = optimizer.Init(params);
  EXPECT_EQ(state.size(), 2u);
  EXPECT_EQ(state.at("trace/Dense_0/kernel").shape(), Shape({3, 5}));

  Collection expected = Clone(params), trace = ZerosLike(params);
  for (int step = 0; step < 3; ++step) {
    const Gradients gradients = MakeGradients(10 + static_cast<uint32_t>(step));
    optimizer.Update(kRate, step + 1, gradients, params, state);
    for (auto& [path, param] : expected) {
      const double decay = param.shape().rank() > 1 ? 0.01 : 0.0;
      for (int64_t i = 0; i < param.size(); ++i) {
        const double gradient = gradients.at(path)[i] + decay * param[i];
        const double momentum = gradient + 0.9 * trace.at(path)[i];
        trace.at(path)[i] = static_cast<float>(momentum);
        param[i] = static_cast<float>(param[i] - kRate * (gradient + 0.9 * momentum));
        EXPECT_NEAR(params.at(path)[i], param[i], kTolerance) << path << " " << i;
      }
    }
  }
}

void CheckAdam(OptimizerKind kind) {
  const bool decoupled = kind == OptimizerKind::kAdamW;
  const Optimizer optimizer({.kind = kind, .weight_decay = 0.1f, .decay_all = true});
  Collection params = MakeParams(2);
  Collection state = optimizer.Init(params);
  EXPECT_EQ(state.size(), 4u);
  Collection expected = Clone(params), mu = ZerosLike(params), nu = ZerosLike(params);
  for (int step = 1; step <= 3; ++step) {
    const Gradients gradients = MakeGradients(20 + static_cast<uint32_t>(step));
    optimizer.Update(kRate, step, gradients, params, state);
    for (auto& [path, param] : expected) {
      for (int64_t i = 0; i < param.size(); ++i) {
        const double gradient = gradients.at(path)[i] + (decoupled ? 0 : 0.1 * param[i]);
        float& m = mu.at(path)[i];
        float& v = nu.at(path)[i];
        m = static_cast<float>(0.1 * gradient + 0.9 * m);
        v = static_cast<float>(0.001 * gradient * gradient + 0.999 * v);
        double direction = m / (1 - std::pow(0.9, step)) / (std::sqrt(v / (1 - std::pow(0.999, step))) + 1e-8);
        if (decoupled) direction += 0.1 * param[i];
        param[i] = static_cast<float>(param[i] - kRate * direction);
        // 1 − b2^count is a small difference of float numbers near 1, as in optax.
        EXPECT_NEAR(params.at(path)[i], param[i], 1e-5) << path << " " << i;
      }
    }
  }
}

TEST(Optimizer, AdamAddsDecayToTheGradient) { CheckAdam(OptimizerKind::kAdam); }
TEST(Optimizer, AdamWDecaysApartFromTheGradient) { CheckAdam(OptimizerKind::kAdamW); }

TEST(Optimizer, WeightDecayReachesEveryArrayOfMoreThanOneDimension) {
  for (const bool decay_all : {false, true}) {
    const Optimizer optimizer({.momentum = 0.0f, .weight_decay = 0.5f, .decay_all = decay_all});
    for (const Shape& shape : {Shape{1}, Shape{1, 1}, Shape{1, 1, 1}, Shape{1, 1, 1, 1}}) {
      Collection params, state;
      params.emplace("kernel", Tensor(shape, 1.0f));
      optimizer.Update(1.0f, 1, Gradients(params), params, state);
      EXPECT_EQ(params.at("kernel")[0], shape.rank() > 1 || decay_all ? 0.5f : 1.0f) << shape;
    }
  }
}

TEST(Optimizer, ClipsTheGlobalNormAndNotSmallerOnes) {
  const Gradients gradients = MakeGradients(3);
  double sum = 0;
  for (const auto& [path, gradient] : gradients) {
    for (const float value : gradient.span()) sum += static_cast<double>(value) * value;
  }
  const double norm = std::sqrt(sum);
  for (const double clip : {0.5 * norm, 2.0 * norm}) {
    const Optimizer optimizer({.momentum = 0.0f, .nesterov = false, .clip_norm = static_cast<float>(clip)});
    Collection params = ZerosLike(MakeParams(3)), state = optimizer.Init(params);
    EXPECT_TRUE(state.empty());
    optimizer.Update(1.0f, 1, gradients, params, state);
    for (const auto& [path, gradient] : gradients) {
      for (int64_t i = 0; i < gradient.size(); ++i) {
        EXPECT_NEAR(params.at(path)[i], -gradient[i] * std::min(clip / norm, 1.0), kTolerance);
      }
    }
  }
}

TEST(Optimizer, ChecksTreesBeforeItWrites) {
  const Optimizer optimizer({});
  Collection params = MakeParams(4);
  Collection state = optimizer.Init(params);
  Collection gradients = MakeParams(5);
  gradients.erase("Dense_0/kernel");  // the second in order: the first mustn't have been updated
  const auto update = [&] { optimizer.Update(1, 1, Gradients::CopyOf(gradients), params, state); };
  const float before = params.at("Dense_0/bias")[0];
  EXPECT_THROW(update(), std::invalid_argument);
  gradients.emplace("Dense_0/kernel", Normals({5, 3}, 6));
  EXPECT_THROW(update(), std::invalid_argument);
  EXPECT_EQ(params.at("Dense_0/bias")[0], before);
}

TEST(Optimizer, RefusesGradientsThatArentFinite) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    const Optimizer optimizer({.kind = kind});
    Collection params = MakeParams(4), state = optimizer.Init(params);
    const Collection params_before = Clone(params), state_before = Clone(state);
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      Gradients gradients = MakeGradients(5);
      gradients.at("Dense_0/kernel")[7] = bad;  // the second in order
      ExpectError<std::runtime_error>([&] { optimizer.Update(0.1f, 12, gradients, params, state); },
                                      {"\"Dense_0/kernel\"", "step 12"});
    }
    for (const auto& [path, values] : params_before) EXPECT_EQ(MaxDifference(params.at(path), values), 0) << path;
    for (const auto& [path, values] : state_before) EXPECT_EQ(MaxDifference(state.at(path), values), 0) << path;
    // The largest finite ones aren't refused: their squares are summed in double.
    Gradients gradients = MakeGradients(5);
    gradients.at("Dense_0/kernel")[7] = 3e38f;
    EXPECT_NO_THROW(optimizer.Update(0.1f, 12, gradients, params, state));
  }
}

// Gradients of params that aren't given are of no account, whatever they are.
TEST(Optimizer, ClipsTheNormOfTheGivenParamsAlone) {
  const Optimizer optimizer({.momentum = 0.0f, .nesterov = false, .clip_norm = 1.0f});
  Gradients gradients = MakeGradients(6);
  Collection params = ZerosLike(MakeParams(6)), state;
  std::ranges::fill(gradients.at("Dense_0/bias").span(), 0.25f);
  gradients.at("Dense_0/kernel")[0] = NAN;
  params.erase("Dense_0/kernel");
  optimizer.Update(1.0f, 1, gradients, params, state);
  for (const float value : params.at("Dense_0/bias").span()) EXPECT_EQ(value, -0.25f);  // norm 0.56
}

TEST(Optimizer, RefusesOptionsOutOfRange) {
  EXPECT_THROW(Optimizer({.momentum = 1.0f}), std::invalid_argument);
  EXPECT_THROW(Optimizer({.b2 = 1.0}), std::invalid_argument);
  EXPECT_THROW(Optimizer({.epsilon = 0.0f}), std::invalid_argument);
  EXPECT_THROW(Optimizer({.weight_decay = -1.0f}), std::invalid_argument);
  EXPECT_THROW(Optimizer({.clip_norm = NAN}), std::invalid_argument);
}

}  // namespace
}  // namespace hwynn
