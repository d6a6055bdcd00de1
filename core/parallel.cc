// The only file that includes TBB.

#include "hwynn/core/parallel.h"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <optional>

#include "hwynn/core/check.h"

namespace hwynn {

void ParallelFor(int64_t num_tasks, FunctionRef<void(int64_t)> task) {
  if (num_tasks <= 1) {
    if (num_tasks == 1) task(0);
    return;
  }
  // One index a leaf: tasks are cut coarse enough by the kernels, and TBB must not glue them together.
  tbb::parallel_for(
      tbb::blocked_range<int64_t>(0, num_tasks, 1),
      [&](const tbb::blocked_range<int64_t>& range) {
        for (int64_t i = range.begin(); i != range.end(); ++i) task(i);
      },
      tbb::simple_partitioner());
}

void RunWithThreads(int threads, FunctionRef<void()> work) {
  Check(threads >= 1, "RunWithThreads: threads (", threads, ") must be at least 1");
  // oneTBB never runs more threads than the machine has processors unless this says so. Where it isn't needed it is
  // left out: of several such limits the lowest holds.
  constexpr auto kParallelism = tbb::global_control::max_allowed_parallelism;
  std::optional<tbb::global_control> limit;
  if (static_cast<size_t>(threads) > tbb::global_control::active_value(kParallelism)) {
    limit.emplace(kParallelism, static_cast<size_t>(threads));
  }
  tbb::task_arena arena(threads);
  arena.execute([&] { work(); });
}

int CurrentThreadLimit() { return tbb::this_task_arena::max_concurrency(); }

}  // namespace hwynn
