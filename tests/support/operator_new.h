#ifndef HWYNN_TESTS_SUPPORT_OPERATOR_NEW_H_
#define HWYNN_TESTS_SUPPORT_OPERATOR_NEW_H_

// Every form of operator new and delete of the program whose one file includes this, by two functions which that file
// defines. The nothrow form is among them: std::stable_sort uses it, and a sanitizer sees where forms are mixed.

#include <cstddef>
#include <cstdlib>
#include <new>

namespace hwynn::testing {

/// What operator new returns; null: it throws std::bad_alloc.
void* AllocateOrNull(size_t size, size_t alignment) noexcept;
/// What operator delete does. `memory` may be null.
void Free(void* memory) noexcept;

/// For AllocateOrNull.
inline void* AlignedAlloc(size_t size, size_t alignment) {
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

inline void* Allocate(size_t size, size_t alignment) {
  void* memory = AllocateOrNull(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

inline constexpr size_t kNewAlignment = alignof(std::max_align_t);

}  // namespace hwynn::testing

void* operator new(size_t size) { return hwynn::testing::Allocate(size, hwynn::testing::kNewAlignment); }
void* operator new(size_t size, std::align_val_t alignment) {
  return hwynn::testing::Allocate(size, static_cast<size_t>(alignment));
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return hwynn::testing::AllocateOrNull(size, hwynn::testing::kNewAlignment);
}
void* operator new(size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return hwynn::testing::AllocateOrNull(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { hwynn::testing::Free(memory); }
void operator delete(void* memory, size_t) noexcept { hwynn::testing::Free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { hwynn::testing::Free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { hwynn::testing::Free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { hwynn::testing::Free(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { hwynn::testing::Free(memory); }

#endif  // HWYNN_TESTS_SUPPORT_OPERATOR_NEW_H_
