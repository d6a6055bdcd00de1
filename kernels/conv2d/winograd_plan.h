#ifndef HWYNN_KERNELS_CONV2D_WINOGRAD_PLAN_H_
#define HWYNN_KERNELS_CONV2D_WINOGRAD_PLAN_H_

// Not for users: what Winograd's forward and backward-input work on, and how it is cut into tasks.

#include "hwynn/kernels/conv2d/winograd_tiles.h"

namespace hwynn {

/// Floats of a transformed filter: up to the first it stays in the second-level cache beside the tiles of a task, from
/// the second on little of it does.
inline constexpr int64_t kWinogradCachedFloats = int64_t{1} << 18;
inline constexpr int64_t kWinogradLargeFloats = int64_t{1} << 20;

/// One convolution as this algorithm sees it: `in` [N,H,W,C] and `out` [N,OH,OW,O].
struct WinogradProblem {
  WinogradTiles tiles;
  const float* in;
  float* out;
  int64_t C, O;
  Normalization prologue;
  TileEpilogue epilogue;
  const float* zeros = nullptr;  // WinogradTiles::NewZeros
  // Packed, [point][panel][c][panel columns]; else as it is.
  const float* packed = nullptr;
  WinogradFilterView filter{};
};

/// How a convolution is cut: by its shape alone.
struct WinogradPlan {
  WinogradPlan(const WinogradProblem& p, const GemmTiles& gemm);

  /// All tiles of a task.
  WinogradBlock Tiles(const WinogradProblem& p, int64_t task) const {
    return {p.tiles, Begin(task), End(task) - Begin(task)};
  }
  int64_t Begin(int64_t task) const { return tasks.Begin(task) * unit; }
  int64_t End(int64_t task) const { return tasks.End(task) * unit; }
  int64_t in_floats() const { return (in_place ? points + 1 : points) * in_stride; }
  int64_t out_floats() const { return in_place ? 0 : points * out_stride; }

  const WinogradTransforms& transforms;
  int64_t points;
  int64_t pitch;                 // columns of the transformed filter
  int64_t filter_floats;         // of it
  int64_t unit;                  // tiles that no task parts
  EvenSplit tasks;               // units
  EvenSplit groups;              // panels
  int64_t filter_stride;         // between the points of the transformed filter
  int64_t columns;               // of a group, at most
  const WinogradNarrow& narrow;  // for few channels; its one or two vectors of columns are one group
  // Each point's products overwrite the transformed inputs of the point before: lines of the caches that were read a
  // moment ago, where an array of their own would take as much of the second-level cache again.
  bool in_place;
  int64_t block_tiles;  // that a task takes at a time, at most
  int64_t in_stride;    // between the points of transformed inputs [tile][C]
  int64_t out_stride;   // and of products [tile][columns]
  bool stream;          // outputs go past the caches

 private:
  static int64_t TilesPerUnit(const WinogradProblem& p);
  int64_t TilesPerTask(const WinogradProblem& p) const;
  int64_t PanelsPerGroup(const WinogradProblem& p, const GemmTiles& gemm) const;
  int64_t NarrowBlockTiles(const WinogradProblem& p) const;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_WINOGRAD_PLAN_H_
