#ifndef HWYNN_KERNELS_CONV2D_WINOGRAD_KERNELS_H_
#define HWYNN_KERNELS_CONV2D_WINOGRAD_KERNELS_H_

// Not for users: what winograd-inl.h shares over all targets. F(m×m,3×3): (m+2)×(m+2) inputs make m×m outputs with
// (m+2)² products a channel pair instead of 9·m²: 36 instead of 144 for m = 4, 16 instead of 36 for m = 2.
//
// An axis of a tile has up to m outputs. Where 2 or 3 of m = 4 are left at an image's end, the tile takes the first 4
// or 5 of the variant's 6 points along this axis: 7 = 4 + 3 outputs cost 6 + 5 products instead of 6 + 6, with the same
// transformed filter.

#include <cstddef>
#include <cstdint>

#include "hwynn/kernels/simd/gemm_tile.h"

namespace hwynn {

// Of a tile along an axis. One output that is left over takes a tile of two.
inline constexpr int64_t kMinWinogradOutputs = 2;
inline constexpr int64_t kMaxWinogradOutputs = 4;

/// The part of an image [H,W] under a run of tiles that lie side by side: pixel (i, j) of tile t is the image's
/// (y + i, x + m·t + j), at data[image + (row·W + column)·pixel]. Those that the image hasn't are never touched; they
/// read as 0.
template <class T>
struct WinogradPatch {
  T* data;
  int64_t image, H, W, pixel;
  int64_t y, x;
  int64_t tiles;
  /// W·pixel of them, read instead of rows that the image hasn't; null for patches that are written.
  const float* zeros;
};

/// Transformed tiles: point p = i·(m+2) + j of tile t in channel c is data[p·stride + t·pitch + c]. Smaller tiles have
/// the first points only.
template <class T>
struct WinogradPoints {
  T* data;
  int64_t stride, pitch;
};

/// A function for each extent of a tile.
template <class Function>
class ByOutputs {
 public:
  Function*& operator()(int64_t down, int64_t across) { return table_[Index(down)][Index(across)]; }
  Function* operator()(int64_t down, int64_t across) const { return table_[Index(down)][Index(across)]; }

 private:
  static size_t Index(int64_t outputs) { return static_cast<size_t>(outputs - kMinWinogradOutputs); }
  static constexpr int64_t kExtents = kMaxWinogradOutputs - kMinWinogradOutputs + 1;
  Function* table_[kExtents][kExtents] = {};
};

/// What happens to outputs that are a gradient.
struct WinogradGradientEpilogue {
  GradientSums* sums;  // of the channels
  bool accumulate;     // what is there is added before the mask
  bool stream;         // as with plain outputs
};

/// The transforms of one variant and instruction set, vectorised over channels. Those of tiles depend on a tile's
/// outputs down and across, and take a run of such tiles: where a tile has one vector of channels, its addresses would
/// take longer than its additions.
struct WinogradTransforms {
  int64_t outputs;  // m
  int64_t inputs;   // m + 2

  /// Points = Bᵀ·d·B with the inputs d after the prologue.
  ByOutputs<void(const WinogradPatch<const float>& from, const Normalization& prologue, int64_t channels,
                 const WinogradPoints<float>& to) noexcept>
      input;
  /// Outputs = Aᵀ·points·A, then the epilogue, whose residual is addressed like the outputs. Statistics, of at most
  /// StatisticsRows::kPitch channels, get the outputs tile by tile; null: not wanted. With `stream` non-temporal
  /// stores: whole vectors of channels, aligned.
  ByOutputs<void(const WinogradPoints<const float>& from, int64_t channels, const TileEpilogue& epilogue,
                 StatisticsRows* statistics, bool stream, const WinogradPatch<float>& to) noexcept>
      output;
  /// The same where the outputs are a gradient: `epilogue` masks them, writes them and adds them up tile by tile.
  ByOutputs<void(const WinogradPoints<const float>& from, int64_t channels, const WinogradGradientEpilogue& epilogue,
                 const WinogradPatch<float>& to) noexcept>
      output_gradient;
  /// Points = A·d·Aᵀ with the gradients d of the outputs.
  ByOutputs<void(const WinogradPatch<const float>& from, int64_t channels, const WinogradPoints<float>& to) noexcept>
      gradient;
  /// to[p·stride + o] = (G·w·Gᵀ)[p] with w[k] = taps[k·tap_stride + o]; 9 taps, row by row.
  void (*filter)(const float* taps, int64_t tap_stride, int64_t channels, float* to, int64_t stride) noexcept;
  /// taps[k·tap_stride + o] = (Gᵀ·u·G)[k] with u[p] = from[p·stride + o]: the gradient of the filter.
  void (*filter_gradient)(const float* from, int64_t stride, int64_t channels, float* taps,
                          int64_t tap_stride) noexcept;
};

/// The transforms of F(outputs×outputs,3×3) on the current target; outputs is 2 or 4.
const WinogradTransforms& CurrentWinogradTransforms(int64_t outputs);

/// Products at consecutive points, whose operands are strides apart, of transformed tiles a [tile][channels].
struct WinogradNarrowArgs {
  const float* a;
  int64_t a_stride;
  const float* b;
  int64_t b_stride;
  float* c;
  int64_t c_stride;
  int64_t points;
  int64_t tiles;         // for `gradient`
  bool accumulate;       // for `gradient`: c += instead of c =
  PrefetchRun fetch[4];  // a step is a tile and point
  int64_t fetches;       // of them that there are
};

/// For few channels by few columns, for which gemm_tile.h's micro-kernels are too short.
struct WinogradNarrow {
  int64_t rows = 0;
  /// [tiles − 1], up to `rows` tiles: c [tile][columns] = a·b with the filter b [channels][columns]. c may be a's
  /// point before where columns = channels.
  void (*forward[GemmTiles::kMaxRows])(WinogradNarrowArgs&) noexcept = {};
  /// c [channels][columns] (+)= aᵀ·b with gradients b [tile][columns].
  void (*gradient)(WinogradNarrowArgs&) noexcept = nullptr;
};

/// The one of the current target; rows is 0 where there is none.
const WinogradNarrow& CurrentWinogradNarrow(int64_t channels, int64_t columns);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_WINOGRAD_KERNELS_H_
