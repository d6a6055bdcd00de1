#ifndef HWYNN_KERNELS_CONV2D_GRADIENT_PARTS_H_
#define HWYNN_KERNELS_CONV2D_GRADIENT_PARTS_H_

// Not for users: the epilogue of backward-input, done by its tasks.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "hwynn/core/tensor.h"
#include "hwynn/core/workspace.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/simd/gradient_sums.h"

namespace hwynn {

/// An epilogue's sums over each part of a gradient (a task's pixels). Parts are added up in their order.
class GradientParts {
 public:
  /// `grad` [N,H,W,channels] is what the pass writes. There may be no parts: then all sums are 0.
  GradientParts(const Conv2dGradientEpilogue& wanted, float* grad, int64_t parts, const Workspace& workspace);

  /// Memory that it takes of the workspace.
  static int64_t Bytes(int64_t parts, int64_t channels) {
    return TensorBytes({std::max<int64_t>(1, parts), 2, channels, kFloatsPerDouble});
  }

  /// For `channels` channels of a part from `channel` on.
  void Open(int64_t part, int64_t channel, int64_t channels, GradientSums& sums) const;

  /// All parts together.
  void Merge(BatchNormSums& sums) const;

  const GradientEpilogue& epilogue() const { return epilogue_; }
  int64_t channels() const { return channels_; }

 private:
  static constexpr int64_t kFloatsPerDouble = sizeof(double) / sizeof(float);

  double* Part(int64_t part) const {
    return reinterpret_cast<double*>(const_cast<float*>(sums_.data())) + part * 2 * channels_;
  }

  GradientEpilogue epilogue_;
  int64_t parts_, pixels_, channels_;
  Tensor sums_;
};

/// A part whose pixels come with all their channels.
class GradientPart {
 public:
  static constexpr int64_t kPixels = 16;  // that it takes at a time, so that memory is read nearly in its order

  GradientPart(const GradientParts& parts, int64_t part);
  /// Without offsets.
  void Add(GradientRows pixels);
  void Close();

 private:
  std::vector<GradientSums> pieces_;  // of the channels
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_GRADIENT_PARTS_H_
