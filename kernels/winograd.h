#ifndef HWYNN_KERNELS_WINOGRAD_H_
#define HWYNN_KERNELS_WINOGRAD_H_

// Not for users: what winograd-inl.h shares over all targets. F(4×4,3×3): 6×6 inputs make 4×4 outputs with 36
// products a channel pair instead of 144.

#include <cstdint>

#include "hwynn/kernels/gemm_tile.h"

namespace hwynn {

inline constexpr int64_t kWinogradOutput = 4;  // outputs of a tile, each way
inline constexpr int64_t kWinogradInput = 6;   // inputs
inline constexpr int64_t kWinogradPoints = 36;

/// The transforms of one instruction set, vectorised over channels. `stride` is the distance in floats between the 36
/// points of a transformed array.
struct WinogradTransforms {
  /// to[p·stride + c] = (Bᵀ·d·B)[p] with d[i] = pixels[i][c]; 36 pixels, row by row.
  void (*input)(const float* const* pixels, int64_t channels, float* to, int64_t stride);
  /// outputs[i][c] = (Aᵀ·m·A)[i] with m[p] = from[p·stride + c], then the epilogue; 16 outputs, row by row, null where
  /// the image ends. `residuals` like `outputs`, or null.
  void (*output)(const float* from, int64_t stride, int64_t channels, const TileEpilogue& epilogue,
                 const float* const* residuals, float* const* outputs);
  /// to[p·stride + o] = (G·w·Gᵀ)[p] with w[k] = taps[k·tap_stride + o]; 9 taps, row by row.
  void (*filter)(const float* taps, int64_t tap_stride, int64_t channels, float* to, int64_t stride);
  /// to[p·stride + c] = (A·d·Aᵀ)[p] with d[i] = pixels[i][c]: gradients of a tile's 16 outputs.
  void (*gradient)(const float* const* pixels, int64_t channels, float* to, int64_t stride);
  /// taps[k·tap_stride + o] = (Gᵀ·u·G)[k] with u[p] = from[p·stride + o]: the gradient of the filter.
  void (*filter_gradient)(const float* from, int64_t stride, int64_t channels, float* taps, int64_t tap_stride);
};

/// The transforms of the current target.
const WinogradTransforms& CurrentWinogradTransforms();

}  // namespace hwynn

#endif  // HWYNN_KERNELS_WINOGRAD_H_
