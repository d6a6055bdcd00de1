#include "hwynn/kernels/optimizer_update.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/reference/optimizer_update.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::ForEachTarget;
using testing::Integers;
using testing::Normals;

constexpr double kUnit = 0x1p-24;  // one rounding to float

// Around the lanes of every target, and over several tasks with leaves that lie across their borders.
const std::vector<int64_t> kSizes = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 16300, 100, 0, 40001};

// Leaf arrays of all sizes, each with a guard element behind it.
class Leaves {
 public:
  Leaves() {
    for (size_t i = 0; i < kSizes.size(); ++i) {
      const Shape with_guard = {kSizes[i] + 1};
      const auto seed = static_cast<uint32_t>(10 * i);
      param.push_back(Normals(with_guard, seed + 1));
      grad.push_back(Normals(with_guard, seed + 2));
      first.push_back(Normals(with_guard, seed + 3));
      second.push_back(Normals(with_guard, seed + 4));
      for (float& nu : second.back().span()) nu = std::abs(nu);
    }
  }

  std::vector<SgdLeaf> Sgd() {
    std::vector<SgdLeaf> leaves;
    for (size_t i = 0; i < kSizes.size(); ++i) {
      leaves.push_back({View(param[i]), View(grad[i]), View(first[i]), Decays(i)});
    }
    return leaves;
  }

  std::vector<AdamLeaf> Adam() {
    std::vector<AdamLeaf> leaves;
    for (size_t i = 0; i < kSizes.size(); ++i) {
      leaves.push_back({View(param[i]), View(grad[i]), View(first[i]), View(second[i]), Decays(i)});
    }
    return leaves;
  }

  static bool Decays(size_t leaf) { return leaf % 2 == 0; }

  void ExpectGuardsOf(const Leaves& before) const {
    for (size_t i = 0; i < kSizes.size(); ++i) {
      EXPECT_EQ(param[i][kSizes[i]], before.param[i][kSizes[i]]);
      EXPECT_EQ(first[i][kSizes[i]], before.first[i][kSizes[i]]);
      EXPECT_EQ(second[i][kSizes[i]], before.second[i][kSizes[i]]);
    }
  }

  bool SameBits(const Leaves& other) const {
    const auto same = [](const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
      return std::ranges::equal(a, b, [](const Tensor& x, const Tensor& y) {
        return std::memcmp(x.data(), y.data(), x.span().size_bytes()) == 0;
      });
    };
    return same(param, other.param) && same(first, other.first) && same(second, other.second);
  }

  std::vector<Tensor> param, grad, first, second;

 private:
  static TensorView View(Tensor& tensor) { return {tensor.data(), {tensor.size() - 1}}; }
};

double Double(float x) { return static_cast<double>(x); }

// |got − want| as a share of `roundings` units of `magnitude`.
double Share(float got, double want, double magnitude, double roundings) {
  return std::abs(Double(got) - want) / (roundings * kUnit * magnitude + 1e-300);
}

TEST(OptimizerUpdateTest, SgdIsThatOfTheReference) {
  const SgdParams cases[] = {
      {.learning_rate = 0.1f},
      {.learning_rate = 0.1f, .nesterov = true, .weight_decay = 0.01f},  // without momentum there is no Nesterov
      {.learning_rate = 0.05f, .momentum = 0.9f},
      {.learning_rate = 0.05f, .momentum = 0.9f, .nesterov = true, .weight_decay = 1e-2f, .grad_scale = 0.37f},
  };
  for (const SgdParams& params : cases) {
    double worst = 0.0;
    ForEachTarget([&](const std::string&) {
      const Leaves before;
      Leaves after;
      SgdUpdate(params, after.Sgd());
      for (size_t leaf = 0; leaf < kSizes.size(); ++leaf) {
        for (int64_t i = 0; i < kSizes[leaf]; ++i) {
          const auto want = reference::SgdUpdate(
              params, {.param = Double(before.param[leaf][i]), .trace = Double(before.first[leaf][i])},
              Double(before.grad[leaf][i]), Leaves::Decays(leaf));
          const double share = Share(after.param[leaf][i], want.param, want.param_magnitude, 8);
          ASSERT_LE(share, 1.0) << "leaf " << leaf << " element " << i;
          worst = std::max(worst, share);
          if (params.momentum != 0.0f) {
            ASSERT_LE(Share(after.first[leaf][i], want.trace, want.trace_magnitude, 4), 1.0);
          } else {
            ASSERT_EQ(after.first[leaf][i], before.first[leaf][i]);
          }
        }
      }
      after.ExpectGuardsOf(before);
    });
    EXPECT_GT(worst, 0.1);  // the bound isn't vacuous
  }
}

