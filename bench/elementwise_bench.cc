// Elementwise kernels beside a streaming pass over the same arrays.

#include <algorithm>

#include "hwynn/bench/support/bench_main.h"
#include "hwynn/bench/support/stream.h"
#include "hwynn/core/check.h"
#include "hwynn/core/workspace.h"
#include "hwynn/kernels/elementwise.h"
#include "hwynn/kernels/reference/elementwise.h"
#include "hwynn/kernels/target.h"

namespace hwynn::bench {
namespace {

struct Arrays {
  explicit Arrays(const Shape& shape)
      : a(workspace.NewTensor(shape)), b(workspace.NewTensor(shape)), output(workspace.NewTensor(shape)) {
    Fill(a, 1);
    Fill(b, 2);
    Fill(output, 3);
    keep.resize(static_cast<size_t>(a.size()));
    for (size_t i = 0; i < keep.size(); ++i) keep[i] = static_cast<uint8_t>(i % 7 % 2);
  }

  Workspace workspace;
  Tensor a, b, output;
  std::vector<uint8_t> keep;
};

// A kernel and its definition on the same arguments; `inputs` float arrays read, one written.
struct Kernel {
  const char* name;
  int inputs;
  void (*run)(Arrays& arrays, TensorView output);
  void (*reference)(Arrays& arrays, TensorView output);
};

const Kernel kKernels[] = {
    {"ReluForward/default", 1, [](Arrays& x, TensorView output) { ReluForward(x.a, output); },
     [](Arrays& x, TensorView output) { reference::ReluForward(x.a, output); }},
    {"ReluBackward/default", 2, [](Arrays& x, TensorView output) { ReluBackward(x.a, x.b, output); },
     [](Arrays& x, TensorView output) { reference::ReluBackward(x.a, x.b, output); }},
    {"AddForward/default", 2, [](Arrays& x, TensorView output) { AddForward(x.a, x.b, output); },
     [](Arrays& x, TensorView output) { reference::AddForward(x.a, x.b, output); }},
    {"AddForward/relu", 2, [](Arrays& x, TensorView output) { AddForward(x.a, x.b, output, {.relu = true}); },
     [](Arrays& x, TensorView output) { reference::AddForward(x.a, x.b, output, {.relu = true}); }},
    {"MaskScale/default", 1, [](Arrays& x, TensorView output) { MaskScale(x.a, x.keep, 2.0f, output); },
     [](Arrays& x, TensorView output) { reference::MaskScale(x.a, x.keep, 2.0f, output); }},
};

void Run(benchmark::State& state, const std::string& target, const Kernel& kernel, const Shape& shape, int threads) {
  SetTarget(target);
  Arrays arrays(shape);
  Tensor expected(shape);
  kernel.run(arrays, arrays.output);
  kernel.reference(arrays, expected);
  Check(std::equal(expected.span().begin(), expected.span().end(), arrays.output.span().begin()), kernel.name,
        ": differs from its reference");
  const Timing timing = TimeBesideLimit(
      state, threads, [&] { kernel.run(arrays, arrays.output); },
      [&] {
        if (kernel.inputs == 1) return StreamPass({arrays.a}, arrays.output);
        StreamPass({arrays.a, arrays.b}, arrays.output);
      });
  state.counters["gb_per_s"] =
      static_cast<double>(arrays.a.size()) * sizeof(float) * (kernel.inputs + 1) / timing.kernel * 1e-9;
  state.counters["of_stream"] = timing.limit / timing.kernel;
  SetTarget("");
}

void Register(const std::string& shape, int64_t batch, int threads) {
  const std::vector<int64_t> extents = ParseExtents(shape, 3);
  const Shape full{batch, extents[0], extents[1], extents[2]};
  for (const std::string& target : SupportedTargets()) {
    for (const Kernel& kernel : kKernels) {
      const std::string name = CaseName(StrCat(kernel.name, "/", target), shape, batch, threads);
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        Run(state, target, kernel, full, threads);
      })->Unit(benchmark::kMillisecond);
    }
  }
}

}  // namespace
}  // namespace hwynn::bench

int main(int argc, char** argv) {
  using hwynn::bench::UserCase;
  return hwynn::bench::BenchMain(argc, argv, [](const UserCase* user) {
    if (user == nullptr) return hwynn::bench::Register("112x112x64", 16, 2);
    hwynn::bench::Register(user->shape, user->batch, user->threads);
  });
}
