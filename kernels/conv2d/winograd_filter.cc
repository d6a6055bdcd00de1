// Backward-filter by Winograd's F(m×m,3×3): dF = Gᵀ[Σ_tiles (Bᵀ·d·B) ⊙ (A·dy·Aᵀ)]G, the transpose of the forward
// algorithm: for each point the matrix product of transformed inputs and transformed gradients, summed over tiles.

#include <algorithm>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/chunks.h"
#include "hwynn/kernels/conv2d/winograd_tiles.h"

namespace hwynn {
namespace {

struct Operands {
  WinogradTiles tiles;
  int64_t C, O;
  const float* input;        // [N,H,W,C]
  const float* grad_output;  // [N,OH,OW,O]
  const float* zeros;        // NewZeros
  const GemmTiles& gemm;
  const WinogradTransforms& transforms;

  int64_t points() const { return transforms.inputs * transforms.inputs; }
};

// Transformed inputs (a) and gradients (b) of some tiles: element (point, slot, channel) at point·stride + slot·pitch +
// channel.
struct Transformed {
  float* a;
  int64_t a_pitch, a_stride;
  float* b;
  int64_t b_pitch, b_stride;
};

void TransformRun(const Operands& op, const WinogradRun& run, int64_t c0, int64_t c1, int64_t o0, int64_t o1,
                  const Transformed& to) {
  op.transforms.input(run.down, run.across)(op.tiles.Input(run, op.input + c0, op.C, op.zeros), {}, c1 - c0,
                                            {to.a + run.slot * to.a_pitch, to.a_stride, to.a_pitch});
  op.transforms.gradient(run.down, run.across)(op.tiles.Output(run, op.grad_output + o0, op.O, op.zeros), o1 - o0,
                                               {to.b + run.slot * to.b_pitch, to.b_stride, to.b_pitch});
}

// Tiles are "pixels" of the micro-kernel, `row` has their number.
FilterTileArgs TileArgs(const Transformed& operands, const PixelRow& row) {
  FilterTileArgs args{};
  args.a_stride = operands.a_pitch;
  args.b_stride = operands.b_pitch;
  args.rows = &row;
  args.num_rows = 1;
  return args;
}

// Block by block: 64 × 64 channels' sums of all points are 590 KB, those of the transformed tiles of a block each 260
// KB, so that all stay in the second-level cache. Tasks own such a slice and a chunk of the tiles; chunks are fixed by
// the shape, each makes a gradient of its own, and these are added in order.
constexpr int64_t kSliceChannels = 64;
constexpr int64_t kBlockTiles = 28;
constexpr int64_t kMinChunkTiles = 64;
constexpr int64_t kMinTasks = 8;

struct BlockPlan {
  explicit BlockPlan(const Operands& op)
      : narrow(CurrentWinogradNarrow(op.C, op.gemm.PaddedColumns(op.O))),
        inputs(op.C, kSliceChannels),
        outputs(CeilDiv(op.O, op.gemm.panel()), std::max<int64_t>(1, kSliceChannels / op.gemm.panel())),
        columns(std::min(outputs.Largest() * op.gemm.panel(), op.gemm.PaddedColumns(op.O))),
        chunks(op.tiles.count(), ChunkTiles(op.tiles.count())),
        a_stride(WinogradStride(kBlockTiles, inputs.Largest())),
        b_stride(WinogradStride(kBlockTiles, columns)),
        sums(op.points() * inputs.Largest() * columns) {}

  int64_t tasks() const { return chunks.count * inputs.count * outputs.count; }
  int64_t ScratchBytes(const Operands& op) const {
    return Scratch::Bytes<float>(op.points() * a_stride) + Scratch::Bytes<float>(op.points() * b_stride) +
           Scratch::Bytes<float>(sums);
  }

  const WinogradNarrow& narrow;  // for few channels, of which one slice has all
  EvenSplit inputs;              // channels
  EvenSplit outputs;             // panels
  int64_t columns;               // of a slice's panels
  EvenSplit chunks;              // tiles
  int64_t a_stride, b_stride;
  int64_t sums;  // floats

