// The statistics of a convolution's outputs, in every algorithm and on every target.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/reference/conv2d.h"
#include "hwynn/tests/kernels/batch_norm_case.h"
#include "hwynn/tests/kernels/conv2d_cases.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::Conv2dCase;
using testing::Conv2dCases;
using testing::ForEachAlgorithm;
using testing::ForEachTarget;
using testing::GeometryOf;
using testing::Normals;
using testing::Poison;
using testing::Statistics;

// Against float64, also where the mean is a thousand standard deviations.
void ExpectAccurate(const Tensor& y, const Statistics& got) {
  const reference::Moments expected = reference::Conv2dStatistics(y);
  const int64_t C = y.shape().back();
  const int64_t count = y.size() / C;
  const double tolerance = 1e-6;
  for (int64_t o = 0; o < C; ++o) {
    const double mean = expected.mean[static_cast<size_t>(o)];
    const double var = expected.var[static_cast<size_t>(o)];
    ASSERT_NEAR(got.mean[o], mean, 1e-6 * std::sqrt(var) + 1e-7 * std::abs(mean)) << "channel " << o;
    ASSERT_NEAR(got.var[o], var, tolerance * var) << "channel " << o << " of " << count << " values";
    ASSERT_GE(got.var[o], 0.0f);
  }
}

TEST(Conv2dStatisticsTest, AreAccurate) {
  const Workspace workspace;
  std::vector<Conv2dCase> cases = Conv2dCases();
  cases.push_back({{1, 7, 7, 64}, {3, 3, 64, 300}, {}});  // 49 values
  cases.push_back({{1, 7, 7, 64}, {1, 1, 64, 300}, {}});
  cases.push_back({{1, 7, 7, 300}, {3, 3, 1, 300}, {.groups = 300}});
  cases.push_back({{4, 28, 28, 16}, {3, 3, 16, 16}, {}});  // several blocks a task, several tasks
  cases.push_back({{4, 28, 28, 130}, {3, 3, 130, 140}, {}});
  cases.push_back({{4, 56, 56, 67}, {3, 3, 1, 67}, {.groups = 67}});
  for (const Conv2dCase& c : cases) {
    const Conv2dGeometry g = GeometryOf(c);
    const Tensor x = Normals(g.input_shape(), 30);
    const Tensor w = Normals(g.filter_shape(), 31);
    const double std = std::sqrt(g.flops() / 2 / static_cast<double>(g.output_shape().num_elements()));
    for (const double ratio : {0.0, 30.0, 1000.0}) {
      const Tensor bias = Normals({g.OC}, 32, static_cast<float>(ratio * std), 1.0f);
      ForEachTarget([&](const std::string& target) {
        ForEachAlgorithm(Conv2dPass::kForward, g, [&](std::string_view algorithm) {
          SCOPED_TRACE(StrCat(target, " ", algorithm, " mean/std ", ratio, " input ", c.input, " filter ", c.filter));
          Tensor y(g.output_shape());
          Statistics got(g.OC);
          Poison(workspace);
          Conv2dForward(
              c.params, x, w, y, workspace,
              {.epilogue = {.bias = bias, .relu = true, .mean = got.mean, .var = got.var}, .algorithm = algorithm});
          ExpectAccurate(y, got);
          Tensor without(g.output_shape());
          Conv2dForward(c.params, x, w, without, workspace,
                        {.epilogue = {.bias = bias, .relu = true}, .algorithm = algorithm});
          ASSERT_EQ(std::memcmp(y.data(), without.data(), static_cast<size_t>(y.size()) * sizeof(float)), 0);
        });
      });
    }
  }
}

// Equal values have a variance of exactly 0 and are their mean.
TEST(Conv2dStatisticsTest, OfConstants) {
  const Workspace workspace;
  const Tensor x = Normals({2, 13, 11, 20}, 40);
  const Tensor bias = Normals({20}, 42, 1000.0f, 300.0f);
  for (const int64_t groups : {1, 20}) {
    const Tensor w({3, 3, 20 / groups, 20}, 0.0f);
    const Conv2dGeometry g = ResolveConv2d("test", {.groups = groups}, x.shape(), w.shape());
    ForEachTarget([&](const std::string&) {
      ForEachAlgorithm(Conv2dPass::kForward, g, [&](std::string_view algorithm) {
        Tensor y(g.output_shape());
        Statistics got(g.OC);
        Conv2dForward({.groups = groups}, x, w, y, workspace,
                      {.epilogue = {.bias = bias, .mean = got.mean, .var = got.var}, .algorithm = algorithm});
        for (int64_t o = 0; o < g.OC; ++o) {
          EXPECT_EQ(got.mean[o], bias[o]) << algorithm;
          EXPECT_EQ(got.var[o], 0.0f) << algorithm;
          EXPECT_FALSE(std::signbit(got.var[o])) << algorithm;
        }
      });
    });
  }
}

