#include "hwynn/core/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace hwynn {
namespace {

// Blocks until `count` tasks have called it. False when they don't come within 30 s: then fewer threads run.
class Rendezvous {
 public:
  explicit Rendezvous(int count) : count_(count) {}
  bool Arrive() {
    ++arrived_;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (arrived_ < count_) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

 private:
  const int count_;
  std::atomic<int> arrived_ = 0;
};

TEST(ParallelForTest, RunsEveryTaskOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    for (const int64_t num_tasks : {0, 1, 2, 3, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(num_tasks));
      RunWithThreads(threads, [&] {
        ParallelFor(num_tasks, [&](int64_t task) {
          ASSERT_TRUE(task >= 0 && task < num_tasks);
          ++runs[static_cast<size_t>(task)];
        });
      });
      for (const auto& count : runs) ASSERT_EQ(count, 1) << threads << " threads, " << num_tasks << " tasks";
    }
  }
}

TEST(ParallelForTest, OutsideRunWithThreadsToo) {
  std::atomic<int64_t> sum = 0;
  ParallelFor(100, [&](int64_t task) { sum += task; });
  EXPECT_EQ(sum, 4950);
}

TEST(ParallelForTest, OneTaskRunsOnTheCallingThread) {
  std::thread::id id;
  RunWithThreads(3, [&] {
    const std::thread::id caller = std::this_thread::get_id();
    ParallelFor(1, [&](int64_t) { id = std::this_thread::get_id(); });
    EXPECT_EQ(id, caller);
  });
}

TEST(ParallelForTest, AnExceptionOfATaskReachesTheCaller) {
  for (const int threads : {1, 2, 3}) {
    for (const int64_t num_tasks : {1, 2, 50}) {
      for (const int64_t bad : {int64_t{0}, num_tasks - 1}) {
        const auto run = [&] {
          RunWithThreads(threads, [&] {
            ParallelFor(num_tasks, [&](int64_t task) {
              if (task == bad) throw std::runtime_error("task");
            });
          });
        };
        EXPECT_THROW(run(), std::runtime_error) << threads << " threads, task " << bad << " of " << num_tasks;
      }
    }
  }
  // All tasks throw: the caller gets one exception, and later calls work.
  RunWithThreads(3, [] {
    EXPECT_THROW(ParallelFor(64, [](int64_t) { throw std::invalid_argument("all"); }), std::invalid_argument);
    std::atomic<int> runs = 0;
    ParallelFor(64, [&](int64_t) { ++runs; });
    EXPECT_EQ(runs, 64);
  });
}

TEST(ParallelForTest, NestedCallsRunEveryTaskOnce) {
  std::vector<std::atomic<int>> runs(20 * 30);
  RunWithThreads(3, [&] {
    ParallelFor(20, [&](int64_t outer) {
      ParallelFor(30, [&](int64_t inner) { ++runs[static_cast<size_t>(outer * 30 + inner)]; });
    });
  });
  for (const auto& count : runs) ASSERT_EQ(count, 1);
}

TEST(ThreadsTest, ServeManyCallsOneAfterAnother) {
  for (const int count : {0, 1, 2, 3}) {
    const Threads threads(count);
    EXPECT_EQ(threads.count(), count);
    for (int call = 0; call < 50; ++call) {
      std::atomic<int64_t> sum = 0;
      threads.Run([&] { ParallelFor(10, [&](int64_t task) { sum += task; }); });
      ASSERT_EQ(sum, 45);
    }
  }
  EXPECT_THROW(Threads(-1), std::invalid_argument);
  EXPECT_THROW(Threads(kMostThreads + 1), std::invalid_argument);
}

TEST(ThreadsTest, OneIsTheCallingThread) {
  const Threads one(1);
  std::atomic<int> elsewhere = 0;
  const auto count = [&] {
    const std::thread::id caller = std::this_thread::get_id();
    ParallelFor(1000, [&](int64_t) { elsewhere += std::this_thread::get_id() != caller; });
  };
  one.Run(count);
  EXPECT_EQ(elsewhere, 0);
  one.Run([&] {
    EXPECT_EQ(CurrentThreadLimit(), 1);
    Threads(0).Run(count);  // the caller's
    Threads(3).Run([] { EXPECT_EQ(CurrentThreadLimit(), 3); });
  });
  EXPECT_EQ(elsewhere, 0);
  EXPECT_THROW(one.Run([] { ParallelFor(3, [](int64_t) { throw std::runtime_error("task"); }); }), std::runtime_error);
  EXPECT_NE(CurrentThreadLimit(), 0);
}

TEST(ThreadsTest, TwoCallersAtOnce) {
  const Threads threads(2);
  std::atomic<int64_t> sum = 0;
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 3; ++caller) {
      callers.emplace_back([&] {
        for (int call = 0; call < 20; ++call) {
          threads.Run([&] { ParallelFor(10, [&](int64_t task) { sum += task; }); });
        }
      });
    }
  }
  EXPECT_EQ(sum, 3 * 20 * 45);
}

