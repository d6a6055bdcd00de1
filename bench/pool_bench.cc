// Pools beside what memory allows: to read what they read and write what they write, once. 3×3/2 SAME for max and
// average, the pool of a ResNet's stem, and the global average of its last stage.

#include <algorithm>
#include <cmath>
#include <string>

#include "hwynn/bench/support/bench_main.h"
#include "hwynn/bench/support/stream.h"
#include "hwynn/core/check.h"
#include "hwynn/core/workspace.h"
#include "hwynn/kernels/pool.h"
#include "hwynn/kernels/reference/pool.h"
#include "hwynn/kernels/target.h"

namespace hwynn::bench {
namespace {

enum class Kind { kMax, kAverage, kGlobalAverage };

const PoolParams kParams = {.window = {3, 3}, .stride = {2, 2}, .padding = Padding::Same()};

Shape OutputShape(Kind kind, const Shape& input) {
  return kind == Kind::kGlobalAverage ? Shape{input[0], input[3]} : PoolOutputShape("pool_bench", kParams, input);
}

// The arrays of one case. They come from a Workspace, so that they lie on huge pages as a model's do.
struct Arrays {
  Arrays(Kind kind, const Shape& shape)
      : kind(kind),
        input(workspace.NewTensor(shape)),
        grad_input(workspace.NewTensor(shape)),
        output(workspace.NewTensor(OutputShape(kind, shape))),
        grad_output(workspace.NewTensor(output.shape())) {
    Fill(input, 1);
    Fill(grad_output, 2);
    Fill(grad_input, 3);
  }

  void Forward() {
    if (kind == Kind::kMax) MaxPoolForward(kParams, input, output);
    if (kind == Kind::kAverage) AveragePoolForward(kParams, input, output);
    if (kind == Kind::kGlobalAverage) GlobalAveragePoolForward(input, output);
  }

  void Backward() {
    if (kind == Kind::kMax) MaxPoolBackward(kParams, input, output, grad_output, grad_input);
    if (kind == Kind::kAverage) AveragePoolBackward(kParams, grad_output, grad_input);
    if (kind == Kind::kGlobalAverage) GlobalAveragePoolBackward(grad_output, grad_input);
  }

  // Reads the input once and writes the output once.
  void ForwardLimit() {
    const int64_t copied = std::min(input.size(), output.size());
    if (input.size() > copied) {
      benchmark::DoNotOptimize(ReadPass({ConstTensorView(input.data() + copied, {input.size() - copied})}));
    }
    StreamPass({ConstTensorView(input.data(), {copied})}, TensorView(output.data(), {copied}));
  }

  // Max: a copy of the input, and a read of both arrays of the output's size. Average reads grad_output alone; its
  // write is a streamed copy of grad_output's size repeated over grad_input, so that what is read stays in cache.
  void BackwardLimit() {
    if (kind == Kind::kMax) {
      StreamPass({input}, grad_input);
      benchmark::DoNotOptimize(ReadPass({output, grad_output}));
      return;
    }
    const int64_t piece = std::min<int64_t>(grad_output.size(), 64 * 1024);
    for (int64_t begin = 0; begin < grad_input.size(); begin += piece) {
      const int64_t size = std::min(piece, grad_input.size() - begin);
      StreamPass({ConstTensorView(grad_output.data(), {size})}, TensorView(grad_input.data() + begin, {size}));
    }
  }

  void CheckFirstImage(bool backward) {
    const Shape one = {1, input.shape()[1], input.shape()[2], input.shape()[3]};
    const ConstTensorView x(input.data(), one);
    const ConstTensorView g(grad_output.data(), OutputShape(kind, one));
    const auto want = [&] {
      if (kind == Kind::kMax) {
        return backward ? reference::MaxPoolBackward(kParams, x, g) : reference::MaxPoolForward(kParams, x);
      }
      if (kind == Kind::kAverage) {
        return backward ? reference::AveragePoolBackward(kParams, g, one) : reference::AveragePoolForward(kParams, x);
      }
      return backward ? reference::GlobalAveragePoolBackward(g, one) : reference::GlobalAveragePoolForward(x);
    }();
    const float* got = backward ? grad_input.data() : output.data();
    for (size_t i = 0; i < want.values.size(); ++i) {
      const double error = std::abs(static_cast<double>(got[i]) - want.values[i]);
      Check(error <= 1e-5 * want.magnitudes[i], "pool_bench: element ", i, " is ", got[i], ", not ", want.values[i]);
    }
  }

  Kind kind;
  Workspace workspace;
  Tensor input, grad_input, output, grad_output;
};

void Run(benchmark::State& state, const std::string& target, Kind kind, bool backward, const Shape& shape,
         int threads) {
  SetTarget(target);
  Arrays arrays(kind, shape);
  arrays.Forward();
  arrays.Backward();
  arrays.CheckFirstImage(backward);
  const Timing timing = TimeBesideLimit(
      state, threads, [&] { backward ? arrays.Backward() : arrays.Forward(); },
      [&] { backward ? arrays.BackwardLimit() : arrays.ForwardLimit(); });
  SetTarget("");
  const int64_t input_arrays = backward && kind == Kind::kMax ? 2 : 1;
  const int64_t output_arrays = input_arrays;
  const int64_t floats = input_arrays * arrays.input.size() + output_arrays * arrays.output.size();
  state.counters["gb_per_s"] = static_cast<double>(floats * 4) / timing.kernel * 1e-9;
  state.counters["of_stream"] = timing.limit / timing.kernel;
  state.counters["median_ms"] = timing.kernel * 1e3;
}

void Register(Kind kind, const std::string& name, const std::string& shape, int64_t batch, int threads) {
  const std::vector<int64_t> extents = ParseExtents(shape, 3);
  const Shape full = {batch, extents[0], extents[1], extents[2]};
  for (const bool backward : {false, true}) {
    for (const std::string& target : SupportedTargets()) {
      const std::string front = StrCat(name, backward ? "Backward" : "Forward", "/default/", target);
      benchmark::RegisterBenchmark(CaseName(front, shape, batch, threads).c_str(), [=](benchmark::State& state) {
        Run(state, target, kind, backward, full, threads);
      })->Unit(benchmark::kMillisecond);
    }
  }
}

void RegisterCases(const UserCase* user) {
  const UserCase stem = user ? *user : UserCase{.shape = "112x112x64"};
  const UserCase last = user ? *user : UserCase{.shape = "7x7x2048"};
  Register(Kind::kMax, "MaxPool", stem.shape, stem.batch, stem.threads);
  Register(Kind::kAverage, "AveragePool", stem.shape, stem.batch, stem.threads);
  Register(Kind::kGlobalAverage, "GlobalAveragePool", last.shape, last.batch, last.threads);
}

}  // namespace
}  // namespace hwynn::bench

int main(int argc, char** argv) { return hwynn::bench::BenchMain(argc, argv, hwynn::bench::RegisterCases); }
