// What conv2d_test's shapes are too small for: every way in which Winograd cuts its work, and how much it rounds.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d_plan.h"
#include "hwynn/kernels/reference/conv2d.h"
#include "hwynn/tests/kernels/conv2d_cases.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::ForEachTarget;
using testing::Normals;
using testing::Poison;

constexpr const char* kAlgorithms[] = {"winograd_f4x4", "winograd_f2x2"};

struct Case {
  Shape input, filter;
  Padding padding = Padding::Same();
};

std::vector<Case> Cases() {
  std::vector<Case> cases = {
      // Few tiles: tasks are groups of output channels, the last one smaller; slices of input channels.
      {{1, 9, 6, 70}, {3, 3, 70, 150}},
      // More blocks than tasks wanted, in several images, the last block smaller.
      {{3, 26, 27, 18}, {3, 3, 18, 20}},
      // Backward-filter: slices of both channels; several chunks; point by point.
      {{2, 22, 21, 66}, {3, 3, 66, 70}},
      {{4, 28, 27, 24}, {3, 3, 24, 20}},
      {{2, 7, 9, 130}, {3, 3, 130, 136}},
      // Filters beyond the second-level cache, with many tiles and with few.
      {{8, 15, 14, 96}, {3, 3, 96, 160}},
      {{1, 8, 8, 96}, {3, 3, 96, 160}},
      // Filters transformed panel by panel, the last one smaller: forward, and backward-input.
      {{3, 7, 9, 60}, {3, 3, 60, 530}},
      {{3, 7, 9, 530}, {3, 3, 530, 60}},
      // Few channels: several blocks a task and several tasks, whole tiles alone and smaller ones among them.
      {{2, 28, 28, 16}, {3, 3, 16, 16}},
      {{5, 14, 14, 32}, {3, 3, 32, 32}},
      {{3, 19, 18, 16}, {3, 3, 16, 32}},
      {{3, 19, 18, 16}, {3, 3, 16, 4}},
      {{3, 19, 18, 16}, {3, 3, 16, 7}},
      {{3, 19, 18, 16}, {3, 3, 16, 13}},
      {{3, 19, 18, 32}, {3, 3, 32, 7}},
      {{1, 12, 5, 17}, {3, 3, 17, 19}, Padding::Explicit(2, 0, 0, 2)},
      {{1, 8, 11, 16}, {3, 3, 16, 16}, Padding::Valid()},
  };
  // Every remainder of an image by the tiles, in both directions.
  for (int64_t h = 1; h <= 6; ++h) {
    for (int64_t w = 4; w <= 7; ++w) cases.push_back({{2, h, w, 5}, {3, 3, 5, 9}});
  }
  return cases;
}

// An element of a pass's result, in double.
using Expected = std::function<double(const Conv2dGeometry&, const Tensor& a, const Tensor& b, int64_t i)>;

double ForwardAt(const Conv2dGeometry& g, const Tensor& x, const Tensor& w, int64_t i) {
  return reference::Conv2dForwardAt(g, x, w, i / (g.OH * g.OW * g.OC), i / (g.OW * g.OC) % g.OH, i / g.OC % g.OW,
                                    i % g.OC);
}

double BackwardInputAt(const Conv2dGeometry& g, const Tensor& dy, const Tensor& w, int64_t i) {
  return reference::Conv2dBackwardInputAt(g, dy, w, i / (g.IH * g.IW * g.IC), i / (g.IW * g.IC) % g.IH, i / g.IC % g.IW,
                                          i % g.IC);
}

double BackwardFilterAt(const Conv2dGeometry& g, const Tensor& x, const Tensor& dy, int64_t i) {
  return reference::Conv2dBackwardFilterAt(g, x, dy, i / (g.KW * g.IC * g.OC), i / (g.IC * g.OC) % g.KW,
                                           i / g.OC % g.IC, i % g.OC);
}

// Every `step`-th element of a result: rms of the errors and of the values, and the largest error.
struct Errors {
  double rms = 0, largest = 0;  // over the values' rms
};

Errors ErrorsOf(const Expected& expected, const Conv2dGeometry& g, const Tensor& a, const Tensor& b,
                const Tensor& result, int64_t step) {
  double squares = 0;
  double values = 0;
  double largest = 0;
  for (int64_t i = 0; i < result.size(); i += step) {
    const double value = expected(g, a, b, i);
    const double error = std::abs(result[i] - value);
    squares += error * error;
    values += value * value;
    largest = std::isnan(error) ? error : std::max(largest, error);
  }
  return {std::sqrt(squares / values),
          largest / std::sqrt(values / static_cast<double>((result.size() + step - 1) / step))};
}

