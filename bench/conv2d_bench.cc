// Convolution, three passes: Conv2dForward/<algorithm>/<target>/56x56x64_3x3x64_s1/batch:16/threads:2, likewise
// Conv2dBackwardInput and Conv2dBackwardFilter, on filters that were packed before; Conv2dPackFilter packs those of the
// forward pass. Conv2dForward/<algorithm>+statistics also gathers the statistics of its output, +norm+statistics
// normalises its input and takes ReLU on its way in too, as in training, and +norm+residual does so with the output and
// a residual, as in inference: each beside plain forward and beside the calls that do the same one by one.
// Conv2dBackwardFilter/<algorithm>+norm is
// backward-filter with a prologue, beside plain. Conv2dBackwardInput/<algorithm>+sums is backward-input with its
// epilogue, beside plain and beside that with BatchNormBackwardSums behind it; +sums+add adds to what was there, with
// the mask of an output: a block's end. `auto` is what the dispatcher takes.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <random>

#include "hwynn/bench/support/bench_main.h"
#include "hwynn/bench/support/conv2d_shapes.h"
#include "hwynn/bench/support/peak.h"
#include "hwynn/core/parallel.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/conv2d_plan.h"
#include "hwynn/kernels/reference/conv2d.h"
#include "hwynn/kernels/simd/gemm_tile.h"
#include "hwynn/kernels/target.h"

