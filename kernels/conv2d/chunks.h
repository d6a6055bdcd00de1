#ifndef HWYNN_KERNELS_CONV2D_CHUNKS_H_
#define HWYNN_KERNELS_CONV2D_CHUNKS_H_

// Not for users: the gradient of a filter as a sum over chunks of the pixels, which tasks form side by side.

#include <cstdint>

#include "hwynn/core/workspace.h"

namespace hwynn {

/// An array for each chunk; with one chunk it is the result itself.
class ChunkedGradient {
 public:
  ChunkedGradient(int64_t chunks, int64_t floats, float* result, const Workspace& workspace);
  /// Memory that it takes of the workspace.
  static int64_t Bytes(int64_t chunks, int64_t floats) {
    return chunks > 1 ? chunks * floats * static_cast<int64_t>(sizeof(float)) : 0;
  }
  float* Chunk(int64_t chunk) { return (count_ > 1 ? partials_.data() : result_) + chunk * floats_; }
  /// result = Σ chunks, in their order.
  void Add();

 private:
  int64_t count_, floats_;
  float* result_;
  Tensor partials_;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_CHUNKS_H_
