#ifndef HWYNN_CORE_WORKSPACE_H_
#define HWYNN_CORE_WORKSPACE_H_

// Memory that outlives a step. A training step asks for the same tensors in the same order each time; a
// Workspace keeps what it once got from the system, so that from the second step on there are no page faults.
// (Page faults of freshly mapped activations cost PyTorch's CPU training 40 % of a ResNet-50 step.)

#include <cstddef>
#include <cstdint>
#include <memory>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"

namespace HWYNN_EXPORT hwynn {

/// The regions behind a Workspace: first fit from the front of a chunk of addresses that is larger than what is used of
/// it, with huge pages advised; neighbours that are free merge. Shared by the Workspace and the tensors made from it,
/// so that either may die first.
class WorkspaceMemory;

/// Owns memory of a Workspace, of whatever element type; move-only. It goes back when the buffer dies.
class Buffer {
 public:
  /// Empty.
  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

 private:
  friend class Workspace;
  Buffer(std::byte* data, int64_t bytes, std::shared_ptr<WorkspaceMemory> owner);

  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  std::shared_ptr<WorkspaceMemory> owner_;
};

/// Bytes of a tensor's elements.
inline int64_t TensorBytes(const Shape& shape) { return shape.num_elements() * static_cast<int64_t>(sizeof(float)); }

/// Hands out tensors and buffers whose memory is recycled.
///
/// Threads: its functions and the tensors' destructors may run on any thread, but two calls that run at once should
/// each have a Workspace of their own: a shared one serialises its callers.
class Workspace {
 public:
  Workspace();

  /// Uninitialised, 128-byte aligned. Throws std::bad_alloc when the system has no memory left.
  Tensor NewTensor(const Shape& shape) const;
  Buffer NewBuffer(int64_t bytes) const;

  /// Bytes in use now, the most ever in use, and the most that may be held from the system.
  int64_t bytes_in_use() const;
  int64_t peak_bytes() const;
  int64_t bytes_reserved() const;

 private:
  std::shared_ptr<WorkspaceMemory> memory_;
};

/// A tensor over memory of somebody else's, without a copy: it releases nothing. `keeper` lives as long as the tensor
/// and holds that memory; without one the caller sees to it that the memory outlives the tensor.
Tensor BorrowTensor(TensorView values, std::shared_ptr<const void> keeper = nullptr);

/// Not for users: what Tensor and Buffer need to give memory back.
class WorkspaceMemory {
 public:
  virtual ~WorkspaceMemory() = default;
  virtual void Release(const void* data) noexcept = 0;
};

}  // namespace hwynn

#endif  // HWYNN_CORE_WORKSPACE_H_
