#ifndef HWYNN_KERNELS_SIMD_FLAT_H_
#define HWYNN_KERNELS_SIMD_FLAT_H_

// How a pass over a dense array, element by element, is cut into tasks and when its result bypasses the caches.

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "hwynn/core/parallel.h"
#include "hwynn/core/split.h"
#include "hwynn/core/tensor.h"

namespace hwynn {

/// Elements of one task, at most: 256 KiB an array, long enough to hide the start of a task.
inline constexpr int64_t kFlatTaskElements = int64_t{1} << 16;
/// Tasks hold a multiple of these elements, but for the last one: whole cache lines and vectors on every target.
inline constexpr int64_t kFlatTaskUnit = 64;

/// Passes over memory fetch this much ahead, in floats, what they will read and what ordinary stores will replace. The
/// hardware's own prefetchers stop at every page and reach two thirds of a core's memory bandwidth where one array is
/// read. Distances from 1 KiB to 16 KiB do alike.
inline constexpr int64_t kFetchAhead = 1024;

/// Channels repeat in tables of at least this many values, so that a vector loop needs one wrap a few vectors.
inline constexpr int64_t kMinFlatPeriod = 64;

/// Outputs from this size on are written with non-temporal stores: they would not stay in the last-level cache until
/// they are read again, and an ordinary store first reads the line that it replaces. Measured with a last-level cache
/// of about 32 MiB: streaming gains 13 % of a BatchNorm forward pass at 26 MB and a third at 51 MB, and costs 40 % at
/// 13 MB.
inline constexpr int64_t kStreamBytes = int64_t{24} << 20;

/// True when `output` should be streamed: large, aligned for it, and not also an input, whose lines are in cache.
inline bool WorthStreaming(TensorView output, std::initializer_list<ConstTensorView> inputs) {
  return output.size() * static_cast<int64_t>(sizeof(float)) >= kStreamBytes &&
         reinterpret_cast<uintptr_t>(output.data()) % kTensorAlignmentBytes == 0 &&
         std::none_of(inputs.begin(), inputs.end(), [&](const auto& input) { return input.data() == output.data(); });
}

/// Calls range(begin, end) for consecutive pieces of [0, elements), in parallel. The pieces are even, so that few of
/// them keep several threads busy alike.
template <class Range>
void ParallelForFlat(int64_t elements, const Range& range) {
  if (elements == 0) return;
  const int64_t tasks = CeilDiv(elements, kFlatTaskElements);
  const int64_t piece = RoundUp(CeilDiv(elements, tasks), kFlatTaskUnit);
  ParallelFor(CeilDiv(elements, piece),
              [&](int64_t task) { range(task * piece, std::min(elements, (task + 1) * piece)); });
}

}  // namespace hwynn

#endif  // HWYNN_KERNELS_SIMD_FLAT_H_
