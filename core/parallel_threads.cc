// core/parallel.h on plain threads, in place of parallel.cc (HWYNN_PARALLEL=threads). ThreadSanitizer sees every
// synchronisation here, while a oneTBB that isn't instrumented gives it false alarms.

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"

namespace hwynn {
namespace {

thread_local int thread_limit = 0;  // 0: no RunWithThreads around

// Sets thread_limit of this thread until the end of the block.
class ScopedThreadLimit {
 public:
  explicit ScopedThreadLimit(int limit) : previous_(std::exchange(thread_limit, limit)) {}
  ~ScopedThreadLimit() { thread_limit = previous_; }
  ScopedThreadLimit(const ScopedThreadLimit&) = delete;
  ScopedThreadLimit& operator=(const ScopedThreadLimit&) = delete;

 private:
  int previous_;
};

// As in parallel.cc. Here a forked child could start threads of its own, but ThreadSanitizer allows it none.
pid_t ProcessOfThreads() {
  static const pid_t process = getpid();
  return process;
}

}  // namespace

void ParallelFor(int64_t num_tasks, FunctionRef<void(int64_t)> task) {
  const auto num_threads = static_cast<int>(std::min<int64_t>(num_tasks, CurrentThreadLimit()));
  if (num_threads <= 1) {
    for (int64_t i = 0; i < num_tasks; ++i) task(i);
    return;
  }
  ProcessOfThreads();                  // is this one
  std::atomic<int64_t> next_task = 0;  // relaxed: any other order would hide races between tasks of two threads
  std::mutex failure_mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    const ScopedThreadLimit nested_calls_run_inline(1);
    try {
      for (int64_t i; (i = next_task.fetch_add(1, std::memory_order_relaxed)) < num_tasks;) task(i);
    } catch (...) {
      next_task.store(num_tasks, std::memory_order_relaxed);  // what hasn't started need not start
      const std::lock_guard lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 1; i < num_threads; ++i) threads.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

struct Threads::Arena {};

Threads::Threads(int count) : count_(count) {
  Check(count >= 0 && count <= kMostThreads, "Threads: count (", count, ") must be 0 … ", kMostThreads);
  if (count == 0) most_by_default_ = DefaultThreadCount();
}
Threads::Threads(Threads&&) noexcept = default;
Threads& Threads::operator=(Threads&&) noexcept = default;
Threads::~Threads() = default;

void Threads::Run(FunctionRef<void()> work) const {
  const int by_default = thread_limit > 0 ? thread_limit : most_by_default_;
  const int wanted = count_ > 0 ? count_ : by_default;
  const ScopedThreadLimit limit(wanted > 1 && getpid() != ProcessOfThreads() ? 1 : wanted);
  work();
}

void RunWithThreads(int threads, FunctionRef<void()> work) {
  Check(threads >= 1, "RunWithThreads: threads (", threads, ") must be at least 1");
  Threads(threads).Run(work);
}

int CurrentThreadLimit() {
  static const int default_limit = DefaultThreadCount();
  return thread_limit > 0 ? thread_limit : default_limit;
}

}  // namespace hwynn
