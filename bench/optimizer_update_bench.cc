// Optimizer updates of all leaves of a ResNet-50 beside what memory allows: as many streamed reads and writes of
// arrays of that size.

#include <cmath>
#include <string>
#include <vector>

#include "hwynn/bench/support/bench_main.h"
#include "hwynn/bench/support/stream.h"
#include "hwynn/core/check.h"
#include "hwynn/core/workspace.h"
#include "hwynn/kernels/optimizer_update.h"
#include "hwynn/kernels/reference/optimizer_update.h"
#include "hwynn/kernels/target.h"

namespace hwynn::bench {
namespace {

// The sizes of a ResNet-50's params: 25,557,032 in 161 leaves.
std::vector<int64_t> ResNet50Leaves() {
  std::vector<int64_t> sizes;
  const auto conv_and_norm = [&](int64_t window, int64_t ic, int64_t oc) {
    sizes.insert(sizes.end(), {window * window * ic * oc, oc, oc});
  };
  conv_and_norm(7, 3, 64);
  int64_t channels = 64;
  const int64_t blocks[] = {3, 4, 6, 3};
  for (int64_t stage = 0; stage < 4; ++stage) {
    const int64_t filters = int64_t{64} << stage;
    for (int64_t block = 0; block < blocks[stage]; ++block) {
      conv_and_norm(1, channels, filters);
      conv_and_norm(3, filters, filters);
      conv_and_norm(1, filters, 4 * filters);
      if (block == 0) conv_and_norm(1, channels, 4 * filters);
      channels = 4 * filters;
    }
  }
  sizes.insert(sizes.end(), {2048 * 1000, 1000});
  return sizes;
}

int64_t Total(const std::vector<int64_t>& sizes) {
  int64_t total = 0;
  for (const int64_t size : sizes) total += size;
  return total;
}

// All leaves lie one behind the other in each array, so that a limit can run over them as one.
struct Arrays {
  explicit Arrays(const std::vector<int64_t>& sizes) {
    const Shape all = {Total(sizes)};
    for (Tensor* tensor : {&param, &grad, &first, &second}) *tensor = workspace.NewTensor(all);
    for (Tensor& tensor : spare) {
      tensor = workspace.NewTensor(all);
      Fill(tensor, 9);
    }
    Fill(param, 1);
    Fill(grad, 2);
    Fill(first, 3);
    Fill(second, 4);
    for (float& nu : second.span()) nu = nu * nu;
    int64_t at = 0;
    for (const int64_t size : sizes) {
      const auto leaf = [&](Tensor& tensor) { return TensorView(tensor.data() + at, {size}); };
      const bool decay = size > 4096;  // about: the kernels
      sgd.push_back({leaf(param), leaf(grad), leaf(first), decay});
      adam.push_back({leaf(param), leaf(grad), leaf(first), leaf(second), decay});
      grads.push_back(leaf(grad));
      at += size;
    }
  }

  Workspace workspace;
  Tensor param, grad, first, second;
  Tensor spare[3];
  std::vector<SgdLeaf> sgd;
  std::vector<AdamLeaf> adam;
  std::vector<ConstTensorView> grads;
};

struct Case {
  const char* name;
  int64_t arrays_moved;
  void (*run)(Arrays&);
  void (*limit)(Arrays&);
};

// A small learning rate: params stay away from infinity and from subnormal numbers however long it runs.
const Case kCases[] = {
    {"SgdUpdate/plain", 3, [](Arrays& a) { SgdUpdate({.learning_rate = 1e-6f}, a.sgd); },
     [](Arrays& a) {
       StreamPass({a.param, a.grad}, a.spare[0]);
     }},
    {"SgdUpdate/nesterov", 5,
     [](Arrays& a) {
       SgdUpdate({.learning_rate = 1e-6f, .momentum = 0.9f, .nesterov = true, .weight_decay = 1e-4f}, a.sgd);
     },
     [](Arrays& a) {
       StreamPass({a.param, a.grad}, a.spare[0]);
       StreamPass({a.first}, a.spare[1]);
     }},
    {"AdamUpdate/adamw", 7, [](Arrays& a) { AdamUpdate({.learning_rate = 1e-6f, .weight_decay = 1e-4f}, 1, a.adam); },
     [](Arrays& a) {
       StreamPass({a.param, a.grad}, a.spare[0]);
       StreamPass({a.first}, a.spare[1]);
       StreamPass({a.second}, a.spare[2]);
     }},
    {"SumOfSquares/default", 1, [](Arrays& a) { benchmark::DoNotOptimize(SumOfSquares(a.grads)); },
     [](Arrays& a) { benchmark::DoNotOptimize(ReadPass({a.grad})); }},
};

// One momentum step on the first leaf against the definition, and the norm of all gradients.
void CheckArrays(Arrays& arrays) {
  const SgdParams params = {.learning_rate = 0.1f, .momentum = 0.9f, .nesterov = true, .weight_decay = 0.1f};
  const SgdLeaf& leaf = arrays.sgd[0];
  const Tensor before = arrays.param.Clone();
  const Tensor trace = arrays.first.Clone();
  SgdUpdate(params, arrays.sgd);
  for (int64_t i = 0; i < leaf.param.size(); ++i) {
    const auto want = reference::SgdUpdate(params, {static_cast<double>(before[i]), static_cast<double>(trace[i])},
                                           static_cast<double>(leaf.grad[i]), leaf.decay);
    const double error = std::abs(static_cast<double>(leaf.param[i]) - want.param);
    Check(error <= 1e-6 * want.param_magnitude, "optimizer_update_bench: param ", i, " is ", leaf.param[i], ", not ",
          want.param);
  }
  const double squares = SumOfSquares(arrays.grads);
  const double want = reference::SumOfSquares(arrays.grad);
  Check(std::abs(squares - want) <= 1e-9 * want, "optimizer_update_bench: Σ x² is ", squares, ", not ", want);
}

void Run(benchmark::State& state, const std::string& target, const Case& which, const std::vector<int64_t>& sizes,
         int threads) {
  SetTarget(target);
  Arrays arrays(sizes);
  CheckArrays(arrays);
  const Timing timing = TimeBesideLimit(
      state, threads, [&] { which.run(arrays); }, [&] { which.limit(arrays); });
  SetTarget("");
  state.counters["gb_per_s"] = static_cast<double>(which.arrays_moved * arrays.param.size() * 4) / timing.kernel * 1e-9;
  state.counters["of_stream"] = timing.limit / timing.kernel;
  state.counters["median_ms"] = timing.kernel * 1e3;
}

void Register(const std::string& model, const std::vector<int64_t>& sizes, int threads) {
  for (const Case& which : kCases) {
    for (const std::string& target : SupportedTargets()) {
      const std::string name = StrCat(which.name, "/", target, "/", model, "/threads:", threads);
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        Run(state, target, which, sizes, threads);
      })->Unit(benchmark::kMillisecond);
    }
  }
}

void RegisterCases(const UserCase* user) {
  if (user) return Register(user->shape, ParseExtents(user->shape, 1), user->threads);  // one leaf of that many floats
  Register("resnet50", ResNet50Leaves(), 2);
}

}  // namespace
}  // namespace hwynn::bench

int main(int argc, char** argv) { return hwynn::bench::BenchMain(argc, argv, hwynn::bench::RegisterCases); }
