// The only file that includes TBB.

#include "hwynn/core/parallel.h"

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "hwynn/core/check.h"

namespace hwynn {

namespace {

thread_local bool alone = false;  // this thread shares its work with none

// Sets `alone` of this thread until the end of the block.
class ScopedAlone {
 public:
  explicit ScopedAlone(bool value) : previous_(std::exchange(alone, value)) {}
  ~ScopedAlone() { alone = previous_; }
  ScopedAlone(const ScopedAlone&) = delete;
  ScopedAlone& operator=(const ScopedAlone&) = delete;

 private:
  bool previous_;
};

// The process in which this is called first, which is where oneTBB starts its threads. A child that is forked later has
// none of them, and oneTBB, which believes it has, gives it no others.
pid_t ProcessOfThreads() {
  static const pid_t process = getpid();
  return process;
}

bool HasNoThreads() { return getpid() != ProcessOfThreads(); }

}  // namespace

void ParallelFor(int64_t num_tasks, FunctionRef<void(int64_t)> task) {
  if (num_tasks <= 1 || alone) {
    for (int64_t i = 0; i < num_tasks; ++i) task(i);
    return;
  }
  ProcessOfThreads();  // is this one
  // One index a leaf: tasks are cut coarse enough by the kernels, and TBB must not glue them together.
  tbb::parallel_for(
      tbb::blocked_range<int64_t>(0, num_tasks, 1),
      [&](const tbb::blocked_range<int64_t>& range) {
        for (int64_t i = range.begin(); i != range.end(); ++i) task(i);
      },
      tbb::simple_partitioner());
}

struct Threads::Arena {
  explicit Arena(int count) : arena(count) {
    // oneTBB never runs more threads than the machine has processors unless this says so. Where it isn't needed it is
    // left out: of several such limits the lowest holds.
    constexpr auto kParallelism = tbb::global_control::max_allowed_parallelism;
    if (static_cast<size_t>(count) > tbb::global_control::active_value(kParallelism)) {
      limit.emplace(kParallelism, static_cast<size_t>(count));
    }
  }

  std::optional<tbb::global_control> limit;
  tbb::task_arena arena;
};

Threads::Threads(int count) : count_(count) {
  Check(count >= 0 && count <= kMostThreads, "Threads: count (", count, ") must be 0 … ", kMostThreads);
  if (count == 0) {
    // oneTBB looks at the affinity once, and at no quota.
    const int most = DefaultThreadCount();
    if (most < tbb::info::default_concurrency()) most_by_default_ = most;
  }
  const int own = count_ > 0 ? count_ : most_by_default_;
  if (own > 1) arena_ = std::make_unique<Arena>(own);
}
Threads::Threads(Threads&&) noexcept = default;
Threads& Threads::operator=(Threads&&) noexcept = default;
Threads::~Threads() = default;

void Threads::Run(FunctionRef<void()> work) const {
  int own = count_;  // the caller's where 0
  if (count_ == 0 && !alone && tbb::this_task_arena::max_concurrency() == tbb::info::default_concurrency()) {
    own = most_by_default_;
  }
  if (own != 1 && HasNoThreads()) own = 1;
  if (own > 1) {
    arena_->arena.execute([&] {
      const ScopedAlone shared(false);
      work();
    });
  } else {
    const ScopedAlone scoped(own == 1 || alone);
    work();
  }
}

void RunWithThreads(int threads, FunctionRef<void()> work) {
  Check(threads >= 1, "RunWithThreads: threads (", threads, ") must be at least 1");
  Threads(threads).Run(work);
}

int CurrentThreadLimit() { return alone ? 1 : tbb::this_task_arena::max_concurrency(); }

}  // namespace hwynn
