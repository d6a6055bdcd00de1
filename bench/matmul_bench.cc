// Matrix products of dense layers: MatmulForward/direct/<target>/512x1000/batch:32/threads:2 multiplies [32,512] by
// [512,1000]; MatmulBackwardA and MatmulBackwardB are its gradients.

#include <memory>

#include "hwynn/bench/support/bench_main.h"
#include "hwynn/bench/support/peak.h"
#include "hwynn/core/check.h"
#include "hwynn/kernels/matmul.h"
#include "hwynn/kernels/target.h"

namespace hwynn::bench {
namespace {

enum class Pass { kForward, kBackwardA, kBackwardB };

void Fill(Tensor& tensor, int modulus) {
  for (int64_t i = 0; i < tensor.size(); ++i) tensor[i] = static_cast<float>(i * 7 % modulus - modulus / 2);
}

// One element by its definition; integers, so it is exact.
bool SampleAgrees(Pass pass, const Tensor& a, const Tensor& b, const Tensor& c) {
  const int64_t M = a.shape()[0], K = a.shape()[1], N = b.shape()[1];
  const int64_t m = M / 2, k = K / 3, n = N / 4;
  double sum = 0;
  if (pass == Pass::kForward) {
    for (int64_t i = 0; i < K; ++i) sum += static_cast<double>(a[m * K + i]) * b[i * N + n];
    return sum == c[m * N + n];
  }
  if (pass == Pass::kBackwardA) {
    for (int64_t i = 0; i < N; ++i) sum += static_cast<double>(c[m * N + i]) * b[k * N + i];
    return sum == a[m * K + k];
  }
  for (int64_t i = 0; i < M; ++i) sum += static_cast<double>(a[i * K + k]) * c[i * N + n];
  return sum == b[k * N + n];
}

void RunCase(benchmark::State& state, Pass pass, const std::string& target, int64_t M, int64_t K, int64_t N,
             int threads) {
  SetTarget(target);
  const Workspace workspace;
  Tensor a = workspace.NewTensor({M, K});
  Tensor b = workspace.NewTensor({K, N});
  Tensor c = workspace.NewTensor({M, N});
  Fill(a, 5);
  Fill(b, 3);
  Fill(c, 7);
  const auto run = [&] {
    if (pass == Pass::kForward) MatmulForward(a, b, {}, c, workspace);
    if (pass == Pass::kBackwardA) MatmulBackwardA(c, b, a, workspace);
    if (pass == Pass::kBackwardB) MatmulBackwardB(a, c, b, workspace);
  };
  RunWithThreads(threads, run);
  if (!SampleAgrees(pass, a, b, c)) {
    state.SkipWithError("the result differs from the definition");
    return;
  }
  double peak_flops = 0;
  const Timing timing = TimeBesideLimit(state, threads, run, [&] { peak_flops = PeakPass(threads); });
  const double flops = 2.0 * static_cast<double>(M * K) * static_cast<double>(N);
  state.counters["gflops"] = flops / timing.kernel * 1e-9;
  state.counters["of_peak"] = flops / timing.kernel / (peak_flops / timing.limit);
}

void Register(int64_t K, int64_t N, int64_t M, int threads) {
  constexpr std::pair<Pass, const char*> kPasses[] = {
      {Pass::kForward, "MatmulForward"}, {Pass::kBackwardA, "MatmulBackwardA"}, {Pass::kBackwardB, "MatmulBackwardB"}};
  for (const auto& [pass, name] : kPasses) {
    for (const std::string& target : SupportedTargets()) {
      benchmark::RegisterBenchmark(CaseName(StrCat(name, "/direct/", target), StrCat(K, "x", N), M, threads).c_str(),
                                   [pass = pass, target, K, N, M, threads](benchmark::State& state) {
                                     RunCase(state, pass, target, M, K, N, threads);
                                   });
    }
  }
}

}  // namespace
}  // namespace hwynn::bench

int main(int argc, char** argv) {
  using namespace hwynn::bench;
  return BenchMain(argc, argv, [](const UserCase* user) {
    if (user != nullptr) {
      const std::vector<int64_t> extents = ParseExtents(user->shape, 2);
      Register(extents[0], extents[1], user->batch, user->threads);
      return;
    }
    for (const int threads : {1, 2}) {
      Register(784, 512, 128, threads);
      Register(512, 512, 128, threads);
      Register(512, 10, 128, threads);
      Register(512, 1000, 32, threads);
      Register(2048, 1000, 32, threads);
      Register(512, 512, 512, threads);
    }
  });
}
