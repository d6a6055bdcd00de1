#ifndef HWYNN_INFERENCE_PROGRAM_MEMORY_PLAN_H_
#define HWYNN_INFERENCE_PROGRAM_MEMORY_PLAN_H_

// Not for users: places in one piece of memory for values that don't all live at the same time.

#include <cstdint>
#include <span>
#include <vector>

namespace hwynn {

/// An array that is written by step `first` and read for the last time by step `last`.
struct Lifetime {
  int64_t bytes = 0;
  int first = 0;
  int last = 0;
};

struct MemoryPlan {
  std::vector<int64_t> offsets;  // of each array
  int64_t bytes = 0;             // of all
};

/// Places the arrays, the largest first, each as far in front as it finds room beside those that live when it does.
/// Offsets are multiples of 128 bytes; arrays of 0 bytes take no room.
MemoryPlan PlanMemory(std::span<const Lifetime> arrays);

}  // namespace hwynn

#endif  // HWYNN_INFERENCE_PROGRAM_MEMORY_PLAN_H_
