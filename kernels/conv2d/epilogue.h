#ifndef HWYNN_KERNELS_CONV2D_EPILOGUE_H_
#define HWYNN_KERNELS_CONV2D_EPILOGUE_H_

// A call's prologue and epilogue as the vector code takes them.

#include <algorithm>

#include "hwynn/core/workspace.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/simd/epilogue.h"

namespace hwynn {

inline Normalization MakePrologue(const Conv2dPrologue& prologue) {
  if (prologue.mul.size() == 0) return {.relu = prologue.relu, .upper = prologue.upper};
  return {prologue.mean.data(), prologue.mul.data(), prologue.bias.data(), prologue.relu, prologue.upper};
}

/// The whole input after a prologue: for passes that can't apply it while they load.
Tensor ApplyPrologue(const Normalization& prologue, const Conv2dGeometry& g, const float* input,
                     const Workspace& workspace);

/// Holds the zeros and ones that stand for what is left out.
class OutputEpilogue {
 public:
  OutputEpilogue(const Conv2dEpilogue& wanted, int64_t channels, const Workspace& workspace)
      : tile_{.norm = {.relu = wanted.relu, .upper = wanted.upper},
              .residual = wanted.residual.size() != 0 ? wanted.residual.data() : nullptr} {
    if (wanted.center.size() + wanted.scale.size() + wanted.bias.size() == 0) return;
    neutral_ = workspace.NewTensor({2, channels});
    float* zeros = neutral_.data();
    float* ones = zeros + channels;
    std::fill_n(zeros, channels, 0.0f);
    std::fill_n(ones, channels, 1.0f);
    tile_.norm.mean = wanted.center.size() != 0 ? wanted.center.data() : zeros;
    tile_.norm.mul = wanted.scale.size() != 0 ? wanted.scale.data() : ones;
    tile_.norm.bias = wanted.bias.size() != 0 ? wanted.bias.data() : zeros;
  }

  const TileEpilogue& tile() const { return tile_; }
  /// Memory that it takes of the workspace, at most.
  static int64_t Bytes(int64_t channels) { return TensorBytes({2, channels}); }

 private:
  TileEpilogue tile_;
  Tensor neutral_;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_EPILOGUE_H_
