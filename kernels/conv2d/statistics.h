#ifndef HWYNN_KERNELS_CONV2D_STATISTICS_H_
#define HWYNN_KERNELS_CONV2D_STATISTICS_H_

// Not for users: moments of a convolution's output, gathered by its tasks.

#include <cstdint>

#include "hwynn/core/parallel.h"
#include "hwynn/core/tensor.h"
#include "hwynn/core/workspace.h"
#include "hwynn/kernels/simd/statistics.h"

namespace hwynn {

/// The moments of each part of the output (a task's pixels). Parts are merged in their order.
class OutputStatistics {
 public:
  OutputStatistics(int64_t parts, int64_t channels, const Workspace& workspace)
      : parts_(parts),
        channels_(channels),
        workspace_(workspace),
        moments_(workspace.NewTensor({parts, 2, channels, kFloatsPerDouble})) {}

  /// Memory that it takes of the workspace.
  static int64_t Bytes(int64_t parts, int64_t channels) {
    return parts * 2 * channels * static_cast<int64_t>(sizeof(double));
  }

  /// Of no values yet.
  ChannelMoments Part(int64_t part) const {
    double* mean = reinterpret_cast<double*>(const_cast<float*>(moments_.data())) + part * 2 * channels_;
    return {mean, mean + channels_};
  }

  /// mean [C] and biased variance [C] of all parts; values(part) is how many values of a channel the part has. Channels
  /// that float32 was too narrow for are made again from the finished `output`.
  void Merge(FunctionRef<int64_t(int64_t part)> values, const float* output, TensorView mean, TensorView var) const;

 private:
  static constexpr int64_t kFloatsPerDouble = sizeof(double) / sizeof(float);

  int64_t parts_, channels_;
  const Workspace& workspace_;
  Tensor moments_;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_STATISTICS_H_
