// Prologue, epilogue and statistics of a convolution, in every algorithm and on every target.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
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
using testing::ExpectSameBitsOnTargets;
using testing::ForEachAlgorithm;
using testing::ForEachTarget;
using testing::GeometryOf;
using testing::Integers;
using testing::Normals;
using testing::PassShapes;
using testing::Poison;
using testing::ShapesOf;

bool IsWinograd(std::string_view algorithm) { return algorithm.starts_with("winograd"); }

// Everything that a call can be given beside its operands.
struct Extras {
  Extras(const Conv2dGeometry& g, const std::function<Tensor(const Shape&)>& fill)
      : mean(fill({g.IC})),
        mul(fill({g.IC})),
        shift(fill({g.IC})),
        center(fill({g.OC})),
        scale(fill({g.OC})),
        bias(fill({g.OC})),
        residual(fill(g.output_shape())) {}

  Conv2dPrologue Prologue() const { return {.mean = mean, .mul = mul, .bias = shift, .relu = true}; }
  Conv2dEpilogue Epilogue() const {
    return {.center = center, .scale = scale, .bias = bias, .residual = residual, .relu = true};
  }

  Tensor mean, mul, shift, center, scale, bias, residual;
};

// Some of all: bit i of `choice` for each.
Conv2dForwardOptions Choose(const Extras& extras, unsigned choice) {
  const auto wants = [&](unsigned bit) { return (choice >> bit & 1) != 0; };
  Conv2dForwardOptions options;
  if (wants(0)) options.prologue = {.mean = extras.mean, .mul = extras.mul, .bias = extras.shift};
  options.prologue.relu = wants(1);
  if (wants(2)) options.prologue.upper = 4;
  if (wants(3)) options.epilogue.center = extras.center;
  if (wants(4)) options.epilogue.scale = extras.scale;
  if (wants(5)) options.epilogue.bias = extras.bias;
  if (wants(6)) options.epilogue.residual = extras.residual;
  options.epilogue.relu = wants(7);
  if (wants(8)) options.epilogue.upper = 5;
  return options;
}
constexpr unsigned kChoices = 1 << 9;

// Every option by itself and together with others; padding stays 0, whatever the prologue makes of 0.
TEST(Conv2dEpilogueTest, ExactOnIntegersOnAllTargetsAndAlgorithms) {
  const Workspace workspace;
  unsigned choice = 0;
  for (const Conv2dCase& c : Conv2dCases()) {
    const Conv2dGeometry g = GeometryOf(c);
    const Tensor x = Integers(g.input_shape(), 10);
    const Tensor w = Integers(g.filter_shape(), 11);
    uint32_t seed = 12;
    const Extras extras(g, [&](const Shape& shape) { return Integers(shape, ++seed, 2); });
    for (int i = 0; i < 3; ++i) {
      choice = (choice * 5 + 377) % kChoices;  // comes by all of them
      SCOPED_TRACE(StrCat("choice ", choice, " input ", c.input, " filter ", c.filter));
      const Conv2dForwardOptions options = Choose(extras, choice);
      const reference::Sums expected = reference::Conv2dForward(g, x, w, options.prologue, options.epilogue);
      ForEachTarget([&](const std::string&) {
        ForEachAlgorithm(Conv2dPass::kForward, g, [&](std::string_view algorithm) {
          Conv2dForwardOptions call = options;
          call.algorithm = algorithm;
          Tensor y(g.output_shape(), std::nanf(""));
          Poison(workspace);
          Conv2dForward(c.params, x, w, y, workspace, call);
          for (int64_t e = 0; e < y.size(); ++e) {
            const auto at = static_cast<size_t>(e);
            const double tolerance = IsWinograd(algorithm) ? 1e-3 + 1e-5 * expected.magnitudes[at] : 0;
            ASSERT_NEAR(y[e], expected.values[at], tolerance) << algorithm << " element " << e;
          }
          if (call.epilogue.residual.size() == 0) return;
          Tensor in_place = extras.residual.Clone();
          call.epilogue.residual = in_place;
          Conv2dForward(c.params, x, w, in_place, workspace, call);
          ASSERT_EQ(std::memcmp(in_place.data(), y.data(), static_cast<size_t>(y.size()) * sizeof(float)), 0)
              << algorithm << ", residual in place";
        });
      });
    }
  }
}

