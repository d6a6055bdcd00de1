#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/bench/support/peak.cc"
#include "hwynn/bench/support/peak.h"

#include <benchmark/benchmark.h>
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <cstdint>
#include <numeric>
#include <vector>

#include "hwynn/core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn::bench {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Twelve independent chains hide a latency of four cycles on two ports and fit sixteen registers. They start at
// different values that the compiler doesn't know, or it would merge them.
int64_t MultiplyAdds(int64_t rounds, float* value) {
  const hn::ScalableTag<float> d;
  constexpr int kChains = 12;
  hn::Vec<decltype(d)> sums[kChains];
  HWY_UNROLL(12) for (int j = 0; j < kChains; ++j) sums[j] = hn::Iota(d, *value + static_cast<float>(j));
  const auto a = hn::Set(d, 0.999f);
  const auto b = hn::Set(d, 0.001f);
  for (int64_t i = 0; i < rounds; ++i) {
    HWY_UNROLL(12) for (int j = 0; j < kChains; ++j) sums[j] = hn::MulAdd(sums[j], a, b);
  }
  auto total = sums[0];
  HWY_UNROLL(11) for (int j = 1; j < kChains; ++j) total = hn::Add(total, sums[j]);
  *value = hn::GetLane(hn::SumOfLanes(d, total));
  return rounds * kChains * 2 * static_cast<int64_t>(hn::Lanes(d));
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn::bench {

HWY_EXPORT(MultiplyAdds);

double PeakPass(int threads) {
  // About 50 µs a task, several a thread, so that an uneven start costs little.
  constexpr int64_t kRounds = 25000;
  const int64_t tasks = 16 * threads;
  std::vector<float> values(static_cast<size_t>(tasks), 1.0f);
  std::vector<int64_t> flops(static_cast<size_t>(tasks));
  ParallelFor(tasks, [&](int64_t task) {
    const auto i = static_cast<size_t>(task);
    flops[i] = HWY_DYNAMIC_DISPATCH(MultiplyAdds)(kRounds, &values[i]);
  });
  benchmark::DoNotOptimize(values.data());
  return static_cast<double>(std::accumulate(flops.begin(), flops.end(), int64_t{0}));
}

}  // namespace hwynn::bench
#endif  // HWY_ONCE