namespace hwynn::bench {
namespace {

struct ConvCase {
  Conv2dPass pass;
  std::string algorithm;  // "auto": the dispatcher's choice
  std::string target;
  ConvShape shape;
  int64_t batch;
  int threads;
};

// Operands and result of one case. Small integers: every sum is exact, so samples must equal the reference.
struct Arrays {
  Arrays(const Workspace& workspace, const Conv2dGeometry& g)
      : input(workspace.NewTensor(g.input_shape())),
        filter(workspace.NewTensor(g.filter_shape())),
        output(workspace.NewTensor(g.output_shape())) {
    std::minstd_rand engine(1);
    for (Tensor* tensor : {&input, &filter, &output}) {
      for (float& value : tensor->span()) value = static_cast<float>(static_cast<int>(engine() % 5) - 2);
    }
  }
  Tensor input, filter, output;
};

std::string_view Forced(const ConvCase& c) { return c.algorithm == "auto" ? std::string_view() : c.algorithm; }

PackedConv2dFilter Pack(const ConvCase& c, const Arrays& arrays, const Workspace& workspace) {
  if (c.pass == Conv2dPass::kBackwardFilter) return {};
  return PackConv2dFilter(c.pass, ParamsOf(c.shape), arrays.input.shape(), arrays.filter, workspace, Forced(c));
}

void RunPass(const ConvCase& c, const Arrays& arrays, const PackedConv2dFilter& packed, TensorView result,
             const Workspace& workspace) {
  const Conv2dParams params = ParamsOf(c.shape);
  switch (c.pass) {
    case Conv2dPass::kForward:
      return Conv2dForward(params, arrays.input, packed, result, workspace);
    case Conv2dPass::kBackwardInput:
      return Conv2dBackwardInput(params, arrays.output, packed, result, workspace);
    case Conv2dPass::kBackwardFilter:
      return Conv2dBackwardFilter(params, arrays.input, arrays.output, result, workspace, {.algorithm = Forced(c)});
  }
}

double ReferenceAt(const ConvCase& c, const Conv2dGeometry& g, const Arrays& a, int64_t i) {
  switch (c.pass) {
    case Conv2dPass::kForward:
      return reference::Conv2dForwardAt(g, a.input, a.filter, i / (g.OH * g.OW * g.OC), i / (g.OW * g.OC) % g.OH,
                                        i / g.OC % g.OW, i % g.OC);
    case Conv2dPass::kBackwardInput:
      return reference::Conv2dBackwardInputAt(g, a.output, a.filter, i / (g.IH * g.IW * g.IC), i / (g.IW * g.IC) % g.IH,
                                              i / g.IC % g.IW, i % g.IC);
    default:
      return reference::Conv2dBackwardFilterAt(g, a.input, a.output, i / (g.KW * g.group_ic() * g.OC),
                                               i / (g.group_ic() * g.OC) % g.KW, i / g.OC % g.group_ic(), i % g.OC);
  }
}

// Winograd rounds; direct algorithms are exact on these integers.
bool SamplesAgree(const ConvCase& c, const Conv2dGeometry& g, const Arrays& arrays, const Tensor& result) {
  std::minstd_rand engine(2);
  for (int sample = 0; sample < 64; ++sample) {
    const auto i = static_cast<int64_t>(engine()) % result.size();
    const double expected = ReferenceAt(c, g, arrays, i);
    const double tolerance = 1e-4 * std::sqrt(g.flops() / 2 / static_cast<double>(result.size()));
    if (!(std::abs(result[i] - expected) <= tolerance)) return false;
  }
  return true;
}

void RunCase(benchmark::State& state, const ConvCase& c) {
  SetTarget(c.target);
  const Workspace workspace;
  const Conv2dGeometry g = GeometryOf(c.shape, c.batch);
  Arrays arrays(workspace, g);
  Tensor result = workspace.NewTensor(c.pass == Conv2dPass::kForward         ? g.output_shape()
                                      : c.pass == Conv2dPass::kBackwardInput ? g.input_shape()
                                                                             : g.filter_shape());
  const PackedConv2dFilter packed = Pack(c, arrays, workspace);
  RunWithThreads(c.threads, [&] { RunPass(c, arrays, packed, result, workspace); });
  if (!SamplesAgree(c, g, arrays, result)) {
    state.SkipWithError("the result differs from the reference");
    return;
  }
  double peak_flops = 0;
  const Timing timing = TimeBesideLimit(
      state, c.threads, [&] { RunPass(c, arrays, packed, result, workspace); },
      [&] { peak_flops = PeakPass(c.threads); });
  state.counters["gflops"] = g.flops() / timing.kernel * 1e-9;
  state.counters["of_peak"] = g.flops() / timing.kernel / (peak_flops / timing.limit);
}

// Against a copy of the packed floats, which is what packing would cost if it were one.
void RunPackCase(benchmark::State& state, const ConvCase& c) {
  SetTarget(c.target);
  const Workspace workspace;
  const Conv2dGeometry g = GeometryOf(c.shape, c.batch);
  const Arrays arrays(workspace, g);
  const PackedConv2dFilter packed = Pack(c, arrays, workspace);
  const int64_t floats = packed.bytes() / static_cast<int64_t>(sizeof(float));
  Tensor copy = workspace.NewTensor({floats});
  const Timing timing = TimeBesideLimit(
      state, c.threads, [&] { Pack(c, arrays, workspace); },
      [&] {
        const EvenSplit pieces(floats, int64_t{1} << 16);
        ParallelFor(pieces.count, [&](int64_t i) {
          std::copy(packed.data() + pieces.Begin(i), packed.data() + pieces.End(i), copy.data() + pieces.Begin(i));
        });
      });
  state.counters["packed_MB"] = static_cast<double>(packed.bytes()) * 1e-6;
  state.counters["of_copy"] = timing.limit / timing.kernel;
}

// What a convolution does beside multiplying.
struct Fusion {
  const char* name;
  bool prologue, epilogue, statistics;
};
constexpr Fusion kFusions[] = {{.name = "statistics", .prologue = false, .epilogue = false, .statistics = true},
                               {.name = "norm+statistics", .prologue = true, .epilogue = false, .statistics = true},
                               {.name = "norm+residual", .prologue = false, .epilogue = true, .statistics = false}};

// Fused, against the calls that do the same one by one; the plain convolution among these is timed by itself too.
void RunFusedCase(benchmark::State& state, const ConvCase& c, const Fusion& fusion) {
  using Clock = std::chrono::steady_clock;
  SetTarget(c.target);
  const Workspace workspace;
  const Conv2dGeometry g = GeometryOf(c.shape, c.batch);
  const Arrays arrays(workspace, g);
  Tensor result = workspace.NewTensor(g.output_shape());
  Tensor normal = workspace.NewTensor(g.input_shape());
  const PackedConv2dFilter packed = Pack(c, arrays, workspace);
  const Tensor in({g.IC}, 0.5f), out({g.OC}, 0.5f);
  Tensor in_mul({g.IC}), out_mul({g.OC}), mean({g.OC}), var({g.OC});
  const BatchNormAffine in_norm{.mean = in, .var = in, .scale = in, .bias = in};
  const BatchNormAffine out_norm{.mean = out, .var = out, .scale = out, .bias = out};
  BatchNormMul(in_norm, in_mul);
  BatchNormMul(out_norm, out_mul);
  Conv2dForwardOptions options;
  if (fusion.prologue) options.prologue = {.mean = in, .mul = in_mul, .bias = in, .relu = true};
  if (fusion.epilogue) {
    options.epilogue = {.center = out, .scale = out_mul, .bias = out, .residual = arrays.output, .relu = true};
  }
  if (fusion.statistics) options.epilogue.mean = mean, options.epilogue.var = var;
  const Conv2dParams params = ParamsOf(c.shape);
  std::vector<double> plain_seconds;
  const auto unfused = [&] {
    if (fusion.prologue) BatchNormNormalize(arrays.input, in_norm, normal, {.relu = true});
    const auto begin = Clock::now();
    Conv2dForward(params, fusion.prologue ? normal : arrays.input, packed, result, workspace);
    plain_seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    if (fusion.statistics) BatchNormStatistics(result, Variance::kStable, mean, var, workspace);
    if (fusion.epilogue) {
      BatchNormNormalize(result, out_norm, result, {.residual = arrays.output, .relu = true});
    }
  };
  const Timing timing = TimeBesideLimit(
      state, c.threads, [&] { Conv2dForward(params, arrays.input, packed, result, workspace, options); }, unfused);
  const auto middle = plain_seconds.begin() + static_cast<std::ptrdiff_t>(plain_seconds.size() / 2);
  std::nth_element(plain_seconds.begin(), middle, plain_seconds.end());
  state.counters["gflops"] = g.flops() / timing.kernel * 1e-9;
  state.counters["of_plain"] = *middle / timing.kernel;
  state.counters["of_unfused"] = timing.limit / timing.kernel;
}

// A BatchNorm and a ReLU on the input's way in: against plain backward-filter.
void RunNormalizedFilterCase(benchmark::State& state, const ConvCase& c) {
  SetTarget(c.target);
  const Workspace workspace;
  const Conv2dGeometry g = GeometryOf(c.shape, c.batch);
  const Arrays arrays(workspace, g);
  Tensor result = workspace.NewTensor(g.filter_shape());
  const Tensor in({g.IC}, 0.5f);
  const Conv2dBackwardFilterOptions options{.prologue = {.mean = in, .mul = in, .bias = in, .relu = true},
                                            .algorithm = Forced(c)};
  const Timing timing = TimeBesideLimit(
      state, c.threads,
      [&] { Conv2dBackwardFilter(ParamsOf(c.shape), arrays.input, arrays.output, result, workspace, options); },
      [&] { RunPass(c, arrays, {}, result, workspace); });
  state.counters["gflops"] = g.flops() / timing.kernel * 1e-9;
  state.counters["of_plain"] = timing.limit / timing.kernel;
}

// Backward-input with the mask and the sums of the BatchNorm before: against the plain pass, and against that followed
// by BatchNorm's own pass. At a block's end, that is with `accumulate`, BatchNorm's pass writes the masked gradient
// too.
void RunSumsCase(benchmark::State& state, const ConvCase& c, bool accumulate) {
  SetTarget(c.target);
  const Workspace workspace;
  const Conv2dGeometry g = GeometryOf(c.shape, c.batch);
  const Arrays arrays(workspace, g);
  Tensor result = workspace.NewTensor(g.input_shape());
  std::fill_n(result.data(), result.size(), 0.0f);
  Tensor output = workspace.NewTensor(accumulate ? g.input_shape() : Shape{1});
  const Tensor mean({g.IC}, 0.5f), one({g.IC}, 1.0f);
  const BatchNormAffine affine{.mean = mean, .var = one, .scale = one, .bias = mean, .epsilon = 0};
  if (accumulate) BatchNormNormalize(arrays.input, affine, output, {.relu = true});
  const PackedConv2dFilter packed = Pack(c, arrays, workspace);
  BatchNormSums sums;
  const Conv2dParams params = ParamsOf(c.shape);
  Conv2dBackwardInputOptions fused{.accumulate = accumulate, .epilogue = {}};
  fused.epilogue = {.input = arrays.input, .mean = mean, .mul = one, .bias = mean, .relu = true, .sums = &sums};
  BatchNormBackwardArgs args{.input = arrays.input, .grad_output = result, .affine = affine, .relu = true};
  if (accumulate) fused.epilogue.output = args.output = output, args.grad_residual = result;
  std::vector<double> plain;
  const Timing timing = TimeBesideLimit(
      state, c.threads, [&] { Conv2dBackwardInput(params, arrays.output, packed, result, workspace, fused); },
      [&] {
        const auto start = std::chrono::steady_clock::now();
        Conv2dBackwardInput(params, arrays.output, packed, result, workspace, {.accumulate = accumulate});
        plain.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        sums = BatchNormBackwardSums(args, workspace);
      });
  const auto middle = plain.begin() + static_cast<std::ptrdiff_t>(plain.size() / 2);
  std::nth_element(plain.begin(), middle, plain.end());
  state.counters["gflops"] = g.flops() / timing.kernel * 1e-9;
  state.counters["of_plain"] = *middle / timing.kernel;
  state.counters["of_unfused"] = timing.limit / timing.kernel;
}

void Register(const ConvShape& shape, int64_t batch, int threads) {
  constexpr std::pair<Conv2dPass, const char*> kPasses[] = {{Conv2dPass::kForward, "Conv2dForward"},
                                                            {Conv2dPass::kBackwardInput, "Conv2dBackwardInput"},
                                                            {Conv2dPass::kBackwardFilter, "Conv2dBackwardFilter"}};
  const Conv2dGeometry g = GeometryOf(shape, batch);
  for (const auto& [pass, name] : kPasses) {
    std::vector<std::string> algorithms;
    for (const std::string_view algorithm : Conv2dAlgorithms(pass)) {
      if (Conv2dSupports(pass, algorithm, g)) algorithms.emplace_back(algorithm);
    }
    algorithms.emplace_back("auto");
    for (const std::string& algorithm : algorithms) {
      for (const std::string& target : SupportedTargets()) {
        const ConvCase c{pass, algorithm, target, shape, batch, threads};
        benchmark::RegisterBenchmark(
            CaseName(StrCat(name, "/", algorithm, "/", target), ConvName(shape), batch, threads).c_str(),
            [c](benchmark::State& state) { RunCase(state, c); });
        if (pass == Conv2dPass::kBackwardFilter) {
          benchmark::RegisterBenchmark(
              CaseName(StrCat(name, "/", algorithm, "+norm/", target), ConvName(shape), batch, threads).c_str(),
              [c](benchmark::State& state) { RunNormalizedFilterCase(state, c); });
        }
        for (const bool accumulate : {false, true}) {
          if (pass != Conv2dPass::kBackwardInput) break;
          const std::string variant = StrCat(algorithm, accumulate ? "+sums+add" : "+sums");
          benchmark::RegisterBenchmark(
              CaseName(StrCat(name, "/", variant, "/", target), ConvName(shape), batch, threads).c_str(),
              [c, accumulate](benchmark::State& state) { RunSumsCase(state, c, accumulate); });
        }
        if (pass != Conv2dPass::kForward) continue;
        benchmark::RegisterBenchmark(
            CaseName(StrCat("Conv2dPackFilter/", algorithm, "/", target), ConvName(shape), batch, threads).c_str(),
            [c](benchmark::State& state) { RunPackCase(state, c); });
        for (const Fusion& fusion : kFusions) {
          const std::string front = StrCat(name, "/", algorithm, "+", fusion.name, "/", target);
          benchmark::RegisterBenchmark(CaseName(front, ConvName(shape), batch, threads).c_str(),
                                       [c, fusion](benchmark::State& state) { RunFusedCase(state, c, fusion); });
        }
      }
    }
  }
}

}  // namespace
}  // namespace hwynn::bench

int main(int argc, char** argv) {
  using namespace hwynn::bench;
  return BenchMain(argc, argv, [](const UserCase* user) {
    if (user != nullptr) {
      Register(ParseConvName(user->shape), user->batch, user->threads);
      return;
    }
    for (const ConvShape& shape : ConvShapes()) {
      for (const int threads : {1, 2}) Register(shape, shape.batch, threads);
    }
  });
}