struct Operands {
  explicit Operands(const Conv2dGeometry& g)
      : x(Normals(g.input_shape(), 1, 0.5f)), w(Normals(g.filter_shape(), 2)), dy(Normals(g.output_shape(), 3)) {}
  Tensor x, w, dy;
};

struct Results {
  explicit Results(const Conv2dGeometry& g)
      : y(g.output_shape(), std::nanf("")), dx(g.input_shape(), std::nanf("")), dw(g.filter_shape(), std::nanf("")) {}
  Tensor y, dx, dw;
};

void RunAll(const Conv2dParams& params, const Operands& in, Results& out, const Workspace& workspace,
            std::string_view algorithm) {
  Conv2dForward(params, in.x, in.w, out.y, workspace, {.algorithm = algorithm});
  Conv2dBackwardInput(params, in.dy, in.w, out.dx, workspace, {.algorithm = algorithm});
  Conv2dBackwardFilter(params, in.x, in.dy, out.dw, workspace, {.algorithm = algorithm});
}

TEST(WinogradTest, EveryWayOfCuttingTheWork) {
  const Workspace workspace;
  for (const Case& c : Cases()) {
    const Conv2dParams params{.padding = c.padding};
    const Conv2dGeometry g = ResolveConv2d("test", params, c.input, c.filter);
    const Operands in(g);
    const auto step = static_cast<int64_t>(g.flops() / 4e6) | 1;
    ForEachTarget([&](const std::string&) {
      for (const char* algorithm : kAlgorithms) {
        SCOPED_TRACE(StrCat(algorithm, " input ", c.input, " filter ", c.filter));
        Results out(g);
        Poison(workspace, int64_t{1} << 21);
        RunAll(params, in, out, workspace, algorithm);
        // A wrong element shows as an error of the values' own size.
        EXPECT_LT(ErrorsOf(ForwardAt, g, in.x, in.w, out.y, step).largest, 1e-4);
        EXPECT_LT(ErrorsOf(BackwardInputAt, g, in.dy, in.w, out.dx, step).largest, 1e-4);
        EXPECT_LT(ErrorsOf(BackwardFilterAt, g, in.x, in.dy, out.dw, step).largest, 1e-4);
      }
    });
  }
}

TEST(WinogradTest, SameBitsForAnyNumberOfThreads) {
  const Workspace workspace;
  const auto same = [](const Tensor& a, const Tensor& b) {
    return std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)) == 0;
  };
  for (const Case& c : Cases()) {
    const Conv2dParams params{.padding = c.padding};
    const Conv2dGeometry g = ResolveConv2d("test", params, c.input, c.filter);
    const Operands in(g);
    for (const char* algorithm : kAlgorithms) {
      Results one(g);
      RunWithThreads(1, [&] { RunAll(params, in, one, workspace, algorithm); });
      for (const int threads : {2, 3}) {
        Results several(g);
        RunWithThreads(threads, [&] { RunAll(params, in, several, workspace, algorithm); });
        EXPECT_TRUE(same(one.y, several.y) && same(one.dx, several.dx) && same(one.dw, several.dw))
            << algorithm << " input " << c.input << " threads " << threads;
      }
    }
  }
}

// Point by point the tiles of a gradient may be more than are transformed at once: each pass adds to the sums.
TEST(WinogradTest, SeveralPassesOverTheTiles) {
  const Workspace workspace;
  const Conv2dGeometry g = ResolveConv2d("test", {}, {17, 28, 28, 130}, {3, 3, 130, 130});
  const Operands in(g);
  Tensor dw(g.filter_shape());
  Conv2dBackwardFilter({}, in.x, in.dy, dw, workspace, {.algorithm = "winograd_f4x4"});
  EXPECT_LT(ErrorsOf(BackwardFilterAt, g, in.x, in.dy, dw, 997).largest, 1e-4);
}

