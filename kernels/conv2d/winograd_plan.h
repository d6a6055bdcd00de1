#ifndef HWYNN_KERNELS_CONV2D_WINOGRAD_PLAN_H_
#define HWYNN_KERNELS_CONV2D_WINOGRAD_PLAN_H_

// Not for users: how Winograd's forward and backward-input are cut into tasks.

#include "hwynn/kernels/conv2d/winograd_tiles.h"
#include "hwynn/kernels/simd/epilogue.h"
#include "hwynn/kernels/simd/panels.h"

namespace hwynn {

/// Floats of a transformed filter: up to the first it stays in the second-level cache beside the tiles of a task, from
/// the second on little of it does.
inline constexpr int64_t kWinogradCachedFloats = int64_t{1} << 18;
inline constexpr int64_t kWinogradLargeFloats = int64_t{1} << 20;

/// One convolution as this algorithm sees it: from [N,H,W,C] to [N,OH,OW,O].
struct WinogradProblem {
  WinogradTiles tiles;
  int64_t C, O;
  bool rotated;  // backward-input: the filter
  bool packed;   // so the filter comes, transformed; else as it is, and each panel is transformed before its products
};

/// How a convolution is cut: by its shape alone.
struct WinogradPlan {
  explicit WinogradPlan(const WinogradProblem& problem);

  /// All tiles of a task.
  WinogradBlock Tiles(int64_t task) const { return {p.tiles, Begin(task), End(task) - Begin(task)}; }
  int64_t Begin(int64_t task) const { return tasks.Begin(task) * unit; }
  int64_t End(int64_t task) const { return tasks.End(task) * unit; }
  int64_t in_floats() const { return (in_place ? points + 1 : points) * in_stride; }
  int64_t out_floats() const { return in_place ? 0 : points * out_stride; }
  /// Whether outputs go past the caches: large ones that are stored as whole cache lines.
  bool Streams(float* out, const TileEpilogue& epilogue) const;

  WinogradProblem p;
  const GemmTiles& gemm;
  const WinogradTransforms& transforms;
  int64_t points;
  PackedPanels panels;           // of a point of the transformed filter
  int64_t filter_floats;         // of all points
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

 private:
  int64_t TilesPerUnit() const;
  int64_t TilesPerTask() const;
  int64_t PanelsPerGroup() const;
  int64_t NarrowBlockTiles() const;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_WINOGRAD_PLAN_H_