TEST(RunWithThreadsTest, RunsThatManyThreadsEvenOnFewerProcessors) {
  for (const int threads : {1, 2, 3, 5}) {
    Rendezvous rendezvous(threads);
    std::atomic<int> met = 0;
    RunWithThreads(threads, [&] { ParallelFor(threads, [&](int64_t) { met += rendezvous.Arrive(); }); });
    EXPECT_EQ(met, threads);
  }
}

TEST(RunWithThreadsTest, RunsNoMoreThreads) {
  for (const int threads : {1, 2}) {
    std::atomic<int> running = 0;
    std::atomic<int> most = 0;
    RunWithThreads(threads, [&] {
      ParallelFor(200, [&](int64_t) {
        const int now = ++running;
        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        std::this_thread::yield();
        --running;
      });
    });
    EXPECT_LE(most, threads);
  }
}

TEST(RunWithThreadsTest, LimitHoldsInsideAndEndsWithTheCall) {
  const int before = CurrentThreadLimit();
  RunWithThreads(3, [] {
    EXPECT_EQ(CurrentThreadLimit(), 3);
    RunWithThreads(2, [] { EXPECT_EQ(CurrentThreadLimit(), 2); });
    EXPECT_EQ(CurrentThreadLimit(), 3);
  });
  EXPECT_THROW(RunWithThreads(3, [] { throw std::runtime_error("work"); }), std::runtime_error);
  EXPECT_EQ(CurrentThreadLimit(), before);
}

TEST(RunWithThreadsTest, RejectsLessThanOneThread) {
  bool ran = false;
  EXPECT_THROW(RunWithThreads(0, [&] { ran = true; }), std::invalid_argument);
  EXPECT_THROW(RunWithThreads(-1, [&] { ran = true; }), std::invalid_argument);
  EXPECT_FALSE(ran);
}

TEST(DefaultThreadCountTest, IsWithinTheMachine) {
  EXPECT_GE(DefaultThreadCount(), 1);
  EXPECT_LE(DefaultThreadCount(), static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
}

TEST(ParallelForWithScratchTest, RunningTasksHaveAlignedMemoryOfTheirOwn) {
  constexpr int kThreads = 3;
  for (const int64_t num_floats : {1, 1000, 100000}) {
    Rendezvous rendezvous(kThreads);
    std::atomic<int> met = 0;
    std::vector<float*> scratches(kThreads);
    RunWithThreads(kThreads, [&] {
      ParallelForWithScratch(kThreads, Scratch::Bytes<float>(num_floats), [&](int64_t task, Scratch memory) {
        float* scratch = memory.Take<float>(num_floats);
        scratches[static_cast<size_t>(task)] = scratch;
        const auto value = static_cast<float>(task);
        std::fill_n(scratch, num_floats, value);
        met += rendezvous.Arrive();  // all have written now
        EXPECT_EQ(std::count(scratch, scratch + num_floats, value), num_floats);
      });
    });
    EXPECT_EQ(met, kThreads);
    EXPECT_EQ(std::set<float*>(scratches.begin(), scratches.end()).size(), scratches.size());
    for (const float* scratch : scratches) EXPECT_EQ(reinterpret_cast<uintptr_t>(scratch) % 64, 0u);
  }
}

TEST(ParallelForWithScratchTest, MemoryIsKeptForTheNextCall) {
  RunWithThreads(1, [] {
    std::byte* first = nullptr;
    std::byte* second = nullptr;
    ParallelForWithScratch(1, 5000, [&](int64_t, Scratch scratch) { first = scratch.data(); });
    ParallelForWithScratch(1, 4000, [&](int64_t, Scratch scratch) { second = scratch.data(); });
    EXPECT_EQ(first, second);
  });
}

TEST(ScratchTest, HandsOutArraysOfAnyTypeOnCacheLines) {
  constexpr int64_t kBytes = Scratch::Bytes<float>(17) + Scratch::Bytes<double>(3) + Scratch::Bytes<char>(0);
  EXPECT_EQ(kBytes, 128 + 64);
  alignas(64) std::byte memory[kBytes];
  Scratch scratch(memory, kBytes);
  EXPECT_EQ(reinterpret_cast<std::byte*>(scratch.Take<float>(17)), memory);
  EXPECT_EQ(reinterpret_cast<std::byte*>(scratch.Take<double>(3)), memory + 128);
  EXPECT_EQ(scratch.bytes(), 0);
  EXPECT_EQ(reinterpret_cast<std::byte*>(scratch.Take<char>(0)), memory + kBytes);
#ifndef NDEBUG
  EXPECT_THROW(scratch.Take<char>(1), std::logic_error);
#endif
}

}  // namespace
}  // namespace hwynn