 private:
  int64_t ChunkTiles(int64_t tiles) const {
    const int64_t wanted = std::min(kMinTasks / (inputs.count * outputs.count), tiles / kMinChunkTiles);
    const int64_t chunks = std::max<int64_t>(wanted, 1);
    return CeilDiv(tiles, chunks);
  }
};

// Appends the memory of channels [c0, c1) of pixels [begin, end).
void AppendPixels(const float* data, int64_t begin, int64_t end, int64_t channels, int64_t c0, int64_t c1,
                  std::vector<PrefetchPiece>& pieces) {
  if (begin >= end) return;
  if (c1 - c0 == channels) {
    pieces.push_back(Piece(data + begin * channels, (end - begin) * channels));
  } else {
    pieces.push_back(Piece(data + begin * channels + c0, c1 - c0, end - begin, channels));
  }
}

// sums [panel][point][c][panel columns] (+)= the products of a block's tiles, in channels of [c0, c1) and [o0, o1).
void MultiplyBlock(const Operands& op, const BlockPlan& plan, const WinogradBlock& block, int64_t channels, int64_t o0,
                   int64_t o1, const Transformed& transformed, bool accumulate,
                   const std::vector<PrefetchPiece>& wanted, float* sums) {
  const int64_t points = op.points();
  PixelRow row{};
  FilterTileArgs args = TileArgs(transformed, row);
  PrefetchStream fetch(
      wanted, points * block.tiles() * channels / op.gemm.MaxRows(op.gemm.max_vectors) * plan.outputs.Largest());
  args.prefetch = &fetch;
  for (int64_t column = o0; column < o1; column += op.gemm.panel()) {
    const int64_t vectors = op.gemm.PanelVectors(o1 - column);
    const EvenSplit rows(channels, op.gemm.MaxRows(vectors));
    args.columns = vectors * op.gemm.lanes;
    args.add_pitch = args.ldc = args.columns;
    for (int64_t point = 0; point < points; ++point, sums += channels * args.ldc) {
      const auto [slot0, slot1] = block.Slots(point / op.transforms.inputs, point % op.transforms.inputs);
      row.pixels = slot1 - slot0;
      args.b = transformed.b + point * plan.b_stride + slot0 * plan.columns + column - o0;
      for (int64_t i = 0; i < rows.count; ++i) {
        args.a = transformed.a + point * plan.a_stride + slot0 * channels + rows.Begin(i);
        args.c = sums + rows.Begin(i) * args.ldc;
        args.add = accumulate ? args.c : nullptr;
        op.gemm.filter[vectors - 1][rows.End(i) - rows.Begin(i) - 1](args);
      }
    }
  }
}

// The same for few channels.
void MultiplyNarrow(const Operands& op, const BlockPlan& plan, const WinogradBlock& block,
                    const Transformed& transformed, bool accumulate, const std::vector<PrefetchPiece>& wanted,
                    float* sums) {
  WinogradNarrowArgs args{};
  args.a_stride = plan.a_stride;
  args.b_stride = plan.b_stride;
  args.c_stride = op.C * plan.columns;
  args.accumulate = accumulate;
  for (size_t i = 0; i < wanted.size(); ++i) args.fetch[i] = {wanted[i], op.points() * block.tiles()};
  for (int64_t i = 0; i < op.transforms.inputs; ++i) {
    for (int64_t j = 0, end; j < op.transforms.inputs; j = end) {
      end = block.EndOfPoints(op.tiles, j);
      const int64_t point = i * op.transforms.inputs + j;
      const auto [slot0, slot1] = block.Slots(i, j);
      args.a = transformed.a + point * plan.a_stride + slot0 * op.C;
      args.b = transformed.b + point * plan.b_stride + slot0 * plan.columns;
      args.c = sums + point * args.c_stride;
      args.points = end - j;
      args.tiles = slot1 - slot0;
      plan.narrow.gradient(args);
    }
  }
}

void RunBlockTask(const Operands& op, const BlockPlan& plan, int64_t task, Scratch scratch,
                  ChunkedGradient& gradients) {
  const int64_t chunk = task / (plan.inputs.count * plan.outputs.count);
  const int64_t c0 = plan.inputs.Begin(task / plan.outputs.count % plan.inputs.count);
  const int64_t c1 = plan.inputs.End(task / plan.outputs.count % plan.inputs.count);
  const int64_t o0 = plan.outputs.Begin(task % plan.outputs.count) * op.gemm.panel();
  const int64_t o1 = std::min(op.O, plan.outputs.End(task % plan.outputs.count) * op.gemm.panel());
  const int64_t points = op.points();
  const Transformed transformed{.a = scratch.Take<float>(points * plan.a_stride),
                                .a_pitch = c1 - c0,
                                .a_stride = plan.a_stride,
                                .b = scratch.Take<float>(points * plan.b_stride),
                                .b_pitch = plan.columns,
                                .b_stride = plan.b_stride};
  float* sums = scratch.Take<float>(plan.sums);
  // Columns beyond O are multiplied too.
  if (plan.columns > o1 - o0) std::fill_n(transformed.b, points * plan.b_stride, 0.0f);

  const int64_t first = plan.chunks.Begin(chunk);
  const EvenSplit blocks(plan.chunks.End(chunk) - first, kBlockTiles);
  WinogradBlock block(op.tiles, first);
  std::vector<PrefetchPiece> wanted;
  for (int64_t b = 0; b < blocks.count; ++b) {
    const int64_t end = first + blocks.End(b);
    block.Next(op.tiles, blocks.End(b) - blocks.Begin(b));
    for (const WinogradRun& run : block.runs()) TransformRun(op, run, c0, c1, o0, o1, transformed);
    wanted.clear();
    if (b + 1 < blocks.count) {
      const int64_t next = first + blocks.End(b + 1);
      AppendPixels(op.input, op.tiles.FirstInput(end), op.tiles.EndInput(next), op.C, c0, c1, wanted);
      AppendPixels(op.grad_output, op.tiles.FirstOutput(end), op.tiles.EndOutput(next), op.O, o0, o1, wanted);
    }
    if (plan.narrow.rows != 0) {
      MultiplyNarrow(op, plan, block, transformed, b > 0, wanted, sums);
    } else {
      MultiplyBlock(op, plan, block, c1 - c0, o0, o1, transformed, b > 0, wanted, sums);
    }
  }
  float* gradient = gradients.Chunk(chunk);
  for (int64_t column = o0; column < o1; column += op.gemm.panel()) {
    const int64_t columns = op.gemm.PanelVectors(o1 - column) * op.gemm.lanes;
    for (int64_t c = c0; c < c1; ++c, sums += columns) {
      op.transforms.filter_gradient(sums, (c1 - c0) * columns, std::min(columns, o1 - column),
                                    gradient + c * op.O + column, op.C * op.O);
    }
    sums += (points - 1) * (c1 - c0) * columns;
  }
}

void RunByBlocks(const Operands& op, float* grad_filter, const Workspace& workspace) {
  const BlockPlan plan(op);
  const int64_t floats = 9 * op.C * op.O;
  ChunkedGradient gradients(plan.chunks.count, floats, grad_filter, workspace);
  ParallelForWithScratch(plan.tasks(), plan.ScratchBytes(op),
                         [&](int64_t task, Scratch scratch) { RunBlockTask(op, plan, task, scratch, gradients); });
  gradients.Add();
}

// Point by point, for more channels: as slices their tiles would be transformed too often, in one piece their sums
// would pass through the cache with every block. Instead many tiles are transformed at once, and each point is one
// matrix product whose operands and sums the second-level cache holds, fetched during the product before.
constexpr int64_t kByPointsChannels = 128 * 128;
constexpr int64_t kPassFloats = int64_t{1} << 23;  // of tiles transformed at once: 32 MB, in the third-level cache
// Tiles summed in registers: their gradients of one panel stay in the first-level cache.
constexpr int64_t kProductTiles = 224;

// An odd number of cache lines, so that neighbouring tiles don't share the sets of the first-level cache.
int64_t OddLines(int64_t floats) { return (CeilDiv(floats, 16) | 1) * 16; }

// sums[c][columns] (+)= the product of one point, over a block's tiles.
void MultiplyPoint(const Operands& op, const Transformed& operands, const WinogradBlock& block, int64_t point,
                   bool accumulate, int64_t columns, float* sums) {
  const auto [slot0, slot1] = block.Slots(point / op.transforms.inputs, point % op.transforms.inputs);
  if (slot0 == slot1) {
    if (!accumulate) std::fill_n(sums, op.C * columns, 0.0f);
    return;
  }
  const EvenSplit blocks(slot1 - slot0, kProductTiles);
  const EvenSplit rows(op.C, op.gemm.MaxRows(op.gemm.PanelVectors(op.O)));
  const int64_t panels = CeilDiv(op.O, op.gemm.panel());
  const bool last = point + 1 == op.points();
  const PrefetchPiece next_a = Piece(operands.a + (point + 1) * operands.a_stride, operands.a_stride);
  const PrefetchPiece next_b = Piece(operands.b + (point + 1) * operands.b_stride, operands.b_stride);
  PixelRow row{};
  FilterTileArgs args = TileArgs(operands, row);
  args.add_pitch = args.ldc = columns;
  std::vector<PrefetchPiece> pieces;
  for (int64_t b = 0; b < blocks.count; ++b) {
    const int64_t slot = slot0 + blocks.Begin(b);
    row.pixels = blocks.End(b) - blocks.Begin(b);
    for (int64_t i = 0; i < rows.count; ++i) {
      const int64_t c = rows.Begin(i);
      pieces.clear();
      if (!last) {
        AppendShare(next_a, b * rows.count + i, blocks.count * rows.count, pieces);
        AppendShare(next_b, b * rows.count + i, blocks.count * rows.count, pieces);
      }
      if (i + 1 < rows.count) {
        pieces.push_back(Piece(sums + rows.End(i) * columns, rows.Size(i + 1) * columns));
      }
      PrefetchStream fetch(pieces, panels * row.pixels);
      args.prefetch = &fetch;
      for (int64_t column = 0; column < op.O; column += op.gemm.panel()) {
        const int64_t vectors = op.gemm.PanelVectors(op.O - column);
        args.columns = vectors * op.gemm.lanes;
        args.a = operands.a + point * operands.a_stride + slot * operands.a_pitch + c;
        args.b = operands.b + point * operands.b_stride + slot * operands.b_pitch + column;
        args.c = sums + c * columns + column;
        args.add = accumulate || b > 0 ? args.c : nullptr;
        op.gemm.filter[vectors - 1][rows.End(i) - c - 1](args);
      }
    }
  }
}

void RunByPoints(const Operands& op, float* grad_filter, const Workspace& workspace) {
  const int64_t points = op.points();
  const int64_t columns = op.gemm.PaddedColumns(op.O);
  const int64_t a_pitch = OddLines(op.C);
  const int64_t b_pitch = OddLines(columns);
  const EvenSplit passes(op.tiles.count(), std::max<int64_t>(1, kPassFloats / (points * (a_pitch + b_pitch))));
  const int64_t a_stride = WinogradStride(passes.Largest(), a_pitch);
  const int64_t b_stride = WinogradStride(passes.Largest(), b_pitch);
  const int64_t sums_stride = WinogradStride(op.C, columns);
  Tensor a = workspace.NewTensor({points, a_stride});
  Tensor b = workspace.NewTensor({points, b_stride});
  Tensor sums = workspace.NewTensor({points, sums_stride});
  const Transformed transformed{a.data(), a_pitch, a_stride, b.data(), b_pitch, b_stride};
  for (int64_t pass = 0; pass < passes.count; ++pass) {
    const WinogradBlock block(op.tiles, passes.Begin(pass), passes.End(pass) - passes.Begin(pass));
    const EvenSplit parts(static_cast<int64_t>(block.runs().size()), 8);
    ParallelFor(parts.count, [&](int64_t part) {
      for (int64_t i = parts.Begin(part); i < parts.End(part); ++i) {
        const WinogradRun& run = block.runs()[static_cast<size_t>(i)];
        // Columns beyond O are multiplied too.
        for (int64_t p = 0; p < points && columns > op.O; ++p) {
          float* padding = b.data() + p * b_stride + run.slot * b_pitch + op.O;
          for (int64_t t = 0; t < run.tiles; ++t) std::fill_n(padding + t * b_pitch, columns - op.O, 0.0f);
        }
        TransformRun(op, run, 0, op.C, 0, op.O, transformed);
      }
    });
    ParallelFor(points, [&](int64_t point) {
      MultiplyPoint(op, transformed, block, point, pass > 0, columns, sums.data() + point * sums_stride);
    });
  }
  const EvenSplit slices(op.C, 8);
  ParallelFor(slices.count, [&](int64_t slice) {
    for (int64_t c = slices.Begin(slice); c < slices.End(slice); ++c) {
      op.transforms.filter_gradient(sums.data() + c * columns, sums_stride, op.O, grad_filter + c * op.O, op.C * op.O);
    }
  });
}

}  // namespace

template <int kOutputs>
void WinogradBackwardFilter(const Conv2dGeometry& g, const float* input, const float* grad_output, float* grad_filter,
                            const Workspace& workspace) {
  const WinogradTiles tiles{g.N, g.IH, g.IW, g.OH, g.OW, g.pad_top, g.pad_left, kOutputs};
  const Tensor zeros = tiles.NewZeros(g.IC, g.OC, workspace);
  const Operands op{
      tiles, g.IC, g.OC, input, grad_output, zeros.data(), CurrentGemmTiles(), CurrentWinogradTransforms(kOutputs)};
  if (g.IC * g.OC > kByPointsChannels) {
    RunByPoints(op, grad_filter, workspace);
  } else {
    RunByBlocks(op, grad_filter, workspace);
  }
}

template void WinogradBackwardFilter<2>(const Conv2dGeometry&, const float*, const float*, float*, const Workspace&);
template void WinogradBackwardFilter<4>(const Conv2dGeometry&, const float*, const float*, float*, const Workspace&);

}  // namespace hwynn
