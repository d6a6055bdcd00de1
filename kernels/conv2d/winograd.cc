// Stride-1 3×3 convolutions by Winograd's F(m×m,3×3): tiles of the input are transformed, (m+2)² small matrix products
// go through the micro-kernels of the direct algorithm, outputs are transformed back. Backward-input is the same
// convolution over grad_output, with the filter turned by 180° and transposed.

#include <hwy/cache_control.h>

#include <algorithm>
#include <optional>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/epilogue.h"
#include "hwynn/kernels/conv2d/statistics.h"
#include "hwynn/kernels/conv2d/winograd_plan.h"
#include "hwynn/kernels/simd/flat.h"

namespace hwynn {
namespace {

// Where a large filter meets no more tiles than this, packing it takes about as long as its products, since all of it
// goes through memory: each panel is transformed right before its products instead.
constexpr int64_t kFewTiles = 256;
// Each is a task.
constexpr int64_t kMinPanels = 8;

// Channels [c0, c1) of a block's inputs.
void TransformInput(const WinogradProblem& p, const WinogradPlan& plan, const WinogradBlock& block, int64_t c0,
                    int64_t c1, float* to) {
  const Normalization prologue = p.prologue.From(c0);
  for (const WinogradRun& run : block.runs()) {
    plan.transforms.input(run.down, run.across)(p.tiles.Input(run, p.in + c0, p.C, p.zeros), prologue, c1 - c0,
                                                {to + run.slot * p.C + c0, plan.in_stride, p.C});
  }
}

// Output channels [o0, o1) from a block's products of them. Statistics may be null.
void TransformOutput(const WinogradProblem& p, const WinogradPlan& plan, const WinogradBlock& block, int64_t o0,
                     int64_t o1, StatisticsRows* statistics, const float* from) {
  const TileEpilogue epilogue = p.epilogue.From(o0);
  for (const WinogradRun& run : block.runs()) {
    plan.transforms.output(run.down, run.across)({from + run.slot * plan.columns, plan.out_stride, plan.columns},
                                                 o1 - o0, epilogue, statistics, plan.stream,
                                                 p.tiles.Output(run, p.out + o0, p.O));
  }
}

// The same for all blocks of a part of the statistics at once: a few channels at a time, as many as wait together.
void TransformOutput(const WinogradProblem& p, const WinogradPlan& plan, const WinogradBlock& block, int64_t o0,
                     int64_t o1, const std::optional<ChannelMoments>& moments, const float* from) {
  if (!moments) return TransformOutput(p, plan, block, o0, o1, nullptr, from);
  StatisticsRows rows;
  const EvenSplit pieces(o1 - o0, StatisticsRows::kPitch);
  for (int64_t i = 0; i < pieces.count; ++i) {
    const int64_t begin = pieces.Begin(i);
    const int64_t end = pieces.End(i);
    rows.Open(moments->From(o0 + begin), end - begin);
    TransformOutput(p, plan, block, o0 + begin, o0 + end, &rows, from + begin);
    rows.Close();
  }
}

std::optional<ChannelMoments> PartOf(const std::optional<OutputStatistics>& statistics, int64_t part) {
  if (!statistics) return std::nullopt;
  return statistics->Part(part);
}

// Appends the filter of a point's products, `floats` of it, that come from beyond the second-level cache. A fetch from
// there holds one of the core's few line buffers, which the running products need too, for a long time. With many tiles
// there is room for all lines; with few, only for the first ones of each page, from which the hardware's own prefetcher
// goes on.
void AppendFilter(const float* filter, int64_t floats, int64_t tiles, std::vector<PrefetchPiece>& pieces) {
  constexpr int64_t kPageFloats = 1024;
  constexpr int64_t kFirstFloats = 128;
  if (tiles > 42) {
    pieces.push_back(Piece(filter, floats));
    return;
  }
  for (int64_t i = 0; i < floats; i += kPageFloats)
    pieces.push_back(Piece(filter + i, std::min(kFirstFloats, floats - i)));
}

// Panels [panel0, panel1) of a block's products. `filter` has them, [point][panel][c][panel columns]. Fetches the
// pieces `wanted` meanwhile.
void Multiply(const WinogradProblem& p, const WinogradPlan& plan, const WinogradBlock& block, const float* filter,
              int64_t panel0, int64_t panel1, const std::vector<PrefetchPiece>& wanted, const float* in, float* out) {
  const GemmTiles& gemm = CurrentGemmTiles();
  const int64_t o0 = panel0 * gemm.panel();
  const int64_t o1 = std::min(plan.pitch, panel1 * gemm.panel());
  const TileRun run{0, 0, p.C};
  ForwardTileArgs args{};
  args.lda = p.C;
  args.runs = &run;
  args.num_runs = 1;
  args.ldc = plan.columns;
  std::vector<PrefetchPiece> pieces;
  const int64_t inputs = p.tiles.m + 2;
  for (int64_t point = 0; point < plan.points; ++point) {
    const auto [slot0, slot1] = block.Slots(point / inputs, point % inputs);
    if (slot0 == slot1) continue;
    pieces.clear();
    if (plan.filter_floats > kWinogradCachedFloats && point + 1 < plan.points) {
      AppendFilter(filter + (point + 1) * plan.filter_stride, (o1 - o0) * p.C, slot1 - slot0, pieces);
    }
    for (const PrefetchPiece& piece : wanted) AppendShare(piece, point, plan.points, pieces);
    PrefetchStream fetch(pieces, (slot1 - slot0) * (panel1 - panel0) * p.C / gemm.MaxRows(gemm.PanelVectors(o1 - o0)));
    args.prefetch = &fetch;
    for (int64_t column = o0; column < o1; column += gemm.panel()) {
      const int64_t vectors = gemm.PanelVectors(o1 - column);
      const EvenSplit rows(slot1 - slot0, gemm.MaxRows(vectors));
      args.b = filter + point * plan.filter_stride + (column - o0) * p.C;
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

// The same for few channels. `args` has what is fetched.
void MultiplyNarrow(const WinogradProblem& p, const WinogradPlan& plan, const WinogradBlock& block, const float* in,
                    float* out, WinogradNarrowArgs& args) {
  args.a_stride = plan.in_stride;
  args.b_stride = plan.filter_stride;
  args.c_stride = plan.out_stride;
  for (int64_t i = 0; i < plan.transforms.inputs; ++i) {
    for (int64_t j = 0, end; j < plan.transforms.inputs; j = end) {
      end = block.EndOfPoints(p.tiles, j);
      const auto [slot0, slot1] = block.Slots(i, j);
      const int64_t point = i * plan.transforms.inputs + j;
      args.b = p.packed + point * args.b_stride;
      args.points = end - j;
      for (int64_t slot = slot0, rows; slot < slot1; slot += rows) {
        const int64_t left = slot1 - slot;
        rows = left <= plan.narrow.rows ? left : left >= 2 * plan.narrow.rows ? plan.narrow.rows : (left + 1) / 2;
        args.a = in + point * plan.in_stride + slot * p.C;
        args.c = out + point * plan.out_stride + slot * plan.columns;
        plan.narrow.forward[rows - 1](args);
      }
    }
  }
}

// A task fetches the next one's input, and the lines of its own output.
void RunTasks(const WinogradProblem& p, const WinogradPlan& plan, const std::optional<OutputStatistics>& statistics) {
  const WinogradTiles& tiles = p.tiles;
  const auto run_task = [&](int64_t task, Scratch scratch) {
    auto* in = scratch.Take<float>(plan.in_floats());
    auto* out = plan.in_place ? in : scratch.Take<float>(plan.out_floats());
    if (plan.in_place) in += plan.in_stride;
    const int64_t begin = plan.Begin(task);
    const int64_t end = plan.End(task);
    std::vector<PrefetchPiece> wanted;
    if (!plan.stream) {
      wanted.push_back(
          Piece(p.out + tiles.FirstOutput(begin) * p.O, (tiles.EndOutput(end) - tiles.FirstOutput(begin)) * p.O));
    }
    if (task + 1 < plan.tasks.count) {
      const int64_t next_end = plan.End(task + 1);
      wanted.push_back(
          Piece(p.in + tiles.FirstInput(end) * p.C, (tiles.EndInput(next_end) - tiles.FirstInput(end)) * p.C));
    }
    WinogradNarrowArgs args{};
    const int64_t steps =
        (end - begin) * tiles.Points(tiles.OH) * tiles.Points(tiles.OW) / (tiles.rows() * tiles.columns());
    for (size_t i = 0; i < wanted.size(); ++i) args.fetch[i] = {wanted[i], steps};
    const std::optional<ChannelMoments> moments = PartOf(statistics, task);
    StatisticsRows rows;  // of narrow blocks: a part has several of them
    if (moments && plan.narrow.rows != 0) rows.Open(*moments, p.O);
    WinogradBlock block(tiles, begin);
    for (int64_t first = begin; first < end; first += plan.block_tiles) {
      block.Next(tiles, std::min(plan.block_tiles, end - first));
      TransformInput(p, plan, block, 0, p.C, in);
      if (plan.narrow.rows != 0) {
        MultiplyNarrow(p, plan, block, in, out, args);
        TransformOutput(p, plan, block, 0, p.O, moments ? &rows : nullptr, out);
      } else {
        Multiply(p, plan, block, p.packed, 0, plan.groups.total, wanted, in, out);
        TransformOutput(p, plan, block, 0, p.O, moments, out);
      }
    }
    if (moments && plan.narrow.rows != 0) rows.Close();
    if (plan.stream) hwy::FlushStream();
  };
  ParallelForWithScratch(plan.tasks.count,
                         Scratch::Bytes<float>(plan.in_floats()) + Scratch::Bytes<float>(plan.out_floats()), run_task);
}

// Few tasks: slices of their channels are transformed by tasks of their own, groups of their products multiplied. A
// filter that isn't packed has a task for each panel, with all blocks.
void RunGroups(const WinogradProblem& p, const WinogradPlan& plan, const std::optional<OutputStatistics>& statistics,
               const Workspace& workspace) {
  constexpr int64_t kSlice = 64;
  const EvenSplit slices(p.C, kSlice);
  Tensor in = workspace.NewTensor({plan.tasks.count, plan.in_floats()});
  ParallelFor(plan.tasks.count * slices.count, [&](int64_t task) {
    const int64_t block = task / slices.count;
    const int64_t slice = task % slices.count;
    TransformInput(p, plan, plan.Tiles(p, block), slices.Begin(slice), slices.End(slice),
                   in.data() + block * plan.in_floats());
  });
  const int64_t panel = CurrentGemmTiles().panel();
  const int64_t blocks = p.packed != nullptr ? 1 : plan.tasks.count;  // of a task
  const int64_t panel_floats = p.packed != nullptr ? 0 : plan.points * plan.filter_stride;
  const int64_t tap_floats = p.packed != nullptr ? 0 : WinogradTapFloats(p.filter);
  const int64_t scratch_bytes = Scratch::Bytes<float>(plan.out_floats()) + Scratch::Bytes<float>(panel_floats) +
                                Scratch::Bytes<float>(tap_floats);
  const int64_t tasks = plan.tasks.count / blocks * plan.groups.count;
  ParallelForWithScratch(tasks, scratch_bytes, [&](int64_t task, Scratch scratch) {
    auto* out = scratch.Take<float>(plan.out_floats());
    const int64_t panel0 = plan.groups.Begin(task % plan.groups.count);
    const int64_t panel1 = plan.groups.End(task % plan.groups.count);
    const float* filter = nullptr;
    if (p.packed != nullptr) {
      filter = p.packed + panel0 * panel * p.C;
    } else {
      auto* transformed = scratch.Take<float>(panel_floats);
      TransformWinogradPanel(plan.transforms, p.filter, 0, p.C, panel0 * panel, transformed, plan.filter_stride,
                             scratch.Take<float>(tap_floats));
      filter = transformed;
    }
    for (int64_t i = task / plan.groups.count * blocks, end = i + blocks; i < end; ++i) {
      const WinogradBlock block = plan.Tiles(p, i);
      Multiply(p, plan, block, filter, panel0, panel1, {}, in.data() + i * plan.in_floats(), out);
      TransformOutput(p, plan, block, panel0 * panel, std::min(p.O, panel1 * panel), PartOf(statistics, i), out);
    }
    if (plan.stream) hwy::FlushStream();
  });
}

// `mean` and `var` may be empty.
void Run(WinogradProblem p, TensorView mean, TensorView var, const Workspace& workspace) {
  const WinogradPlan plan(p, CurrentGemmTiles());
  const Tensor zeros = p.tiles.NewZeros(p.C, p.O, workspace);
  p.zeros = zeros.data();
  std::optional<OutputStatistics> statistics;
  if (mean.size() != 0) statistics.emplace(plan.tasks.count, p.O, workspace);
  if (plan.groups.count > 1) {
    RunGroups(p, plan, statistics, workspace);
  } else {
    RunTasks(p, plan, statistics);
  }
  if (statistics) {
    statistics->Merge([&](int64_t part) { return plan.Tiles(p, part).outputs(p.tiles); }, mean, var);
  }
}

bool TransformsPanels(const WinogradProblem& p) {
  const GemmTiles& gemm = CurrentGemmTiles();
  const int64_t inputs = p.tiles.m + 2;
  return inputs * inputs * p.C * p.O > kWinogradLargeFloats && p.O >= kMinPanels * gemm.panel() &&
         p.tiles.count() <= kFewTiles;
}

WinogradProblem ForwardProblem(const Conv2dGeometry& g, int64_t m, const float* input, float* output,
                               const Conv2dPrologue& prologue, const OutputEpilogue& epilogue) {
  return {.tiles = {g.N, g.IH, g.IW, g.OH, g.OW, g.pad_top, g.pad_left, m},
          .in = input,
          .out = output,
          .C = g.IC,
          .O = g.OC,
          .prologue = MakePrologue(prologue),
          .epilogue = epilogue.tile()};
}

WinogradProblem BackwardInputProblem(const Conv2dGeometry& g, int64_t m, const float* grad_output, float* grad_input,
                                     const Conv2dOptions& options) {
  return {.tiles = {g.N, g.OH, g.OW, g.IH, g.IW, 2 - g.pad_top, 2 - g.pad_left, m},
          .in = grad_output,
          .out = grad_input,
          .C = g.OC,
          .O = g.IC,
          .prologue = {},
          .epilogue = {.norm = {}, .residual = options.accumulate ? grad_input : nullptr}};
}

}  // namespace

template <int kOutputs>
void WinogradForward(const Conv2dGeometry& g, const float* input, const float* packed, float* output,
                     const Workspace& workspace, const Conv2dOptions& options) {
  const OutputEpilogue epilogue(options.epilogue, g.OC, workspace);
  WinogradProblem p = ForwardProblem(g, kOutputs, input, output, options.prologue, epilogue);
  p.packed = packed;
  Run(p, options.epilogue.mean, options.epilogue.var, workspace);
}

template <int kOutputs>
bool WinogradForwardUnpacked(const Conv2dGeometry& g, const float* input, const float* filter, float* output,
                             const Workspace& workspace, const Conv2dOptions& options) {
  const OutputEpilogue epilogue(options.epilogue, g.OC, workspace);
  WinogradProblem p = ForwardProblem(g, kOutputs, input, output, options.prologue, epilogue);
  if (!TransformsPanels(p)) return false;
  p.filter = {filter, p.C, p.O, false};
  Run(p, options.epilogue.mean, options.epilogue.var, workspace);
  return true;
}

template <int kOutputs>
void WinogradBackwardInput(const Conv2dGeometry& g, const float* grad_output, const float* packed, float* grad_input,
                           const Workspace& workspace, const Conv2dOptions& options) {
  WinogradProblem p = BackwardInputProblem(g, kOutputs, grad_output, grad_input, options);
  p.packed = packed;
  Run(p, {}, {}, workspace);
}

template <int kOutputs>
bool WinogradBackwardInputUnpacked(const Conv2dGeometry& g, const float* grad_output, const float* filter,
                                   float* grad_input, const Workspace& workspace, const Conv2dOptions& options) {
  WinogradProblem p = BackwardInputProblem(g, kOutputs, grad_output, grad_input, options);
  if (!TransformsPanels(p)) return false;
  p.filter = {filter, p.C, p.O, true};
  Run(p, {}, {}, workspace);
  return true;
}

#define HWYNN_INSTANTIATE(outputs)                                                      \
  template decltype(WinogradForward<outputs>) WinogradForward<outputs>;                 \
  template decltype(WinogradForwardUnpacked<outputs>) WinogradForwardUnpacked<outputs>; \
  template decltype(WinogradBackwardInput<outputs>) WinogradBackwardInput<outputs>;     \
  template decltype(WinogradBackwardInputUnpacked<outputs>) WinogradBackwardInputUnpacked<outputs>;
HWYNN_INSTANTIATE(2)
HWYNN_INSTANTIATE(4)
#undef HWYNN_INSTANTIATE

}  // namespace hwynn
