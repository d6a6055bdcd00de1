// Stride-1 3×3 convolutions by Winograd's F(m×m,3×3): tiles of the input are transformed, (m+2)² small matrix products
// go through the micro-kernels of the direct algorithm, outputs are transformed back. Backward-input is the same
// convolution over grad_output, with the filter turned by 180° and transposed.

#include <hwy/cache_control.h>

#include <algorithm>
#include <optional>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d_algorithms.h"
#include "hwynn/kernels/conv2d_statistics.h"
#include "hwynn/kernels/flat.h"
#include "hwynn/kernels/winograd_tiles.h"

namespace hwynn {
namespace {

// One convolution as this algorithm sees it: `in` [N,H,W,C] and `out` [N,OH,OW,O].
struct Problem {
  WinogradTiles tiles;
  const float* in;
  float* out;
  int64_t C, O;
  WinogradPrologue prologue;
  TileEpilogue epilogue;  // statistics: see Run
};

// Tiles of a block. Up to kCachedFloats a transformed filter stays in the second-level cache beside them: then their
// number is what fits there too. A larger one passes through for every block: then 64 tiles are worth more than their
// place in the cache, since they are read and written one point at a time.
constexpr int64_t kBlockFloats = int64_t{1} << 16;
constexpr int64_t kMinTiles = 28;
constexpr int64_t kMaxTiles = 112;
constexpr int64_t kManyTiles = 64;
constexpr int64_t kCachedFloats = int64_t{1} << 18;
constexpr int64_t kLargeFloats = int64_t{1} << 20;
// With fewer blocks than this, each one's products are spread over tasks, at least kMinTasks in all.
constexpr int64_t kMinBlocks = 4;
constexpr int64_t kMinTasks = 8;

// How a convolution is cut: by its shape alone.
struct Plan {
  Plan(const Problem& p, const GemmTiles& gemm)
      : points((p.tiles.m + 2) * (p.tiles.m + 2)),
        pitch(gemm.PaddedColumns(p.O)),
        filter_floats(points * p.C * pitch),
        blocks(p.tiles.count(), TilesPerBlock(p)),
        groups((pitch + gemm.panel() - 1) / gemm.panel(), PanelsPerGroup(gemm)),
        columns(std::min(pitch, groups.Largest() * gemm.panel())),
        in_stride(WinogradStride(blocks.Largest(), p.C)),
        out_stride(WinogradStride(blocks.Largest(), columns)) {}

  WinogradBlock Block(const Problem& p, int64_t i) const {
    return {p.tiles, blocks.Begin(i), blocks.End(i) - blocks.Begin(i)};
  }
  int64_t in_floats() const { return points * in_stride; }
  int64_t out_floats() const { return points * out_stride; }

  int64_t points;
  int64_t pitch;          // columns of the transformed filter
  int64_t filter_floats;  // of it
  EvenSplit blocks;       // tiles
  EvenSplit groups;       // panels
  int64_t columns;        // of a group, at most
  int64_t in_stride;      // between the points of transformed inputs [tile][C]
  int64_t out_stride;     // and of products [tile][columns]

