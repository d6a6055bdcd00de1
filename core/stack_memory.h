#ifndef HWYNN_CORE_STACK_MEMORY_H_
#define HWYNN_CORE_STACK_MEMORY_H_

// Memory of short lists that a call or a task makes: a call that repeats shall not go to the heap.

#include <cstddef>
#include <memory_resource>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// For std::pmr's containers: the first `kBytes` that they ask for lie in the object itself, what is beyond on the
/// heap. Nothing is given back before it dies.
template <size_t kBytes>
class StackMemory {
 public:
  StackMemory() = default;
  StackMemory(const StackMemory&) = delete;
  StackMemory& operator=(const StackMemory&) = delete;

  std::pmr::memory_resource* resource() { return &resource_; }

 private:
  alignas(std::max_align_t) std::byte buffer_[kBytes];
  std::pmr::monotonic_buffer_resource resource_{buffer_, kBytes};
};

}  // namespace hwynn

#endif  // HWYNN_CORE_STACK_MEMORY_H_