TEST(OptimizerUpdateTest, AdamIsThatOfTheReference) {
  const AdamParams cases[] = {
      {.learning_rate = 0.1f},
      {.learning_rate = 0.1f, .weight_decay = 0.1f, .decoupled = true},
      {.learning_rate = 0.1f, .b1 = 0.8, .epsilon_root = 1e-3f, .weight_decay = 0.1f, .decoupled = false},
      {.learning_rate = 0.01f, .b2 = 0.99, .epsilon = 1e-3f, .weight_decay = 1.0f, .grad_scale = 0.37f},
  };
  for (const AdamParams& params : cases) {
    for (const int64_t count : {1, 2, 1000, 3000000}) {
      double worst = 0.0;
      ForEachTarget([&](const std::string&) {
        const Leaves before;
        Leaves after;
        AdamUpdate(params, count, after.Adam());
        for (size_t leaf = 0; leaf < kSizes.size(); ++leaf) {
          for (int64_t i = 0; i < kSizes[leaf]; ++i) {
            const auto want = reference::AdamUpdate(params, count,
                                                    {.param = Double(before.param[leaf][i]),
                                                     .mu = Double(before.first[leaf][i]),
                                                     .nu = Double(before.second[leaf][i])},
                                                    Double(before.grad[leaf][i]), Leaves::Decays(leaf));
            const double share = Share(after.param[leaf][i], want.param, want.param_magnitude, 16);
            ASSERT_LE(share, 1.0) << "leaf " << leaf << " element " << i << " count " << count;
            worst = std::max(worst, share);
            ASSERT_LE(Share(after.first[leaf][i], want.mu, want.mu_magnitude, 6), 1.0);
            ASSERT_LE(Share(after.second[leaf][i], want.nu, want.nu_magnitude, 8), 1.0);
          }
        }
        after.ExpectGuardsOf(before);
      });
      EXPECT_GT(worst, 0.05);
    }
  }
}

// Powers of two: every operation is exact, so the formulas can be checked with ==.
TEST(OptimizerUpdateTest, SgdByHand) {
  ForEachTarget([](const std::string&) {
    Tensor param({1}, 4.0f), grad({1}, 8.0f), trace({1}, 2.0f);
    const SgdParams params = {
        .learning_rate = 0.25f, .momentum = 0.5f, .nesterov = true, .weight_decay = 0.5f, .grad_scale = 0.5f};
    SgdUpdate(params, std::vector<SgdLeaf>{{param, grad, trace, true}});
    EXPECT_EQ(trace[0], 7.0f);           // 0.5·8 + 0.5·4 + 0.5·2
    EXPECT_EQ(param[0], 4.0f - 2.375f);  // 4 − 0.25·(6 + 0.5·7)
  });
}

TEST(OptimizerUpdateTest, FirstAdamStepIsTheSignOfTheGradient) {
  ForEachTarget([](const std::string&) {
    Tensor param({2}, 1.0f), grad({2}, 0.0f), mu({2}, 0.0f), nu({2}, 0.0f);
    grad[0] = 1e-3f, grad[1] = -300.0f;
    AdamUpdate({.learning_rate = 0.125f, .epsilon = 0.0f}, 1, std::vector<AdamLeaf>{{param, grad, mu, nu, false}});
    EXPECT_NEAR(param[0], 0.875f, 1e-6f);
    EXPECT_NEAR(param[1], 1.125f, 1e-6f);
    EXPECT_EQ(mu[1], static_cast<float>(1.0 - 0.9) * -300.0f);
  });
}

TEST(OptimizerUpdateTest, SumOfSquaresIsTheSameOnEveryTarget) {
  std::vector<Tensor> arrays;
  std::vector<Tensor> integers;
  double want = 0.0;
  double exact = 0.0;
  for (const int64_t size : kSizes) {
    arrays.push_back(Normals({size}, static_cast<uint32_t>(size)));
    integers.push_back(Integers({size}, static_cast<uint32_t>(size), 100));
    want += reference::SumOfSquares(arrays.back());
    exact += reference::SumOfSquares(integers.back());
  }
  const std::vector<ConstTensorView> views(arrays.begin(), arrays.end());
  const std::vector<ConstTensorView> integer_views(integers.begin(), integers.end());
  const double first = SumOfSquares(views);
  EXPECT_NEAR(first, want, 1e-13 * want);
  ForEachTarget([&](const std::string&) {
    EXPECT_EQ(SumOfSquares(views), first);
    EXPECT_EQ(SumOfSquares(integer_views), exact);
    EXPECT_EQ(SumOfSquares({}), 0.0);
  });
  // Floats whose squares overflow float.
  const Tensor large({3}, 1e30f);
  EXPECT_NEAR(SumOfSquares(std::vector<ConstTensorView>{large}), 3e60, 1e54);
}

