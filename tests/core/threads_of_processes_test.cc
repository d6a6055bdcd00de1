// What Threads does in a process with fewer processors than the machine has, and in one that was forked. Everything
// runs in children: the threads that a test starts must not be there for the next.

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "hwynn/core/parallel.h"
#include "hwynn/tests/support/child.h"

namespace hwynn {
namespace {

using testing::RunInChild;

// True when `count` tasks ran at once.
bool RunsAtOnce(const Threads& threads, int count) {
  std::atomic<int> arrived = 0;
  std::atomic<bool> met = true;
  threads.Run([&] {
    ParallelFor(count, [&](int64_t) {
      ++arrived;
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (arrived < count && met) {
        if (std::chrono::steady_clock::now() > deadline) met = false;
        std::this_thread::yield();
      }
    });
  });
  return met;
}

bool RunsAlone(const Threads& threads) {
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<int64_t> elsewhere = 0;
  threads.Run([&] { ParallelFor(200, [&](int64_t) { elsewhere += std::this_thread::get_id() != caller; }); });
  return elsewhere == 0;
}

void UseOneProcessor() {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
}

TEST(ThreadsOfProcessesTest, ByDefaultThoseThatTheProcessMayUse) {
  RunInChild([] {
    ParallelFor(100, [](int64_t) {});  // what runs tasks has looked at the processors, and doesn't look again
    UseOneProcessor();
    ASSERT_EQ(DefaultThreadCount(), 1);
    const Threads by_default(0);
    EXPECT_TRUE(RunsAlone(by_default));
    by_default.Run([] { EXPECT_EQ(CurrentThreadLimit(), 1); });
    // What somebody asked for holds.
    const auto more = static_cast<int>(std::thread::hardware_concurrency()) + 3;
    RunWithThreads(more, [&] { by_default.Run([&] { EXPECT_EQ(CurrentThreadLimit(), more); }); });
    EXPECT_TRUE(RunsAtOnce(Threads(2), 2));
  });
}

TEST(ThreadsOfProcessesTest, AParentThatUsedNoneLeavesThemToItsChildren) {
  RunInChild([] {
    const Threads one(1);
    const Threads made_before(2);
    EXPECT_TRUE(RunsAlone(one));
    for (int child = 0; child < 2; ++child) {
      RunInChild([&] {
        EXPECT_TRUE(RunsAtOnce(made_before, 2));
        EXPECT_TRUE(RunsAtOnce(Threads(3), 3));
      });
    }
    EXPECT_TRUE(RunsAtOnce(made_before, 2));
  });
}

TEST(ThreadsOfProcessesTest, ThoseThatAParentUsedStayWithIt) {
  RunInChild([] {
    const Threads two(2);
    const Threads by_default(0);
    EXPECT_TRUE(RunsAtOnce(two, 2));
    RunInChild([&] {
      const Threads own(3);
      const Threads one(1);
      for (const Threads* threads : {&two, &by_default, &own, &one}) {
        EXPECT_TRUE(RunsAlone(*threads));
        threads->Run([&] { EXPECT_EQ(CurrentThreadLimit(), 1); });
      }
    });
    EXPECT_TRUE(RunsAtOnce(two, 2));
  });
}

}  // namespace
}  // namespace hwynn