// Σ over channels of the largest |input| in the tile that makes the output, times the largest |weight|: what the errors
// of a tile's outputs are relative to.
double TileMagnitude(const Conv2dGeometry& g, const Tensor& x, const Tensor& w, int64_t m, int64_t oy, int64_t ox,
                     int64_t o) {
  const int64_t y0 = oy / m * m - g.pad_top;
  const int64_t x0 = ox / m * m - g.pad_left;
  double sum = 0;
  for (int64_t c = 0; c < g.IC; ++c) {
    float input = 0;
    float weight = 0;
    for (int64_t iy = std::max<int64_t>(y0, 0); iy < std::min(y0 + m + 2, g.IH); ++iy) {
      for (int64_t ix = std::max<int64_t>(x0, 0); ix < std::min(x0 + m + 2, g.IW); ++ix) {
        input = std::max(input, std::abs(x[(iy * g.IW + ix) * g.IC + c]));
      }
    }
    for (int64_t tap = 0; tap < 9; ++tap) weight = std::max(weight, std::abs(w[(tap * g.IC + c) * g.OC + o]));
    sum += static_cast<double>(input) * weight;
  }
  return sum;
}

// docs/numerics.md states these bounds: one large pixel spoils what lies in its tile, in this measure and no more.
TEST(WinogradTest, ErrorsAreBoundedByTheLargestInputOfTheTile) {
  const Workspace workspace;
  struct Variant {
    const char* algorithm;
    int64_t m;
    double constant, of_channels;
  };
  for (const Variant& variant : {Variant{"winograd_f4x4", 4, 90, 15}, Variant{"winograd_f2x2", 2, 25, 3}}) {
    double worst = 0;
    for (const int64_t channels : {1, 7, 64, 256}) {
      const Conv2dGeometry g = ResolveConv2d("test", {}, {1, 11, 15, channels}, {3, 3, channels, 6});
      const Tensor w = Normals(g.filter_shape(), 90);
      const double bound = (variant.constant + variant.of_channels * std::sqrt(channels)) * 0x1p-24;
      for (const float outlier : {0.0f, 1e3f, 1e6f}) {
        Tensor x = Normals(g.input_shape(), 91);
        if (outlier != 0) x[(5 * g.IW + 6) * channels + channels / 3] = outlier;
        const reference::Sums expected = reference::Conv2dForward(g, x, w);
        ForEachTarget([&](const std::string&) {
          Tensor y(g.output_shape());
          Conv2dForward({}, x, w, y, workspace, {.algorithm = variant.algorithm});
          for (int64_t i = 0; i < y.size(); ++i) {
            const double magnitude = TileMagnitude(g, x, w, variant.m, i / (g.OW * g.OC), i / g.OC % g.OW, i % g.OC);
            const double error = std::abs(y[i] - expected.values[static_cast<size_t>(i)]);
            ASSERT_LE(error, bound * magnitude)
                << variant.algorithm << " channels " << channels << " outlier " << outlier << " element " << i;
            worst = std::max(worst, error / (bound * magnitude));
          }
        });
      }
    }
    EXPECT_GE(worst, 0.2) << variant.algorithm << ": a bound that is never approached tests nothing";
  }
}

// Beyond the 3×3 outputs that see it, an infinity reaches those of its tiles: up to five along an axis, or for tiles of
// two outputs four.
TEST(WinogradTest, InfinityStaysInItsTiles) {
  const Workspace workspace;
  const Conv2dGeometry g = ResolveConv2d("test", {}, {1, 24, 24, 3}, {3, 3, 3, 5});
  const Tensor w = Normals(g.filter_shape(), 93);
  for (int64_t place = 8; place < 12; ++place) {
    Tensor x = Normals(g.input_shape(), 94);
    x[(place * g.IW + place) * g.IC + 1] = INFINITY;
    ForEachTarget([&](const std::string&) {
      for (const char* algorithm : kAlgorithms) {
        Tensor y(g.output_shape());
        Conv2dForward({}, x, w, y, workspace, {.algorithm = algorithm});
        int64_t lost = 0;
        for (int64_t oy = 0; oy < g.OH; ++oy) {
          for (int64_t ox = 0; ox < g.OW; ++ox) {
            const bool sees = std::max(std::abs(oy - place), std::abs(ox - place)) <= 1;
            const bool finite = std::isfinite(y[(oy * g.OW + ox) * g.OC]);
            EXPECT_FALSE(sees && finite) << algorithm << " output " << oy << "," << ox;
            lost += finite ? 0 : 1;
          }
        }
        EXPECT_LE(lost, std::string_view(algorithm) == "winograd_f4x4" ? 25 : 16) << algorithm << " at " << place;
      }
    });
  }
}

