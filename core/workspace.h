#ifndef HWYNN_CORE_WORKSPACE_H_
#define HWYNN_CORE_WORKSPACE_H_

// Memory that outlives a step. A training step asks for the same tensors in the same order each time; a
// Workspace keeps what it once got from the system, so that from the second step on there are no page faults.
// (Page faults of freshly mapped activations cost PyTorch's CPU training 40 % of a ResNet-50 step.)

#include <cstdint>
#include <memory>

#include "hwynn/core/tensor.h"

namespace hwynn {

/// The regions behind a Workspace: first fit over 2 MiB-aligned chunks with huge pages advised; neighbours that
/// are free merge. Shared by the Workspace and the tensors made from it, so that either may die first.
class WorkspaceMemory;

/// Hands out tensors whose memory is recycled.
///
/// Threads: NewTensor and the tensors' destructors may run on any thread, but two calls that run at once should
/// each have a Workspace of their own: a shared one serialises its callers.
class Workspace {
 public:
  Workspace();

  /// Uninitialised, 128-byte aligned. Throws std::bad_alloc when the system has no memory left.
  Tensor NewTensor(const Shape& shape) const;

  /// Bytes in use now, the most ever in use, and bytes held from the system.
  int64_t bytes_in_use() const;
  int64_t peak_bytes() const;
  int64_t bytes_reserved() const;

 private:
  std::shared_ptr<WorkspaceMemory> memory_;
};

/// Not for users: what Tensor needs to give memory back.
class WorkspaceMemory {
 public:
  virtual ~WorkspaceMemory() = default;
  virtual void Release(const float* data) noexcept = 0;
};

}  // namespace hwynn

#endif  // HWYNN_CORE_WORKSPACE_H_
