#ifndef HWYNN_BENCH_SUPPORT_BENCH_MAIN_H_
#define HWYNN_BENCH_SUPPORT_BENCH_MAIN_H_

// What every benchmark program shares: its options, and the loop that times a kernel beside its limit.
//
// Names are "<kernel>/<variant>/<target>/<shape>/batch:<B>/threads:<T>". Neither UseRealTime nor Iterations is set on
// a benchmark, because Google Benchmark would append them to the name: its Time column is wall time anyway, and the
// main thread, whose CPU time ends a run, is one of those that work.

#include <benchmark/benchmark.h>

#include <functional>
#include <string>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/core/tensor.h"

namespace hwynn::bench {

/// A case of the user's own: --shape=… with --batch=B (16) and --threads=T (2).
struct UserCase {
  std::string shape;
  int64_t batch = 16;
  int threads = 2;
};

/// main() of a benchmark program: takes the options above out of the command line, calls register_cases(nullptr) for
/// the standard cases and register_cases(&user) too when a shape is given, and runs what Google Benchmark's own
/// options select. Returns the exit status; a bad option is one sentence on standard error.
int BenchMain(int argc, char** argv, const std::function<void(const UserCase* user)>& register_cases);

/// "56x56x17" → {56, 56, 17}: `count` extents of at least 1. Throws std::invalid_argument.
std::vector<int64_t> ParseExtents(const std::string& shape, size_t count);

/// ".../batch:16/threads:2" behind `front`.
std::string CaseName(const std::string& front, const std::string& shape, int64_t batch, int threads);

/// Fills with pseudo-random values in [−1, 1), those of `seed`.
void Fill(TensorView values, uint32_t seed);

/// The median of five runs after one more, in seconds.
double MedianSeconds(FunctionRef<void()> work);

/// Seconds of the kernel and of its limit, medians over the iterations of one run.
struct Timing {
  double kernel;
  double limit;
};

/// The loop of a benchmark: on `threads` threads, alternately times kernel() and, outside Google Benchmark's time,
/// limit(). Both run once before.
Timing TimeBesideLimit(benchmark::State& state, int threads, FunctionRef<void()> kernel, FunctionRef<void()> limit);

}  // namespace hwynn::bench

#endif  // HWYNN_BENCH_SUPPORT_BENCH_MAIN_H_
