#include "hwynn/kernels/conv2d/epilogue.h"

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/simd/gemm_tile.h"

namespace hwynn {

Tensor ApplyPrologue(const Normalization& prologue, const Conv2dGeometry& g, const float* input,
                     const Workspace& workspace) {
  const GemmTiles& tiles = CurrentGemmTiles();
  Tensor normalized = workspace.NewTensor(g.input_shape());
  const int64_t row_floats = g.IW * g.IC;
  ParallelFor(g.N * g.IH, [&](int64_t row) {
    tiles.copy_normalized({input + row * row_floats, g.IC, normalized.data() + row * row_floats, g.IC, g.IW, g.IC},
                          prologue);
  });
  return normalized;
}

}  // namespace hwynn
