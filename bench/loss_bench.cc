// Softmax cross-entropy with its gradient: scalar code, so there is one target, and the time per logit is what counts.

#include <cmath>
#include <string>
#include <vector>

#include "hwynn/bench/support/bench_main.h"
#include "hwynn/core/check.h"
#include "hwynn/kernels/loss.h"
#include "hwynn/kernels/reference/loss.h"

namespace hwynn::bench {
namespace {

void Run(benchmark::State& state, int64_t batch, int64_t classes, int threads) {
  Tensor logits({batch, classes});
  Tensor grad({batch, classes});
  Fill(logits, 1);
  std::vector<int32_t> labels;
  for (int64_t n = 0; n < batch; ++n) labels.push_back(static_cast<int32_t>(7 * n % classes));

  const double loss = SoftmaxCrossEntropy(logits, labels, {}, grad).loss;
  const double want = reference::SoftmaxCrossEntropy(logits, labels, {}).loss;
  Check(std::abs(loss - want) <= 1e-9 * want, "loss_bench: the loss is ", loss, ", not ", want);
  RunWithThreads(threads, [&] {
    for (auto _ : state) benchmark::DoNotOptimize(SoftmaxCrossEntropy(logits, labels, {}, grad));
  });
  state.counters["logits_per_s"] =
      benchmark::Counter(static_cast<double>(logits.size()), benchmark::Counter::kIsIterationInvariantRate);
}

void Register(const UserCase& user) {
  const int64_t classes = ParseExtents(user.shape, 1)[0];
  const std::string name = CaseName("SoftmaxCrossEntropy/default/scalar", user.shape, user.batch, user.threads);
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    Run(state, user.batch, classes, user.threads);
  })->Unit(benchmark::kMicrosecond);
}

void RegisterCases(const UserCase* user) {
  if (user) return Register(*user);
  Register({.shape = "10", .batch = 128, .threads = 2});
  Register({.shape = "1000", .batch = 32, .threads = 2});
}

}  // namespace
}  // namespace hwynn::bench

int main(int argc, char** argv) { return hwynn::bench::BenchMain(argc, argv, hwynn::bench::RegisterCases); }
