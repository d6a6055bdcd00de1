#include "hwynn/kernels/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/reference/matmul.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::ForEachTarget;
using testing::Integers;
using testing::Normals;

struct Extents {
  int64_t M, K, N;
};

// Tails of rows, panels and lanes; depths of several blocks; rows enough for several blocks of pixels.
const Extents kCases[] = {{1, 1, 1},     {3, 5, 2},    {14, 16, 32},   {15, 17, 33},    {128, 784, 10},
                          {29, 1050, 7}, {7, 2, 100},  {500, 3, 5},    {1, 2100, 1},    {6, 130, 257},
                          {2000, 9, 4},  {33, 48, 48}, {97, 200, 129}, {1500, 140, 17}, {13, 1050, 128}};

void ExpectExact(const Tensor& actual, const reference::Sums& expected) {
  for (int64_t i = 0; i < actual.size(); ++i) ASSERT_EQ(actual[i], expected.values[static_cast<size_t>(i)]) << i;
}

TEST(MatmulTest, ExactOnIntegersOnAllTargets) {
  const Workspace workspace;
  for (const Extents& extents : kCases) {
    // Not structured bindings: clang 14 doesn't let lambdas capture them.
    const int64_t M = extents.M;
    const int64_t K = extents.K;
    const int64_t N = extents.N;
    SCOPED_TRACE(::testing::Message() << M << "×" << K << "×" << N);
    const Tensor a = Integers({M, K}, 1);
    const Tensor b = Integers({K, N}, 2);
    const Tensor g = Integers({M, N}, 3);
    const Tensor bias = Integers({N}, 4);
    const reference::Sums forward = reference::MatmulForward(a, b);
    const reference::Sums grad_a = reference::MatmulBackwardA(g, b);
    const reference::Sums grad_b = reference::MatmulBackwardB(a, g);
    ForEachTarget([&](const std::string&) {
      Tensor c({M, N}, std::nanf(""));
      MatmulForward(a, b, {}, c, workspace);
      ExpectExact(c, forward);
      MatmulForward(a, b, bias, c, workspace);
      for (int64_t i = 0; i < c.size(); ++i) {
        ASSERT_EQ(c[i], forward.values[static_cast<size_t>(i)] + bias[i % N]) << "with bias, element " << i;
      }
      Tensor da({M, K}, std::nanf(""));
      MatmulBackwardA(g, b, da, workspace);
      ExpectExact(da, grad_a);
      Tensor db({K, N}, std::nanf(""));
      MatmulBackwardB(a, g, db, workspace);
      ExpectExact(db, grad_b);
    });
  }
}

TEST(MatmulTest, RoundingErrorsAreBounded) {
  const Workspace workspace;
  const Tensor a = Normals({100, 700}, 5, 0.5f);
  const Tensor b = Normals({700, 50}, 6);
  const reference::Sums expected = reference::MatmulForward(a, b);
  ForEachTarget([&](const std::string&) {
    Tensor c({100, 50});
    MatmulForward(a, b, {}, c, workspace);
    double worst = 0;
    for (int64_t i = 0; i < c.size(); ++i) {
      const double bound = (std::sqrt(700.0) + 2) * 0x1p-24 * expected.magnitudes[static_cast<size_t>(i)];
      ASSERT_FALSE(std::isnan(c[i]));
      worst = std::max(worst, std::abs(c[i] - expected.values[static_cast<size_t>(i)]) / bound);
    }
    EXPECT_LE(worst, 1.0);
    EXPECT_GE(worst, 0.005);
  });
}

TEST(MatmulTest, SameBitsForAnyNumberOfThreads) {
  const Workspace workspace;
  const Tensor a = Normals({700, 300}, 7);
  const Tensor g = Normals({700, 90}, 8);
  ForEachTarget([&](const std::string&) {
    Tensor one({300, 90});
    RunWithThreads(1, [&] { MatmulBackwardB(a, g, one, workspace); });
    for (const int threads : {2, 3}) {
      Tensor several({300, 90});
      RunWithThreads(threads, [&] { MatmulBackwardB(a, g, several, workspace); });
      EXPECT_EQ(std::memcmp(one.data(), several.data(), static_cast<size_t>(one.size()) * sizeof(float)), 0);
    }
  });
}

TEST(MatmulTest, SameBitsOnEveryTarget) {
  const Workspace workspace;
  for (const auto& [M, K, N] : kCases) {
    SCOPED_TRACE(::testing::Message() << M << "×" << K << "×" << N);
    const Tensor a = Normals({M, K}, 9);
    const Tensor b = Normals({K, N}, 10);
    const Tensor g = Normals({M, N}, 11);
    const Tensor bias = Normals({N}, 12);
    testing::ExpectSameBitsOnTargets([&] {
      std::vector<Tensor> results;
      for (const Shape& shape : {g.shape(), g.shape(), a.shape(), b.shape()}) results.emplace_back(shape);
      MatmulForward(a, b, {}, results[0], workspace);
      MatmulForward(a, b, bias, results[1], workspace);
      MatmulBackwardA(g, b, results[2], workspace);
      MatmulBackwardB(a, g, results[3], workspace);
      return results;
    });
  }
}

TEST(MatmulTest, BadShapesThrow) {
  const Workspace workspace;
  const Tensor a({4, 5}, 1.0f);
  const Tensor b({6, 7}, 1.0f);
  Tensor c({4, 7}, 3.0f);
  EXPECT_THROW(MatmulForward(a, b, {}, c, workspace), std::invalid_argument);
  EXPECT_THROW(MatmulForward(Tensor({0, 6}), b, {}, Tensor({0, 7}), workspace), std::invalid_argument);
  EXPECT_THROW(MatmulForward(Tensor({4, 6}, 1.0f), b, Tensor({6}, 1.0f), c, workspace), std::invalid_argument);
  for (const float value : c.span()) ASSERT_EQ(value, 3.0f);
}

// A row of a batch has the bits that it has alone.
TEST(MatmulTest, RowsDontDependOnTheBatch) {
  const Workspace workspace;
  for (const Shape& b_shape : {Shape{5, 3}, Shape{70, 130}, Shape{1100, 33}}) {
    const int64_t K = b_shape[0];
    const int64_t N = b_shape[1];
    const Tensor a = Normals({7, K}, 1);
    const Tensor b = Normals(b_shape, 2);
    const Tensor dy = Normals({7, N}, 3);
    ForEachTarget([&](const std::string&) {
      Tensor y({7, N}), dx({7, K}), row({1, N}), row_dx({1, K});
      MatmulForward(a, b, {}, y, workspace);
      MatmulBackwardA(dy, b, dx, workspace);
      for (int64_t i = 0; i < 7; ++i) {
        MatmulForward(a.view().Rows(i, 1), b, {}, row, workspace);
        MatmulBackwardA(dy.view().Rows(i, 1), b, row_dx, workspace);
        EXPECT_EQ(std::memcmp(row.data(), y.data() + i * N, static_cast<size_t>(N) * sizeof(float)), 0) << b_shape;
        EXPECT_EQ(std::memcmp(row_dx.data(), dx.data() + i * K, static_cast<size_t>(K) * sizeof(float)), 0) << b_shape;
      }
    });
  }
}

}  // namespace
}  // namespace hwynn
