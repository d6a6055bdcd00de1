#ifndef HWYNN_KERNELS_DEPTHWISE_H_
#define HWYNN_KERNELS_DEPTHWISE_H_

// Not for users: what depthwise-inl.h shares over all targets.

#include <cstdint>

#include "hwynn/kernels/gemm_tile.h"

namespace hwynn {

/// One tap that lies inside the image: offsets of its pixel and of its weights.
struct DepthwiseTerm {
  int64_t x;
  int64_t w;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_DEPTHWISE_H_