 private:
  int64_t TilesPerBlock(const Problem& p) const {
    if (filter_floats > kLargeFloats) return kManyTiles;
    return std::clamp(kBlockFloats / (points * p.C), kMinTiles, kMaxTiles);
  }
  int64_t PanelsPerGroup(const GemmTiles& gemm) const {
    const int64_t panels = (pitch + gemm.panel() - 1) / gemm.panel();
    return blocks.count >= kMinBlocks ? panels : std::max<int64_t>(1, panels * blocks.count / kMinTasks);
  }
};

// Channels [c0, c1) of a block's inputs.
void TransformInput(const Problem& p, const Plan& plan, const WinogradBlock& block, int64_t c0, int64_t c1, float* to) {
  const WinogradTransforms& transforms = CurrentWinogradTransforms(p.tiles.m);
  WinogradPrologue prologue = p.prologue;
  if (prologue.scale != nullptr) prologue.scale += c0, prologue.shift += c0;
  for (const WinogradTile& tile : block.tiles()) {
    transforms.input(tile.down, tile.across)(p.tiles.Input(tile, p.in + c0, p.C), prologue, c1 - c0,
                                             to + tile.slot * p.C + c0, plan.in_stride);
  }
}

// Large outputs that are stored as whole cache lines.
bool WorthStreaming(const Problem& p, const GemmTiles& gemm) {
  const TensorView out(p.out, {p.tiles.N, p.tiles.OH, p.tiles.OW, p.O});
  constexpr int64_t kLine = 16;
  return p.O % std::max(kLine, gemm.lanes) == 0 && p.epilogue.residual != p.out && WorthStreaming(out, {});
}

// Output channels [o0, o1) from a block's products.
void TransformOutput(const Problem& p, const Plan& plan, const WinogradBlock& block, int64_t o0, int64_t o1,
                     float* statistics, const float* from) {
  const WinogradTransforms& transforms = CurrentWinogradTransforms(p.tiles.m);
  const bool stream = WorthStreaming(p, CurrentGemmTiles());
  TileEpilogue epilogue = p.epilogue;
  for (const float** array : {&epilogue.scale, &epilogue.bias, &epilogue.residual}) {
    if (*array != nullptr) *array += o0;
  }
  if (statistics != nullptr) epilogue.statistics = statistics + o0;
  epilogue.first_statistics = true;
  for (const WinogradTile& tile : block.tiles()) {
    transforms.output(tile.down, tile.across)(from + tile.slot * plan.columns, plan.out_stride, o1 - o0, epilogue,
                                              stream, p.tiles.Output(tile, p.out + o0, p.O));
    epilogue.first_statistics = false;
  }
  if (stream) hwy::FlushStream();
}

// Appends the filter of a point's products, `floats` of it, that come from beyond the second-level cache. A fetch from
// there holds one of the core's few line buffers, which the running products need too, for a long time. With many tiles
// there is room for all lines; with few, only for the first ones of each page, from which the hardware's own prefetcher
// goes on.
void AppendFilter(const float* filter, int64_t floats, int64_t tiles, std::vector<PrefetchStream::Piece>& pieces) {
  constexpr int64_t kPageFloats = 1024;
  constexpr int64_t kFirstFloats = 128;
  if (tiles > 42) {
    pieces.push_back({filter, floats});
    return;
  }
  for (int64_t i = 0; i < floats; i += kPageFloats) pieces.push_back({filter + i, std::min(kFirstFloats, floats - i)});
}

// Panels [panel0, panel1) of a block's products. `filter` is [point][panel][c][panel columns]. Fetches the pieces
// `wanted` meanwhile.
void Multiply(const Problem& p, const Plan& plan, const WinogradBlock& block, const float* filter, int64_t panel0,
              int64_t panel1, const std::vector<PrefetchStream::Piece>& wanted, const float* in, float* out) {
  const GemmTiles& gemm = CurrentGemmTiles();
  const int64_t o0 = panel0 * gemm.panel();
  const int64_t o1 = std::min(plan.pitch, panel1 * gemm.panel());
  const TileRun run{0, 0, p.C};
  ForwardTileArgs args{};
  args.lda = p.C;
  args.runs = &run;
  args.num_runs = 1;
  args.ldc = plan.columns;
  std::vector<PrefetchStream::Piece> pieces;
  for (int64_t point = 0; point < plan.points; ++point) {
    const auto [slot0, slot1] = block.Slots(point);
    if (slot0 == slot1) continue;
    pieces.clear();
    if (plan.filter_floats > kCachedFloats && point + 1 < plan.points) {
      AppendFilter(filter + ((point + 1) * plan.pitch + o0) * p.C, (o1 - o0) * p.C, slot1 - slot0, pieces);
    }
    for (const PrefetchStream::Piece& piece : wanted) AppendShare(piece, point, plan.points, pieces);
    PrefetchStream fetch(pieces, (slot1 - slot0) * (panel1 - panel0) * p.C / gemm.MaxRows(gemm.PanelVectors(o1 - o0)));
    args.prefetch = &fetch;
    for (int64_t column = o0; column < o1; column += gemm.panel()) {
      const int64_t vectors = gemm.PanelVectors(o1 - column);
      const EvenSplit rows(slot1 - slot0, gemm.MaxRows(vectors));
      args.b = filter + (point * plan.pitch + column) * p.C;
      args.columns = vectors * gemm.lanes;  // the padding too: whole vectors
      for (int64_t i = 0; i < rows.count; ++i) {
        const int64_t slot = slot0 + rows.Begin(i);
        args.a = in + point * plan.in_stride + slot * p.C;
        args.c = out + point * plan.out_stride + slot * plan.columns + column - o0;
        gemm.forward[vectors - 1][rows.End(i) - rows.Begin(i) - 1](args);
      }
    }
  }
}

// A task is a block. It fetches the next one's input, and the lines of its own output.
void RunBlocks(const Problem& p, const Plan& plan, const float* filter, OutputStatistics* statistics) {
  ParallelForWithScratch(plan.blocks.count, plan.in_floats() + plan.out_floats(), [&](int64_t task, float* in) {
    const WinogradTiles& tiles = p.tiles;
    const int64_t begin = plan.blocks.Begin(task);
    const int64_t end = plan.blocks.End(task);
    std::vector<PrefetchStream::Piece> wanted;
    if (!WorthStreaming(p, CurrentGemmTiles())) {
      wanted.push_back(
          {p.out + tiles.FirstOutput(begin) * p.O, (tiles.EndOutput(end) - tiles.FirstOutput(begin)) * p.O});
    }
    if (task + 1 < plan.blocks.count) {
      const int64_t next_end = plan.blocks.End(task + 1);
      wanted.push_back({p.in + tiles.FirstInput(end) * p.C, (tiles.EndInput(next_end) - tiles.FirstInput(end)) * p.C});
    }
    const WinogradBlock block = plan.Block(p, task);
    float* out = in + plan.in_floats();
    TransformInput(p, plan, block, 0, p.C, in);
    Multiply(p, plan, block, filter, 0, plan.groups.total, wanted, in, out);
    TransformOutput(p, plan, block, 0, p.O, statistics != nullptr ? statistics->Part(task) : nullptr, out);
  });
}

// Few blocks: slices of their channels are transformed by tasks of their own, groups of their products multiplied.
void RunGroups(const Problem& p, const Plan& plan, const float* filter, OutputStatistics* statistics,
               const Workspace& workspace) {
  constexpr int64_t kSlice = 64;
  const EvenSplit slices(p.C, kSlice);
  Tensor in = workspace.NewTensor({plan.blocks.count, plan.in_floats()});
  ParallelFor(plan.blocks.count * slices.count, [&](int64_t task) {
    const int64_t block = task / slices.count;
    const int64_t slice = task % slices.count;
    TransformInput(p, plan, plan.Block(p, block), slices.Begin(slice), slices.End(slice),
                   in.data() + block * plan.in_floats());
  });
  ParallelForWithScratch(plan.blocks.count * plan.groups.count, plan.out_floats(), [&](int64_t task, float* out) {
    const int64_t i = task / plan.groups.count;
    const int64_t panel0 = plan.groups.Begin(task % plan.groups.count);
    const int64_t panel1 = plan.groups.End(task % plan.groups.count);
    const int64_t panel = CurrentGemmTiles().panel();
    const WinogradBlock block = plan.Block(p, i);
    Multiply(p, plan, block, filter, panel0, panel1, {}, in.data() + i * plan.in_floats(), out);
    TransformOutput(p, plan, block, panel0 * panel, std::min(p.O, panel1 * panel),
                    statistics != nullptr ? statistics->Part(i) : nullptr, out);
  });
}

// `mean` and `var` may be empty.
void Run(Problem p, const float* filter, TensorView mean, TensorView var, const Workspace& workspace) {
  const Plan plan(p, CurrentGemmTiles());
  std::optional<OutputStatistics> statistics;
  if (mean.size() != 0) {
    statistics.emplace(plan.blocks.count, p.O, workspace);
    p.epilogue.statistics_stride = statistics->stride();
  }
  if (plan.groups.count > 1) {
    RunGroups(p, plan, filter, statistics ? &*statistics : nullptr, workspace);
  } else {
    RunBlocks(p, plan, filter, statistics ? &*statistics : nullptr);
  }
  if (statistics) {
    statistics->Merge([&](int64_t part) { return plan.Block(p, part).outputs(p.tiles); }, mean, var);
  }
}

// taps [3,3,C,O] → [point][panel][c][panel columns], padded with zeros.
void PackFilter(const WinogradTransforms& transforms, const float* taps, int64_t C, int64_t O, float* packed) {
  const GemmTiles& gemm = CurrentGemmTiles();
  const int64_t points = transforms.inputs * transforms.inputs;
  const int64_t pitch = gemm.PaddedColumns(O);
  const int64_t panels = (O + gemm.panel() - 1) / gemm.panel();
  const EvenSplit rows(C, 16);
  // Through a scratch array: the points of one (c, o) are megabytes apart, often a power of two.
  const int64_t stride = WinogradStride(rows.Largest(), gemm.panel());
  ParallelForWithScratch(panels * rows.count, points * stride, [&](int64_t task, float* scratch) {
    const int64_t column = task / rows.count * gemm.panel();
    const int64_t width = gemm.PanelVectors(O - column) * gemm.lanes;
    const int64_t columns = std::min(width, O - column);
    const int64_t c0 = rows.Begin(task % rows.count);
    const int64_t c1 = rows.End(task % rows.count);
    if (columns < width) std::fill_n(scratch, points * stride, 0.0f);
    for (int64_t c = c0; c < c1; ++c) {
      transforms.filter(taps + c * O + column, C * O, columns, scratch + (c - c0) * width, stride);
    }
    for (int64_t point = 0; point < points; ++point) {
      std::copy_n(scratch + point * stride, (c1 - c0) * width, packed + (point * pitch + column) * C + c0 * width);
    }
  });
}

}  // namespace

const char* WinogradDeclines(const Conv2dGeometry& g) {
  if (g.KH != 3 || g.KW != 3 || g.stride_h != 1 || g.stride_w != 1 || g.dilation_h != 1 || g.dilation_w != 1) {
    return "not a 3x3 filter with stride and dilation 1";
  }
  if (g.groups != 1) return "groups";
  if (g.pad_top > 2 || g.pad_left > 2 || g.pad_bottom > 2 || g.pad_right > 2) return "padding beyond the filter";
  return nullptr;
}

namespace {

// What a convolution costs, in multiplications. Besides its products, as measured on one core:
// * A float of the filter takes as long to come from beyond the second-level cache as about 15 products.
// * Each point's sums are started and stored by themselves, for as much as 16 steps of the sum.
// * A transform takes about 10 multiplications' time a point and channel, more than half of it loads and stores.
constexpr double kProductsPerFloat = 15;
constexpr double kProductsPerSum = 16;
constexpr double kProductsPerTransform = 10;

double DirectCost(const Conv2dGeometry& g) {
  return 9 * static_cast<double>(g.IC * g.OC) * (static_cast<double>(g.N * g.OH * g.OW) + kProductsPerFloat);
}

double WinogradCost(const Conv2dGeometry& g, int64_t m) {
  const WinogradTiles tiles{g.N, g.IH, g.IW, g.OH, g.OW, g.pad_top, g.pad_left, m};
  const auto points = static_cast<double>(g.N * tiles.Points(g.OH) * tiles.Points(g.OW));
  const auto C = static_cast<double>(g.IC);
  const auto O = static_cast<double>(g.OC);
  const auto filter = static_cast<double>((m + 2) * (m + 2)) * C * O;
  return points * ((C + kProductsPerSum) * O + kProductsPerTransform * (C + O)) + kProductsPerFloat * filter;
}

}  // namespace

// At batch 1 the 512-channel layers on 7×7 have four tiles for 38 MB of filter: better with smaller tiles.
template <int kOutputs>
const char* WinogradDoesNotPay(const Conv2dGeometry& g) {
  if (const char* reason = WinogradDeclines(g)) return reason;
  const double cost = WinogradCost(g, kOutputs);
  if (cost >= DirectCost(g)) return "the transforms and the larger filter cost more than they save";
  if (kOutputs == 4 && cost >= WinogradCost(g, 2)) return "smaller tiles cost less";
  return nullptr;
}

template <int kOutputs>
int64_t WinogradPackedFloats(Conv2dPass pass, const Conv2dGeometry& g) {
  constexpr int64_t kPoints = (kOutputs + 2) * (kOutputs + 2);
  const bool forward = pass == Conv2dPass::kForward;
  return kPoints * (forward ? g.IC : g.OC) * CurrentGemmTiles().PaddedColumns(forward ? g.OC : g.IC);
}

template <int kOutputs>
void WinogradPackFilter(Conv2dPass pass, const Conv2dGeometry& g, const float* filter, float* packed,
                        const Workspace& workspace) {
  const WinogradTransforms& transforms = CurrentWinogradTransforms(kOutputs);
  if (pass == Conv2dPass::kForward) {
    PackFilter(transforms, filter, g.IC, g.OC, packed);
    return;
  }
  Tensor turned = workspace.NewTensor({9 * g.OC * g.IC});
  const EvenSplit rows(g.OC, 16);
  ParallelFor(9 * rows.count, [&](int64_t task) {
    const int64_t tap = task / rows.count;
    const float* from = filter + (8 - tap) * g.IC * g.OC;
    float* to = turned.data() + tap * g.OC * g.IC;
    for (int64_t c = 0; c < g.IC; ++c) {
      for (int64_t o = rows.Begin(task % rows.count); o < rows.End(task % rows.count); ++o) {
        to[o * g.IC + c] = from[c * g.OC + o];
      }
    }
  });
  PackFilter(transforms, turned.data(), g.OC, g.IC, packed);
}

template <int kOutputs>
void WinogradForward(const Conv2dGeometry& g, const float* input, const float* packed, float* output,
                     const Workspace& workspace, const Conv2dOptions& options) {
  const auto data = [](ConstTensorView view) { return view.size() != 0 ? view.data() : nullptr; };
  const Conv2dPrologue& prologue = options.prologue;
  const Conv2dEpilogue& epilogue = options.epilogue;
  Run({.tiles = {g.N, g.IH, g.IW, g.OH, g.OW, g.pad_top, g.pad_left, kOutputs},
       .in = input,
       .out = output,
       .C = g.IC,
       .O = g.OC,
       .prologue = {data(prologue.scale), data(prologue.shift), prologue.relu},
       .epilogue = {data(epilogue.scale), data(epilogue.bias), data(epilogue.residual), epilogue.relu}},
      packed, epilogue.mean, epilogue.var, workspace);
}

template <int kOutputs>
void WinogradBackwardInput(const Conv2dGeometry& g, const float* grad_output, const float* packed, float* grad_input,
                           const Workspace& workspace) {
  Run({.tiles = {g.N, g.OH, g.OW, g.IH, g.IW, 2 - g.pad_top, 2 - g.pad_left, kOutputs},
       .in = grad_output,
       .out = grad_input,
       .C = g.OC,
       .O = g.IC,
       .prologue = {},
       .epilogue = {}},
      packed, {}, {}, workspace);
}

#define HWYNN_INSTANTIATE(kOutputs)                                                                                    \
  template const char* WinogradDoesNotPay<kOutputs>(const Conv2dGeometry&);                                            \
  template int64_t WinogradPackedFloats<kOutputs>(Conv2dPass, const Conv2dGeometry&);                                  \
  template void WinogradPackFilter<kOutputs>(Conv2dPass, const Conv2dGeometry&, const float*, float*,                  \
                                             const Workspace&);                                                        \
  template void WinogradForward<kOutputs>(const Conv2dGeometry&, const float*, const float*, float*, const Workspace&, \
                                          const Conv2dOptions&);                                                       \
  template void WinogradBackwardInput<kOutputs>(const Conv2dGeometry&, const float*, const float*, float*,             \
                                                const Workspace&);
HWYNN_INSTANTIATE(2)
HWYNN_INSTANTIATE(4)
#undef HWYNN_INSTANTIATE

}  // namespace hwynn
