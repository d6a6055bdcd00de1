#ifndef HWYNN_KERNELS_CONV2D_STATISTICS_H_
#define HWYNN_KERNELS_CONV2D_STATISTICS_H_

// Not for users: moments of a convolution's output, gathered by its tasks while their tiles are in registers.

#include <cstdint>

#include "hwynn/core/parallel.h"
#include "hwynn/core/tensor.h"
#include "hwynn/core/workspace.h"

namespace hwynn {

/// Per part of the output (a task's block) and channel: a shift near the part's values, and Σ (x − shift) and
/// Σ (x − shift)² in f32. Parts are merged in f64, in their order.
class OutputStatistics {
 public:
  OutputStatistics(int64_t parts, int64_t channels, const Workspace& workspace)
      : parts_(parts), channels_(channels), sums_(workspace.NewTensor({parts, 3, channels})) {}

  /// The part's shifts; its sums and sums of squares follow, stride() floats apart.
  float* Part(int64_t part) { return sums_.data() + part * 3 * channels_; }
  int64_t stride() const { return channels_; }

  /// mean [C] and biased variance [C] of all parts; rows(part) is how many values of a channel the part has.
  void Merge(FunctionRef<int64_t(int64_t part)> rows, TensorView mean, TensorView var) const;

 private:
  int64_t parts_, channels_;
  Tensor sums_;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_STATISTICS_H_