// A convolution that copies its input, in direct form and one filter a channel.
struct Copies {
  Conv2dParams params;
  Tensor filter;
};
std::vector<Copies> CopyingFilters(int64_t C) {
  std::vector<Copies> copies;
  Tensor point({1, 1, C, C}, 0.0f), depthwise({3, 3, 1, C}, 0.0f), square({3, 3, C, C}, 0.0f);
  for (int64_t c = 0; c < C; ++c) point[c * C + c] = square[(4 * C + c) * C + c] = 1.0f;
  std::fill_n(depthwise.data() + 4 * C, C, 1.0f);
  copies.push_back({{}, std::move(point)});
  copies.push_back({{.groups = C}, std::move(depthwise)});
  copies.push_back({{}, std::move(square)});
  return copies;
}

// Statistics of x by every algorithm, of what it writes. Winograd's transforms round, so y isn't x.
template <class Body>
void ForEachCopy(const Tensor& x, const Workspace& workspace, const Body& body) {
  const int64_t C = x.shape().back();
  ForEachTarget([&](const std::string& target) {
    for (const Copies& copies : CopyingFilters(C)) {
      const Conv2dGeometry g = ResolveConv2d("test", copies.params, x.shape(), copies.filter.shape());
      ForEachAlgorithm(Conv2dPass::kForward, g, [&](std::string_view algorithm) {
        SCOPED_TRACE(StrCat(target, " ", algorithm, " input ", x.shape(), " filter ", copies.filter.shape()));
        Tensor y(x.shape());
        Statistics got(C);
        Conv2dForward(copies.params, x, copies.filter, y, workspace,
                      {.epilogue = {.mean = got.mean, .var = got.var}, .algorithm = algorithm});
        body(y, got);
      });
    }
  });
}

TEST(Conv2dStatisticsTest, OfSkewedRows) {
  const Workspace workspace;
  for (const auto& [name, value] : testing::SkewedSequences()) {
    for (const int64_t C : {3, 16}) {
      const Tensor rows = testing::RowsOf(value, 2 * 60 * 50, C);
      Tensor x({2, 60, 50, C});
      std::copy_n(rows.data(), rows.size(), x.data());
      SCOPED_TRACE(name);
      ForEachCopy(x, workspace, [&](const Tensor& y, const Statistics& got) {
        const reference::Moments expected = reference::Conv2dStatistics(y);
        for (int64_t o = 0; o < C; ++o) {
          const double var = expected.var[static_cast<size_t>(o)];
          ASSERT_NEAR(got.var[o], var, 1e-6 * var) << "channel " << o;
        }
      });
    }
  }
}

TEST(Conv2dStatisticsTest, VarianceIsBetterWithManyValues) {
  const Workspace workspace;
  for (const int64_t C : {5, 16, 64}) {
    for (const float ratio : {1e3f, 1e4f}) {
      const Tensor x = Normals({2, 60, 50, C}, 90, ratio);
      ForEachCopy(x, workspace, [&](const Tensor& y, const Statistics& got) {
        const reference::Moments expected = reference::Conv2dStatistics(y);
        for (int64_t o = 0; o < C; ++o) {
          const double var = expected.var[static_cast<size_t>(o)];
          ASSERT_NEAR(got.var[o], var, (ratio > 1e3f ? 1e-6 : 3e-7) * var) << "channel " << o;
        }
      });
    }
  }
}