// A fused BatchNorm: the bits of its own pass, before a convolution and behind it. A filter that copies its input
// leaves them as they are.
TEST(Conv2dEpilogueTest, HasTheBitsOfBatchNorm) {
  const Workspace workspace;
  constexpr int64_t C = 37;
  const Shape shape{2, 9, 10, C};
  const Tensor x = Normals(shape, 20, 3.0f, 2.0f);
  const Tensor residual = Normals(shape, 21);
  const Tensor mean = Normals({C}, 22, 3.0f), scale = Normals({C}, 23), bias = Normals({C}, 24);
  const Tensor var = Normals({C}, 25, 4.0f, 0.5f);
  const BatchNormAffine affine{.mean = mean, .var = var, .scale = scale, .bias = bias};
  Tensor mul({C});
  BatchNormMul(affine, mul);
  Tensor point({1, 1, C, C}, 0.0f);
  for (int64_t c = 0; c < C; ++c) point[c * C + c] = 1.0f;
  Tensor depthwise({3, 3, 1, C}, 0.0f);
  std::fill_n(depthwise.data() + 4 * C, C, 1.0f);
  const auto same = [](const Tensor& a, const Tensor& b) {
    return std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)) == 0;
  };
  ForEachTarget([&](const std::string&) {
    for (const bool relu : {false, true}) {
      Tensor before(shape), behind(shape);
      BatchNormNormalize(x, affine, before, {.relu = relu});
      BatchNormNormalize(x, affine, behind, {.residual = residual, .relu = relu});
      for (const bool one_filter_a_channel : {false, true}) {
        const Conv2dParams params{.groups = one_filter_a_channel ? C : 1};
        const Tensor& filter = one_filter_a_channel ? depthwise : point;
        Tensor y(shape);
        Conv2dForward(params, x, filter, y, workspace,
                      {.prologue = {.mean = mean, .mul = mul, .bias = bias, .relu = relu}});
        EXPECT_TRUE(same(y, before)) << "prologue, relu " << relu << " depthwise " << one_filter_a_channel;
        const Conv2dEpilogue epilogue{.center = mean, .scale = mul, .bias = bias, .residual = residual, .relu = relu};
        Conv2dForward(params, x, filter, y, workspace, {.epilogue = epilogue});
        EXPECT_TRUE(same(y, behind)) << "epilogue, relu " << relu << " depthwise " << one_filter_a_channel;
      }
    }
  });
}

// 0 lies at neither end, and infinity's clip is a plain ReLU.
TEST(Conv2dEpilogueTest, ClipsAndKeepsNan) {
  const Workspace workspace;
  const float values[] = {-1.0f, 0.0f, 0.5f, 6.0f, 6.5f, INFINITY, -INFINITY, std::nanf("")};
  constexpr int64_t kPixels = 8;
  Tensor x({1, 1, kPixels, 1});
  std::copy_n(values, kPixels, x.data());
  const Tensor one({1, 1, 1, 1}, 1.0f);
  ForEachTarget([&](const std::string&) {
    Tensor before(x.shape()), behind(x.shape()), plain(x.shape());
    Conv2dForward({}, x, one, before, workspace, {.prologue = {.relu = true, .upper = 6.0f}});
    Conv2dForward({}, x, one, behind, workspace, {.epilogue = {.relu = true, .upper = 6.0f}});
    Conv2dForward({}, x, one, plain, workspace, {.epilogue = {.relu = true}});
    for (int64_t i = 0; i + 1 < kPixels; ++i) {
      EXPECT_EQ(before[i], std::clamp(values[i], 0.0f, 6.0f)) << values[i];
      EXPECT_EQ(behind[i], std::clamp(values[i], 0.0f, 6.0f)) << values[i];
      EXPECT_EQ(plain[i], std::max(values[i], 0.0f)) << values[i];
    }
    EXPECT_TRUE(std::isnan(before[kPixels - 1]) && std::isnan(behind[kPixels - 1]) && std::isnan(plain[kPixels - 1]));
  });
}

struct Statistics {
  explicit Statistics(int64_t channels) : mean({channels}, std::nanf("")), var({channels}, std::nanf("")) {}
  Tensor mean, var;
};

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

