#include "hwynn/inference/program/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "hwynn/core/split.h"

namespace hwynn {

MemoryPlan PlanMemory(std::span<const Lifetime> arrays) {
  constexpr int64_t kAlignmentBytes = 128;  // two cache lines: what x86's adjacent-line prefetcher pulls in together
  MemoryPlan plan{.offsets = std::vector<int64_t>(arrays.size(), 0)};
  std::vector<size_t> order(arrays.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return arrays[a].bytes > arrays[b].bytes; });

  std::vector<size_t> placed;  // by offset
  for (const size_t index : order) {
    const Lifetime& array = arrays[index];
    if (array.bytes == 0) continue;
    int64_t offset = 0;
    for (const size_t other : placed) {
      if (arrays[other].last < array.first || array.last < arrays[other].first) continue;
      if (offset + array.bytes <= plan.offsets[other]) break;
      offset = std::max(offset, RoundUp(plan.offsets[other] + arrays[other].bytes, kAlignmentBytes));
    }
    plan.offsets[index] = offset;
    plan.bytes = std::max(plan.bytes, offset + array.bytes);
    placed.insert(std::ranges::upper_bound(placed, offset, {}, [&](size_t i) { return plan.offsets[i]; }), index);
  }
  return plan;
}

}  // namespace hwynn
