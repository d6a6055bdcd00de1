#ifndef HWYNN_CORE_PARALLEL_H_
#define HWYNN_CORE_PARALLEL_H_

// Numbered tasks on several threads. Kernels cut their work by the problem's shape, never by the number of
// threads, and combine partial results in task order: so results don't depend on the number of threads.

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "hwynn/core/export.h"
#include "hwynn/core/scratch.h"

namespace HWYNN_EXPORT hwynn {

/// A reference to a callable that outlives the call it is passed to; two words, no allocation.
template <class Signature>
class FunctionRef;

template <class Result, class... Args>
class FunctionRef<Result(Args...)> {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef> && std::is_invocable_r_v<Result, F&, Args...>)
      FunctionRef(F&& function)  // NOLINT: implicit, so that a lambda can be passed
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(function)))),
        call_([](void* object, Args... args) -> Result {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}

  Result operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  Result (*call_)(void*, Args...);
};

/// Runs task(0) … task(num_tasks − 1), each once, in any order and on any thread of the caller's arena; returns
/// when all are done. An exception of a task reaches the caller. `num_tasks` ≤ 1 runs on the calling thread.
void ParallelFor(int64_t num_tasks, FunctionRef<void(int64_t task)> task);

/// The same with scratch memory: `scratch_bytes` that no other running task has, uninitialised. They belong to the
/// thread and are kept for its next call; so a task must not call ParallelFor itself, while it waits its thread could
/// take another task with the same memory.
void ParallelForWithScratch(int64_t num_tasks, int64_t scratch_bytes,
                            FunctionRef<void(int64_t task, Scratch scratch)> task);

/// More than any machine can use; each costs memory, and a number that is a mistake shouldn't take it all.
inline constexpr int kMostThreads = 1024;

/// How many threads take part in the work that is given to it; kept between calls, so that a call allocates nothing.
/// Without work no thread does anything: those that have none sleep.
///
/// Threads: Run may be called from several at once; they then share the `count`. In a process that was forked after
/// hwynn had run something on several threads Run takes the calling thread alone: the others stayed with the parent.
class Threads {
 public:
  /// `count` ≥ 1: at most so many, the caller's among them, whatever arena it is in. 1: the calling thread alone, which
  /// never waits for another. 0: those of the tbb::task_arena that the caller of Run is in; without one, or in one of
  /// the size that oneTBB gives it by default, no more than DefaultThreadCount() said when this was made. Throws
  /// std::invalid_argument below 0 and above kMostThreads.
  explicit Threads(int count = 0);
  Threads(Threads&&) noexcept;
  Threads& operator=(Threads&&) noexcept;
  ~Threads();

  int count() const { return count_; }
  void Run(FunctionRef<void()> work) const;

 private:
  struct Arena;  // parallel.cc
  int count_;
  int most_by_default_ = 0;  // with count_ 0, where the process may use fewer threads than oneTBB would
  std::unique_ptr<Arena> arena_;
};

/// Runs `work` on at most `threads` threads (≥ 1). Programs use it for their --threads option; an application that has
/// its own tbb::task_arena simply calls hwynn inside it.
void RunWithThreads(int threads, FunctionRef<void()> work);

/// Hardware threads this process may use: affinity mask and cgroup v1/v2 CPU quota (rounded up) taken into
/// account; at least 1.
int DefaultThreadCount();

/// Threads that ParallelFor may use when called from here. For reports, never for cutting work.
int CurrentThreadLimit();

}  // namespace hwynn

#endif  // HWYNN_CORE_PARALLEL_H_