// A filter that isn't packed may be transformed panel by panel, with all of the prologue, epilogue and statistics.
TEST(WinogradTest, PanelsGiveAPackedFiltersBits) {
  const Workspace workspace;
  const Conv2dParams params;
  const auto same = [](const Tensor& a, const Tensor& b) {
    return std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(float)) == 0;
  };
  const Shape filters[] = {{3, 3, 60, 530}, {3, 3, 530, 60}};
  for (const Shape& filter : filters) {
    const Conv2dGeometry g = ResolveConv2d("test", params, {17, 7, 9, filter[2]}, filter);
    const Operands in(g);
    const Tensor means = Normals({g.IC}, 4), mul = Normals({g.IC}, 5), bias = Normals({g.IC}, 7);
    const Tensor residual = Normals(g.output_shape(), 6);
    ForEachTarget([&](const std::string&) {
      Results packed(g), panels(g);
      Tensor mean[2] = {Tensor({g.OC}), Tensor({g.OC})}, var[2] = {Tensor({g.OC}), Tensor({g.OC})};
      const auto options = [&](int i) {
        Conv2dForwardOptions o;
        o.prologue = {.mean = means, .mul = mul, .bias = bias, .relu = true};
        o.epilogue.residual = residual;
        o.epilogue.mean = mean[i];
        o.epilogue.var = var[i];
        return o;
      };
      const auto pack = [&](Conv2dPass pass) {
        return PackConv2dFilter(pass, params, g.input_shape(), in.w, workspace, "winograd_f4x4");
      };
      Conv2dForward(params, in.x, pack(Conv2dPass::kForward), packed.y, workspace, options(0));
      Conv2dBackwardInput(params, in.dy, pack(Conv2dPass::kBackwardInput), packed.dx, workspace);
      Poison(workspace, int64_t{1} << 21);
      Conv2dForwardOptions unpacked = options(1);
      unpacked.algorithm = "winograd_f4x4";
      Conv2dForward(params, in.x, in.w, panels.y, workspace, unpacked);
      Conv2dBackwardInput(params, in.dy, in.w, panels.dx, workspace, {.algorithm = "winograd_f4x4"});
      EXPECT_TRUE(same(packed.y, panels.y) && same(mean[0], mean[1]) && same(var[0], var[1]));
      EXPECT_TRUE(same(packed.dx, panels.dx));
    });
  }
}

// docs/numerics.md has what this prints: rms and largest error over the rms of the values, for inputs after a ReLU.
TEST(WinogradTest, RoundsAsDocumented) {
  const Workspace workspace;
  const struct {
    const char* name;
    Expected expected;
  } passes[] = {{"forward", ForwardAt}, {"backward-input", BackwardInputAt}, {"backward-filter", BackwardFilterAt}};
  for (const auto& [size, channels] : {std::pair<int64_t, int64_t>{56, 64}, {28, 128}, {14, 256}, {7, 512}}) {
    const Conv2dGeometry g = ResolveConv2d("test", {}, {2, size, size, channels}, {3, 3, channels, channels});
    Operands in(g);
    for (float& value : in.x.span()) value = std::max(value, 0.0f);
    double direct[3] = {};
    for (const char* algorithm : {"direct", "winograd_f2x2", "winograd_f4x4"}) {
      Results out(g);
      RunAll({}, in, out, workspace, algorithm);
      const Tensor* operands[][3] = {{&in.x, &in.w, &out.y}, {&in.dy, &in.w, &out.dx}, {&in.x, &in.dy, &out.dw}};
      std::printf("%2dx%-2d %3d %-14s", static_cast<int>(size), static_cast<int>(size), static_cast<int>(channels),
                  algorithm);
      for (int pass = 0; pass < 3; ++pass) {
        const Tensor& result = *operands[pass][2];
        const Errors errors = ErrorsOf(passes[pass].expected, g, *operands[pass][0], *operands[pass][1], result,
                                       result.size() / 2000 | 1);
        std::printf("  %s %.1e (max %.1e)", passes[pass].name, errors.rms, errors.largest);
        if (std::string_view(algorithm) == "direct") direct[pass] = errors.rms;
        // Direct sums of a filter's gradient are taken block by block, which rounds less.
        const double factor = std::string_view(algorithm) == "winograd_f4x4" ? 6 : pass == 2 ? 2 : 1.5;
        EXPECT_LE(errors.rms, factor * direct[pass]) << algorithm << " " << passes[pass].name;
      }
      std::printf("\n");
    }
  }
}

}  // namespace
}  // namespace hwynn
