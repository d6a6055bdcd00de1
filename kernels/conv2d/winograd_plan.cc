#include "hwynn/kernels/conv2d/winograd_plan.h"

#include <algorithm>

#include "hwynn/kernels/simd/flat.h"

namespace hwynn {
namespace {

// Tiles of a task. While a transformed filter stays in the second-level cache beside them their number is what fits
// there too. A large one passes through for every task: then 64 tiles are worth more than their place in the cache,
// since they are read and written one point at a time.
constexpr int64_t kTaskFloats = int64_t{1} << 16;
constexpr int64_t kMinTiles = 42;
constexpr int64_t kMaxTiles = 56;
constexpr int64_t kManyTiles = 64;
// With fewer tasks than this, each one's products are spread over more, at least kManyTasks in all.
constexpr int64_t kMinTasks = 4;
constexpr int64_t kManyTasks = 8;

}  // namespace

WinogradPlan::WinogradPlan(const WinogradProblem& problem)
    : p(problem),
      gemm(CurrentGemmTiles()),
      transforms(CurrentWinogradTransforms(p.tiles.m)),
      points(transforms.inputs * transforms.inputs),
      panels(gemm, p.C, p.O),
      filter_floats(points * panels.floats()),
      unit(TilesPerUnit()),
      tasks(p.tiles.count() / unit, TilesPerTask() / unit),
      groups(panels.count(), PanelsPerGroup()),
      filter_stride(p.packed ? panels.floats() : WinogradStride(p.C, gemm.panel())),
      columns(std::min(panels.padded_columns(), groups.Largest() * gemm.panel())),
      narrow(CurrentWinogradNarrow(p.C, panels.padded_columns())),
      in_place(p.C == columns && groups.count == 1),
      block_tiles(narrow.rows != 0 ? NarrowBlockTiles() : tasks.Largest() * unit),
      in_stride(WinogradStride(block_tiles, p.C)),
      out_stride(WinogradStride(block_tiles, columns)) {}

bool WinogradPlan::Streams(float* out, const TileEpilogue& epilogue) const {
  constexpr int64_t kLine = 16;
  return p.O % std::max(kLine, gemm.lanes) == 0 && epilogue.residual != out &&
         WorthStreaming(TensorView(out, {p.tiles.N, p.tiles.OH, p.tiles.OW, p.O}), {});
}

// Of whole images the most points have as many tiles, of whole rows the runs are longest.
int64_t WinogradPlan::TilesPerUnit() const {
  const int64_t row = p.tiles.columns();
  const int64_t image = p.tiles.rows() * row;
  return image <= kMinTiles ? image : row <= kMinTiles ? row : 1;
}

// Of 16 channels about 8 tiles stay in the first-level cache from one transform to the other; more would leave less of
// it to the filter, which comes from the second-level cache for every block. Of 32 neither stays.
int64_t WinogradPlan::NarrowBlockTiles() const {
  const int64_t most = p.C * p.C / 32;
  return EvenSplit(tasks.Largest() * unit, unit < most ? most / unit * unit : most).Largest();
}

int64_t WinogradPlan::TilesPerTask() const {
  // Without the filter's padding, which depends on the target: a task's outputs are a part of the statistics.
  if (points * p.C * p.O > kWinogradLargeFloats) return kManyTiles;
  return std::clamp(kTaskFloats / (points * p.C), kMinTiles, kMaxTiles);
}

int64_t WinogradPlan::PanelsPerGroup() const {
  if (!p.packed) return 1;
  return tasks.count >= kMinTasks ? panels.count() : std::max<int64_t>(1, panels.count() * tasks.count / kManyTasks);
}

}  // namespace hwynn