TEST(OptimizerUpdateTest, ThreadsAndCutsDontShow) {
  const SgdParams sgd = {.momentum = 0.9f, .nesterov = true, .weight_decay = 1e-4f};
  const AdamParams adam = {.weight_decay = 1e-2f};
  ForEachTarget([&](const std::string&) {
    Leaves first_sgd;
    Leaves first_adam;
    // Leaf by leaf: no two share a task.
    for (const SgdLeaf& leaf : first_sgd.Sgd()) SgdUpdate(sgd, {&leaf, 1});
    for (const AdamLeaf& leaf : first_adam.Adam()) AdamUpdate(adam, 3, {&leaf, 1});
    const std::vector<ConstTensorView> views(first_sgd.param.begin(), first_sgd.param.end());
    const double squares = SumOfSquares(views);
    for (const int threads : {1, 2, 3}) {
      RunWithThreads(threads, [&] {
        Leaves leaves;
        SgdUpdate(sgd, leaves.Sgd());
        EXPECT_TRUE(leaves.SameBits(first_sgd)) << threads;
        Leaves others;
        AdamUpdate(adam, 3, others.Adam());
        EXPECT_TRUE(others.SameBits(first_adam)) << threads;
        EXPECT_EQ(SumOfSquares(views), squares);
      });
    }
  });
}

TEST(OptimizerUpdateTest, SameBitsOnEveryTarget) {
  const auto arrays_of = [](Leaves& leaves) {
    std::vector<Tensor> arrays;
    for (std::vector<Tensor>* group : {&leaves.param, &leaves.first, &leaves.second}) {
      for (Tensor& tensor : *group) arrays.push_back(std::move(tensor));
    }
    return arrays;
  };
  for (const SgdParams& params : {SgdParams{.weight_decay = 1e-2f, .grad_scale = 0.37f}, SgdParams{.momentum = 0.9f},
                                  SgdParams{.momentum = 0.9f, .nesterov = true, .weight_decay = 1e-4f}}) {
    testing::ExpectSameBitsOnTargets([&] {
      Leaves leaves;
      SgdUpdate(params, leaves.Sgd());
      return arrays_of(leaves);
    });
  }
  for (const AdamParams& params : {AdamParams{}, AdamParams{.epsilon_root = 1e-3f, .weight_decay = 0.1f},
                                   AdamParams{.weight_decay = 0.1f, .decoupled = false, .grad_scale = 0.37f}}) {
    testing::ExpectSameBitsOnTargets([&] {
      Leaves leaves;
      AdamUpdate(params, 7, leaves.Adam());
      return arrays_of(leaves);
    });
  }
}

TEST(OptimizerUpdateTest, BadArgumentsThrowBeforeAnythingIsWritten) {
  Tensor good({4}, 7.0f), grad({4}, 1.0f), trace({4}, 7.0f), nu({4}, 7.0f), wrong({3}, 7.0f);
  // The first leaf is right: it must not be updated when the second is refused.
  const auto sgd = [&](float momentum, const SgdLeaf& leaf) {
    const std::vector<SgdLeaf> leaves = {{good, grad, trace, false}, leaf};
    EXPECT_THROW(SgdUpdate({.momentum = momentum}, leaves), std::invalid_argument);
  };
  sgd(0.9f, {good, wrong, trace, false});
  sgd(0.9f, {good, grad, wrong, false});
  sgd(0.9f, {good, grad, {}, false});
  const auto adam = [&](const AdamParams& params, int64_t count, const AdamLeaf& leaf) {
    const std::vector<AdamLeaf> leaves = {{good, grad, trace, nu, false}, leaf};
    EXPECT_THROW(AdamUpdate(params, count, leaves), std::invalid_argument);
  };
  adam({}, 1, {good, wrong, trace, nu, false});
  adam({}, 1, {good, grad, wrong, nu, false});
  adam({}, 1, {good, grad, trace, wrong, false});
  adam({}, 0, {good, grad, trace, nu, false});
  adam({.b1 = 1.0}, 1, {good, grad, trace, nu, false});
  for (const Tensor* tensor : {&good, &trace, &nu}) {
    for (const float x : tensor->span()) EXPECT_EQ(x, 7.0f);
  }
  SgdUpdate({}, std::vector<SgdLeaf>{{good, grad, {}, false}});  // without momentum the trace may be empty
  EXPECT_EQ(good[3], 7.0f - 0.1f);
}

}  // namespace
}  // namespace hwynn
