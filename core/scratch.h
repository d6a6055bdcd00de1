#ifndef HWYNN_CORE_SCRATCH_H_
#define HWYNN_CORE_SCRATCH_H_

// Memory of a task, in bytes: which element types lie in it is the task's own affair.

#include <cstddef>
#include <cstdint>

#include "hwynn/core/export.h"
#include "hwynn/core/split.h"

namespace HWYNN_EXPORT hwynn {

/// Hands out the arrays of a task one after the other, each from a cache line on. Uninitialised; nothing is given back.
///
///   const int64_t bytes = Scratch::Bytes<float>(n) + Scratch::Bytes<Row>(rows);   // what a plan asks for
///   float* sums = scratch.Take<float>(n);                                         // and a task takes
class Scratch {
 public:
  static constexpr int64_t kAlignmentBytes = 64;

  Scratch(std::byte* memory, int64_t bytes) : next_(memory), bytes_(bytes) {}

  /// What Take<T>(count) uses up.
  template <class T>
  static constexpr int64_t Bytes(int64_t count) {
    return RoundUp(count * static_cast<int64_t>(sizeof(T)), kAlignmentBytes);
  }
  template <class T>
  T* Take(int64_t count) {
    static_assert(alignof(T) <= kAlignmentBytes);
    const int64_t bytes = Bytes<T>(count);
    HWYNN_DCHECK(bytes <= bytes_);
    auto* const array = reinterpret_cast<T*>(next_);
    next_ += bytes;
    bytes_ -= bytes;
    return array;
  }
  /// All that is left.
  std::byte* data() const { return next_; }
  int64_t bytes() const { return bytes_; }

 private:
  std::byte* next_;
  int64_t bytes_;
};

}  // namespace hwynn

#endif  // HWYNN_CORE_SCRATCH_H_