TEST(Conv2dEpilogueTest, StatisticsAreAccurate) {
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
TEST(Conv2dEpilogueTest, StatisticsOfConstants) {
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

TEST(Conv2dEpilogueTest, StatisticsOfSkewedRows) {
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

TEST(Conv2dEpilogueTest, VarianceIsBetterWithManyValues) {
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
TEST(Conv2dEpilogueTest, StatisticsAtTheEndsOfTheRange) {
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

TEST(Conv2dEpilogueTest, StatisticsKeepNanInItsChannel) {
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

// A shape that no list names; every few of them strided, dilated, grouped or depthwise.
Conv2dCase RandomCase(std::mt19937& engine) {
  const auto draw = [&](int64_t least, int64_t most) {
    return least + static_cast<int64_t>(engine() % static_cast<uint32_t>(most - least + 1));
  };
  Conv2dCase c;
  const bool winograd = draw(0, 2) == 0;
  const int64_t kh = winograd ? 3 : draw(1, 4), kw = winograd ? 3 : draw(1, 4);
  if (!winograd) {
    c.params.stride = {draw(1, 3), draw(1, 2)};
    c.params.dilation = {draw(1, 2), draw(1, 2)};
  }
  const bool many = draw(0, 5) == 0;  // channels
  int64_t ic = many ? draw(100, 600) : draw(1, 70);
  int64_t oc = many ? draw(1, 40) : draw(1, 150);
  switch (draw(0, 4)) {
    case 0:
      c.params.groups = oc = ic;
      break;
    case 1:
      c.params.groups = draw(2, 4);
      ic *= c.params.groups, oc *= c.params.groups;
      break;
    default:
      break;
  }
  c.input = {draw(1, 4), draw(1, 20), draw(1, 20), ic};
  c.filter = {kh, kw, ic / c.params.groups, oc};
  return c;
}

// Every pass and algorithm, with prologue, epilogue and statistics.
TEST(Conv2dEpilogueTest, SameBitsOnTargets) {
  const Workspace workspace;
  std::mt19937 engine(7);
  std::vector<Conv2dCase> cases = Conv2dCases();
  for (int i = 0; i < 60; ++i) cases.push_back(RandomCase(engine));
  // Cuts that must not follow the lanes: chunks of a filter's gradient, tiles of a task.
  cases.push_back({{1, 291, 126, 420}, {7, 7, 420, 3}, {.padding = Padding::Valid()}});
  cases.push_back({{1, 40, 40, 170}, {3, 3, 170, 165}, {}});
  for (const Conv2dCase& c : cases) {
    const Conv2dGeometry g = GeometryOf(c);
    SCOPED_TRACE(StrCat("input ", c.input, " filter ", c.filter, " groups ", c.params.groups));
    uint32_t seed = 50;
    const Extras extras(g, [&](const Shape& shape) { return Normals(shape, ++seed); });
    const Tensor x = Normals(g.input_shape(), 60, 0.3f), w = Normals(g.filter_shape(), 61);
    const Tensor dy = Normals(g.output_shape(), 62, 0.1f);
    ForEachAlgorithm(Conv2dPass::kForward, g, [&](std::string_view algorithm) {
      SCOPED_TRACE(StrCat("forward, ", algorithm));
      ExpectSameBitsOnTargets([&] {
        Tensor y(g.output_shape());
        Statistics got(g.OC);
        Conv2dForwardOptions options{
            .prologue = extras.Prologue(), .epilogue = extras.Epilogue(), .algorithm = algorithm};
        options.epilogue.mean = got.mean, options.epilogue.var = got.var;
        Conv2dForward(c.params, x, w, y, workspace, options);
        std::vector<Tensor> results;
        for (Tensor* tensor : {&y, &got.mean, &got.var}) results.push_back(std::move(*tensor));
        return results;
      });
    });
    ForEachAlgorithm(Conv2dPass::kBackwardInput, g, [&](std::string_view algorithm) {
      SCOPED_TRACE(StrCat("backward-input, ", algorithm));
      ExpectSameBitsOnTargets([&] {
        std::vector<Tensor> results;
        results.push_back(x.Clone());
        Conv2dBackwardInput(c.params, dy, w, results[0], workspace, {.accumulate = true, .algorithm = algorithm});
        return results;
      });
    });
    ForEachAlgorithm(Conv2dPass::kBackwardFilter, g, [&](std::string_view algorithm) {
      SCOPED_TRACE(StrCat("backward-filter, ", algorithm));
      ExpectSameBitsOnTargets([&] {
        std::vector<Tensor> results;
        for (const Conv2dPrologue& prologue : {Conv2dPrologue(), extras.Prologue()}) {
          Tensor& dw = results.emplace_back(g.filter_shape());
          Conv2dBackwardFilter(c.params, x, dy, dw, workspace, {.prologue = prologue, .algorithm = algorithm});
        }
        return results;
      });
    });
  }
}

TEST(Conv2dEpilogueTest, SameBitsForAnyNumberOfThreads) {
  const Workspace workspace;
  const Conv2dCase cases[] = {{{4, 28, 28, 16}, {3, 3, 16, 16}, {}},
                              {{2, 30, 30, 70}, {3, 3, 70, 150}, {}},
                              {{4, 30, 30, 20}, {3, 3, 1, 20}, {.groups = 20}}};
  for (const Conv2dCase& c : cases) {
    const Conv2dGeometry g = GeometryOf(c);
    uint32_t seed = 70;
    const Extras extras(g, [&](const Shape& shape) { return Normals(shape, ++seed); });
    const Tensor x = Normals(g.input_shape(), 80), w = Normals(g.filter_shape(), 81);
    ForEachAlgorithm(Conv2dPass::kForward, g, [&](std::string_view algorithm) {
      std::vector<Statistics> got;
      for (const int threads : {1, 2, 3}) {
        Statistics& statistics = got.emplace_back(g.OC);
        Tensor y(g.output_shape());
        Conv2dForwardOptions options{
            .prologue = extras.Prologue(), .epilogue = extras.Epilogue(), .algorithm = algorithm};
        options.epilogue.mean = statistics.mean, options.epilogue.var = statistics.var;
        RunWithThreads(threads, [&] { Conv2dForward(c.params, x, w, y, workspace, options); });
        const auto bytes = static_cast<size_t>(g.OC) * sizeof(float);
        EXPECT_EQ(std::memcmp(statistics.mean.data(), got[0].mean.data(), bytes), 0) << c << " " << algorithm;
        EXPECT_EQ(std::memcmp(statistics.var.data(), got[0].var.data(), bytes), 0) << c << " " << algorithm;
      }
    });
  }
}

}  // namespace
}  // namespace hwynn
