// Prologue and epilogue of a convolution, in every algorithm and on every target (its statistics:
// conv2d_statistics_test).

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/reference/conv2d.h"
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
using testing::Poison;
using testing::Statistics;

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
