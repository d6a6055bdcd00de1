#ifndef HWYNN_TESTS_SUPPORT_FAILING_NEW_H_
#define HWYNN_TESTS_SUPPORT_FAILING_NEW_H_

// operator new that fails on demand, for the one file of a program that includes this: what a system without memory
// does to an operation, at each place where it asks for some.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "hwynn/tests/support/operator_new.h"

namespace hwynn::testing {

inline constexpr int64_t kNever = -1;
inline std::atomic<int64_t> allocations_left{kNever};  // before one fails
inline std::atomic<bool> later_ones_fail{false};
inline std::atomic<int64_t> failed_allocations{0};
inline std::atomic<int64_t> live_allocations{0};

inline bool Fails() {
  int64_t left = allocations_left;
  while (left > 0 && !allocations_left.compare_exchange_weak(left, left - 1)) {
  }
  if (left != 0) return false;
  if (!later_ones_fail) allocations_left = kNever;
  ++failed_allocations;
  return true;
}

void* AllocateOrNull(size_t size, size_t alignment) noexcept {
  if (Fails()) return nullptr;
  void* memory = AlignedAlloc(size, alignment);
  live_allocations += memory == nullptr ? 0 : 1;
  return memory;
}

void Free(void* memory) noexcept {
  live_allocations -= memory == nullptr ? 0 : 1;
  std::free(memory);
}

/// Runs `operation` again and again, each time with the next of its allocations failing: alone or, with
/// `and_later_ones`, with all that follow. It must throw std::bad_alloc and leave nothing allocated, or else give what
/// it gives with all the memory, `expected`; and after each failure `after()` must do that. Returns how many
/// allocations there were.
template <class Result, class Operation, class After>
int64_t FailEachAllocation(const Result& expected, const Operation& operation, const After& after, bool and_later_ones,
                           bool keeps_memory = false) {
  for (int64_t number = 0;; ++number) {
    const int64_t live_before = live_allocations;
    failed_allocations = 0;
    later_ones_fail = and_later_ones;
    bool as_expected = true;
    {
      // What is thrown for another reason ends the test, with memory again.
      struct Disarm {
        ~Disarm() { allocations_left = kNever; }
      };
      try {
        const Disarm disarm;
        allocations_left = number;
        const Result result = operation();
        allocations_left = kNever;
        as_expected = result == expected;
      } catch (const std::bad_alloc&) {
      }
    }
    const bool has_failed = failed_allocations > 0;
    EXPECT_TRUE(as_expected) << "allocation " << number << " failed, and the result is another one";
    if (!keeps_memory) {
      EXPECT_EQ(live_allocations, live_before) << "allocation " << number << " failed, and memory is lost";
    }
    EXPECT_TRUE(after() == expected) << "after allocation " << number << " had failed";
    if (!has_failed || ::testing::Test::HasFailure()) return number;
  }
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_FAILING_NEW_H_