// Squares overflow or vanish in float32 long before the variance does; other channels don't notice.
TEST(Conv2dStatisticsTest, AtTheEndsOfTheRange) {
  const Workspace workspace;
  constexpr int64_t C = 18;
  for (const float size : {1e18f, 1e19f, 2e19f, 1e30f, 1e-19f, 1e-22f, 1e-30f}) {
    SCOPED_TRACE(size);
    Tensor x = Normals({1, 20, 15, C}, 91);
    for (int64_t i = 7; i < x.size(); i += C) x[i] = (i / C % 3 == 0 ? -1.0f : 1.0f) * size;
    ForEachCopy(x, workspace, [&](const Tensor& y, const Statistics& got) {
      const reference::Moments expected = reference::Conv2dStatistics(y);
      for (int64_t o = 0; o < C; ++o) {
        const double var = expected.var[static_cast<size_t>(o)];
        const double mean = expected.mean[static_cast<size_t>(o)];
        EXPECT_NEAR(got.mean[o], mean, 1e-6 * (std::abs(mean) + std::sqrt(var))) << "channel " << o;
        if (var > std::numeric_limits<float>::max()) {
          EXPECT_EQ(got.var[o], std::numeric_limits<float>::infinity()) << "channel " << o;
        } else {
          EXPECT_NEAR(got.var[o], var, 1e-6 * var + std::numeric_limits<float>::denorm_min()) << "channel " << o;
          EXPECT_FALSE(std::signbit(got.var[o])) << "channel " << o;
        }
      }
    });
  }
}

TEST(Conv2dStatisticsTest, KeepNanInItsChannel) {
  const Workspace workspace;
  for (const float trouble : {std::nanf(""), INFINITY}) {
    Tensor x = Normals({1, 20, 15, 18}, 92);
    const Tensor plain = x.Clone();
    for (int64_t i = 7; i < x.size(); i += 18 * 5) x[i] = trouble;
    std::vector<float> expected;
    // A filter a channel, as others would multiply the value by 0.
    const Tensor filter({1, 1, 1, 18}, 1.0f);
    ForEachTarget([&](const std::string&) {
      Statistics got(18), without(18);
      Tensor y(x.shape());
      Conv2dForward({.groups = 18}, x, filter, y, workspace, {.epilogue = {.mean = got.mean, .var = got.var}});
      Conv2dForward({.groups = 18}, plain, filter, y, workspace,
                    {.epilogue = {.mean = without.mean, .var = without.var}});
      for (int64_t o = 0; o < 18; ++o) {
        EXPECT_EQ(o == 7, !std::isfinite(got.mean[o])) << o;
        if (o == 7) {
          EXPECT_TRUE(std::isnan(got.var[o]));
        } else {
          EXPECT_EQ(got.var[o], without.var[o]);
        }
      }
    });
  }
}

// So large that they are stored past the caches, of more channels than wait at once.
TEST(Conv2dStatisticsTest, OfLargeOutputs) {
  const Workspace workspace;
  // 80 and 176 are whole cache lines, but neither 64 nor a half or a third of them is.
  const Conv2dCase cases[] = {{{8, 112, 112, 16}, {3, 3, 16, 80}, {}},
                              {{4, 112, 112, 16}, {3, 3, 16, 176}, {}},
                              {{8, 112, 112, 16}, {1, 1, 16, 80}, {}}};
  for (const Conv2dCase& c : cases) {
    const Conv2dGeometry g = GeometryOf(c);
    const Tensor input = Normals(g.input_shape(), 1, 0.5f);
    const Tensor filter = Normals(g.filter_shape(), 2);
    ForEachAlgorithm(Conv2dPass::kForward, g, [&](std::string_view algorithm) {
      Tensor output = workspace.NewTensor(g.output_shape());
      Tensor mean({g.OC}), var({g.OC}), expected_mean({g.OC}), expected_var({g.OC});
      Conv2dForward(c.params, input, filter, output, workspace,
                    {.epilogue = {.mean = mean, .var = var}, .algorithm = algorithm});
      BatchNormStatistics(output, Variance::kTwoPass, expected_mean, expected_var, workspace);
      for (int64_t i = 0; i < g.OC; ++i) {
        ASSERT_NEAR(mean[i], expected_mean[i], 1e-5f) << c << " " << algorithm << " " << i;
        ASSERT_NEAR(var[i], expected_var[i], 1e-6f * expected_var[i]) << c << " " << algorithm << " " << i;
      }
    });
  }
}

}  // namespace
}  // namespace hwynn
