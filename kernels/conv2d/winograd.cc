// Stride-1 3×3 convolutions by Winograd's F(m×m,3×3): tiles of the input are transformed, (m+2)² small matrix products
// go through the micro-kernels of the direct algorithm, outputs are transformed back. Backward-input is the same
// convolution over grad_output, with the filter rotated.

#include <hwy/cache_control.h>

#include <algorithm>
#include <optional>

#include "hwynn/core/parallel.h"
#include "hwynn/core/stack_memory.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/epilogue.h"
#include "hwynn/kernels/conv2d/gradient_parts.h"
#include "hwynn/kernels/conv2d/statistics.h"
#include "hwynn/kernels/conv2d/winograd_plan.h"

namespace hwynn {
namespace {

// Where a large filter meets no more tiles than this, packing it takes about as long as its products, since all of it
// goes through memory: each panel is transformed right before its products instead.
constexpr int64_t kFewTiles = 256;
// Each is a task.
constexpr int64_t kMinPanels = 8;
// Channels of an input that are transformed by a task of their own, where there are few tasks.
constexpr int64_t kSliceChannels = 64;

bool TransformsPanels(const WinogradProblem& p) {
  const int64_t inputs = p.tiles.m + 2;
  return inputs * inputs * p.C * p.O > kWinogradLargeFloats && p.O >= kMinPanels * CurrentGemmTiles().panel() &&
         p.tiles.count() <= kFewTiles;
}

// Appends the filter of a point's products, `floats` of it, that come from beyond the second-level cache. A fetch from
// there holds one of the core's few line buffers, which the running products need too, for a long time. With many tiles
// there is room for all lines; with few, only for the first ones of each page, from which the hardware's own prefetcher
// goes on.
void AppendFilter(const float* filter, int64_t floats, int64_t tiles, PrefetchPieces& pieces) {
  constexpr int64_t kPageFloats = 1024;
  constexpr int64_t kFirstFloats = 128;
  if (tiles > 42) {
    pieces.push_back(Piece(filter, floats));
    return;
  }
  const int64_t pages = floats / kPageFloats;
  AppendRows(Piece(filter, kFirstFloats, pages, kPageFloats), pieces);
  AppendRows(Piece(filter + pages * kPageFloats, std::min(kFirstFloats, floats % kPageFloats)), pieces);
}

// What a call brings.
struct WinogradCall {
  const float* in;
  float* out;
  const float* filter;  // packed, [point][panel][c][panel columns], or as it is: as the plan says
  const float* zeros;   // WinogradTiles::NewZeros
  Normalization prologue{};
  TileEpilogue epilogue{};
  const OutputStatistics* statistics = nullptr;  // a part is a task
  const GradientParts* gradient = nullptr;       // likewise
};

// One call of a plan.
class WinogradDriver {
 public:
  WinogradDriver(const WinogradPlan& plan, const WinogradCall& call)
      : plan_(plan), p_(plan.p), call_(call), stream_(plan.Streams(call.out, call.epilogue)) {}

  void Run(const Workspace& workspace) const;

  /// Scratch of a thread, and what a call takes of the workspace.
  static int64_t ScratchBytes(const WinogradPlan& plan);
  static int64_t TemporaryBytes(const WinogradPlan& plan);

 private:
  // A filter that isn't packed has a task for each panel, with all blocks.
  static bool InGroups(const WinogradPlan& plan) { return plan.groups.count > 1; }
  // Of a filter that isn't packed: a transformed panel, and memory to rotate it in.
  static int64_t PanelFloats(const WinogradPlan& plan) { return plan.p.packed ? 0 : plan.points * plan.filter_stride; }
  static int64_t TapFloats(const WinogradPlan& plan) { return plan.p.packed ? 0 : WinogradTapFloats(); }

  void RunTask(int64_t task, Scratch scratch) const;
  void RunGroup(const float* in, int64_t task, Scratch scratch) const;
  PrefetchPieces MemoryAhead(int64_t task, std::pmr::memory_resource* memory) const;
  std::optional<ChannelMoments> PartOf(int64_t task) const;
  // Channels of a block's inputs.
  void TransformInput(const WinogradBlock& block, Range c, float* to) const;
  // Panels of a block's products, while `ahead` is fetched. `filter` has them, [point][panel][c][panel columns].
  void Multiply(const WinogradBlock& block, Range panels, const float* filter, const PrefetchPieces& ahead,
                const float* in, float* out) const;
  // The same for few channels. `args` has what is fetched.
  void MultiplyNarrow(const WinogradBlock& block, const float* in, float* out, WinogradNarrowArgs& args) const;
  // Output channels from a block's products of them. Statistics may be null.
  void TransformOutput(const WinogradBlock& block, Range o, const float* from, StatisticsRows* statistics) const;
  // The same for all blocks of a part of the statistics at once.
  void TransformOutput(const WinogradBlock& block, Range o, const float* from,
                       const std::optional<ChannelMoments>& moments) const;
  // The same with a gradient's epilogue: tile by tile, of as many channels as `sums` takes, and of all in a part.
  void TransformGradient(const WinogradBlock& block, Range o, const float* from, GradientSums& sums) const;
  void TransformGradient(const WinogradBlock& block, Range o, const float* from, int64_t part) const;

  const WinogradPlan& plan_;
  const WinogradProblem& p_;
  const WinogradCall& call_;
  const bool stream_;
};

int64_t WinogradDriver::ScratchBytes(const WinogradPlan& plan) {
  const int64_t in_floats = InGroups(plan) ? 0 : plan.in_floats();
  return Scratch::Bytes<float>(in_floats) + Scratch::Bytes<float>(plan.out_floats()) +
         Scratch::Bytes<float>(PanelFloats(plan)) + Scratch::Bytes<float>(TapFloats(plan));
}

int64_t WinogradDriver::TemporaryBytes(const WinogradPlan& plan) {
  return InGroups(plan) ? TensorBytes({plan.tasks.count, plan.in_floats()}) : 0;
}

void WinogradDriver::Run(const Workspace& workspace) const {
  const int64_t scratch_bytes = ScratchBytes(plan_);
  if (!InGroups(plan_)) {
    return ParallelForWithScratch(plan_.tasks.count, scratch_bytes,
                                  [&](int64_t task, Scratch scratch) { RunTask(task, scratch); });
  }
  // Few tasks: slices of their channels are transformed by tasks of their own, groups of their products multiplied.
  const EvenSplit slices(p_.C, kSliceChannels);
  Tensor in = workspace.NewTensor({plan_.tasks.count, plan_.in_floats()});
  ParallelFor(plan_.tasks.count * slices.count, [&](int64_t task) {
    const int64_t block = task / slices.count;
    const int64_t slice = task % slices.count;
    TransformInput(plan_.Tiles(block), {slices.Begin(slice), slices.End(slice)}, in.data() + block * plan_.in_floats());
  });
  const int64_t tasks = (p_.packed ? plan_.tasks.count : 1) * plan_.groups.count;
  ParallelForWithScratch(tasks, scratch_bytes,
                         [&](int64_t task, Scratch scratch) { RunGroup(in.data(), task, scratch); });
}

// What a task's products fetch meanwhile: the lines of its own output, and the next one's input.
PrefetchPieces WinogradDriver::MemoryAhead(int64_t task, std::pmr::memory_resource* memory) const {
  const WinogradTiles& tiles = p_.tiles;
  const int64_t begin = plan_.Begin(task);
  const int64_t end = plan_.End(task);
  PrefetchPieces pieces(memory);
  pieces.reserve(4);
  const int64_t first = tiles.FirstOutput(begin) * p_.O;
  const int64_t floats = tiles.EndOutput(end) * p_.O - first;
  if (!stream_) pieces.push_back(Piece(call_.out + first, floats));
  const float* residual = call_.epilogue.residual;
  if (residual != nullptr && residual != call_.out) pieces.push_back(Piece(residual + first, floats));
  if (call_.gradient != nullptr) {
    const GradientEpilogue& epilogue = call_.gradient->epilogue();
    pieces.push_back(Piece(epilogue.input + first, floats));
    if (epilogue.output != nullptr) pieces.push_back(Piece(epilogue.output + first, floats));
  }
  if (task + 1 < plan_.tasks.count) {
    const int64_t pixels = tiles.EndInput(plan_.End(task + 1)) - tiles.FirstInput(end);
    pieces.push_back(Piece(call_.in + tiles.FirstInput(end) * p_.C, pixels * p_.C));
  }
  return pieces;
}

std::optional<ChannelMoments> WinogradDriver::PartOf(int64_t task) const {
  if (call_.statistics == nullptr) return std::nullopt;
  return call_.statistics->Part(task);
}

void WinogradDriver::RunTask(int64_t task, Scratch scratch) const {
  const WinogradTiles& tiles = p_.tiles;
  const bool narrow = plan_.narrow.rows != 0;
  auto* in = scratch.Take<float>(plan_.in_floats());
  auto* out = plan_.in_place ? in : scratch.Take<float>(plan_.out_floats());
  if (plan_.in_place) in += plan_.in_stride;
  const int64_t begin = plan_.Begin(task);
  const int64_t end = plan_.End(task);
  StackMemory<512> memory;
  const PrefetchPieces ahead = MemoryAhead(task, memory.resource());
  WinogradNarrowArgs args{};
  const int64_t steps =
      (end - begin) * tiles.Points(tiles.OH) * tiles.Points(tiles.OW) / (tiles.rows() * tiles.columns());
  for (const PrefetchPiece& piece : ahead) args.fetch[args.fetches++] = {piece, steps};
  const std::optional<ChannelMoments> moments = PartOf(task);
  StatisticsRows rows;  // of narrow blocks: a part has several of them
  if (moments && narrow) rows.Open(*moments, p_.O, stream_);
  GradientSums sums;  // likewise
  if (call_.gradient != nullptr && narrow) call_.gradient->Open(task, 0, p_.O, sums);
  WinogradBlock block(tiles, begin);
  for (int64_t first = begin; first < end; first += plan_.block_tiles) {
    block.Next(tiles, std::min(plan_.block_tiles, end - first));
    TransformInput(block, {0, p_.C}, in);
    if (narrow) {
      MultiplyNarrow(block, in, out, args);
    } else {
      Multiply(block, {0, plan_.panels.count()}, call_.filter, ahead, in, out);
    }
    const Range o{0, p_.O};
    if (call_.gradient != nullptr) {
      narrow ? TransformGradient(block, o, out, sums) : TransformGradient(block, o, out, task);
    } else {
      narrow ? TransformOutput(block, o, out, moments ? &rows : nullptr) : TransformOutput(block, o, out, moments);
    }
  }
  if (moments && narrow) rows.Close();
  if (call_.gradient != nullptr && narrow) sums.Close();
  if (stream_) hwy::FlushStream();
}

// A group of panels, of one block; of all blocks where the filter isn't packed. `in` has all blocks, transformed.
void WinogradDriver::RunGroup(const float* in, int64_t task, Scratch scratch) const {
  const int64_t group = task % plan_.groups.count;
  const Range panels{plan_.groups.Begin(group), plan_.groups.End(group)};
  const Range columns{plan_.panels.Begin(panels.begin), std::min(p_.O, plan_.panels.Begin(panels.end))};
  auto* out = scratch.Take<float>(plan_.out_floats());
  const float* filter = nullptr;
  if (p_.packed) {
    filter = call_.filter + plan_.panels.Offset(0, panels.begin);
  } else {
    auto* transformed = scratch.Take<float>(PanelFloats(plan_));
    auto* taps = scratch.Take<float>(TapFloats(plan_));
    TransformWinogradPanel(plan_.transforms, {call_.filter, p_.C, p_.O, p_.rotated}, {0, p_.C}, columns.begin,
                           {transformed, plan_.filter_stride, taps});
    filter = transformed;
  }
  const Range blocks =
      p_.packed ? Range{task / plan_.groups.count, task / plan_.groups.count + 1} : Range{0, plan_.tasks.count};
  for (int64_t i = blocks.begin; i < blocks.end; ++i) {
    const WinogradBlock block = plan_.Tiles(i);
    Multiply(block, panels, filter, {}, in + i * plan_.in_floats(), out);
    if (call_.gradient != nullptr) {
      TransformGradient(block, columns, out, i);
    } else {
      TransformOutput(block, columns, out, PartOf(i));
    }
  }
  if (stream_) hwy::FlushStream();
}

void WinogradDriver::TransformInput(const WinogradBlock& block, Range c, float* to) const {
  const Normalization prologue = call_.prologue.From(c.begin);
  for (const WinogradRun& run : block.runs()) {
    plan_.transforms.input(run.down, run.across)(p_.tiles.Input(run, call_.in + c.begin, p_.C, call_.zeros), prologue,
                                                 c.size(), {to + run.slot * p_.C + c.begin, plan_.in_stride, p_.C});
  }
}

void WinogradDriver::Multiply(const WinogradBlock& block, Range panels, const float* filter,
                              const PrefetchPieces& ahead, const float* in, float* out) const {
  const GemmTiles& gemm = plan_.gemm;
  const int64_t offset = plan_.panels.Offset(0, panels.begin);  // of the first panel in a point's
  const int64_t o0 = plan_.panels.Begin(panels.begin);
  const int64_t width = std::min(plan_.panels.padded_columns(), plan_.panels.Begin(panels.end)) - o0;
  const TileRun run{0, 0, p_.C};
  ForwardTileArgs args{};
  args.a_pitch = p_.C;
  args.runs = &run;
  args.num_runs = 1;
  args.c_pitch = plan_.columns;
  StackMemory<512> memory;
  PrefetchPieces pieces(memory.resource());
  pieces.reserve(8);  // of the filter two, a share of each that is ahead
  const int64_t inputs = plan_.transforms.inputs;
  for (int64_t point = 0; point < plan_.points; ++point) {
    const auto [slot0, slot1] = block.Slots(point / inputs, point % inputs);
    if (slot0 == slot1) continue;
    pieces.clear();
    if (plan_.filter_floats > kWinogradCachedFloats && point + 1 < plan_.points) {
      AppendFilter(filter + (point + 1) * plan_.filter_stride, width * p_.C, slot1 - slot0, pieces);
    }
    for (const PrefetchPiece& piece : ahead) AppendShare(piece, point, plan_.points, pieces);
    PrefetchStream fetch(pieces, (slot1 - slot0) * panels.size() * p_.C / gemm.MaxRows(gemm.PanelVectors(width)));
    args.prefetch = &fetch;
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
      const int64_t vectors = plan_.panels.Vectors(panel);
      const EvenSplit rows(slot1 - slot0, gemm.MaxRows(vectors));
      args.b = filter + point * plan_.filter_stride + plan_.panels.Offset(0, panel) - offset;
      args.columns = plan_.panels.Width(panel);  // the padding too: whole vectors
      for (int64_t i = 0; i < rows.count; ++i) {
        const int64_t slot = slot0 + rows.Begin(i);
        args.a = in + point * plan_.in_stride + slot * p_.C;
        args.c = out + point * plan_.out_stride + slot * plan_.columns + plan_.panels.Begin(panel) - o0;
        gemm.forward[vectors - 1][rows.Size(i) - 1](args);
      }
    }
  }
}

void WinogradDriver::MultiplyNarrow(const WinogradBlock& block, const float* in, float* out,
                                    WinogradNarrowArgs& args) const {
  const WinogradNarrow& narrow = plan_.narrow;
  const int64_t inputs = plan_.transforms.inputs;
  args.a_stride = plan_.in_stride;
  args.b_stride = plan_.filter_stride;
  args.c_stride = plan_.out_stride;
  for (int64_t i = 0; i < inputs; ++i) {
    for (int64_t j = 0, end; j < inputs; j = end) {
      end = block.EndOfPoints(p_.tiles, j);
      const auto [slot0, slot1] = block.Slots(i, j);
      const int64_t point = i * inputs + j;
      args.b = call_.filter + point * args.b_stride;
      args.points = end - j;
      for (int64_t slot = slot0, rows; slot < slot1; slot += rows) {
        const int64_t left = slot1 - slot;
        rows = left <= narrow.rows ? left : left >= 2 * narrow.rows ? narrow.rows : (left + 1) / 2;
        args.a = in + point * plan_.in_stride + slot * p_.C;
        args.c = out + point * plan_.out_stride + slot * plan_.columns;
        narrow.forward[rows - 1](args);
      }
    }
  }
}

void WinogradDriver::TransformOutput(const WinogradBlock& block, Range o, const float* from,
                                     StatisticsRows* statistics) const {
  const TileEpilogue epilogue = call_.epilogue.From(o.begin);
  for (const WinogradRun& run : block.runs()) {
    plan_.transforms.output(run.down, run.across)({from + run.slot * plan_.columns, plan_.out_stride, plan_.columns},
                                                  o.size(), epilogue, statistics, stream_,
                                                  p_.tiles.Output(run, call_.out + o.begin, p_.O));
  }
}

// As many channels at a time as wait together: whole cache lines, which may be stored past the caches.
void WinogradDriver::TransformOutput(const WinogradBlock& block, Range o, const float* from,
                                     const std::optional<ChannelMoments>& moments) const {
  if (!moments) return TransformOutput(block, o, from, nullptr);
  StatisticsRows rows;
  for (int64_t begin = o.begin; begin < o.end; begin += StatisticsRows::kPitch) {
    const Range channels{begin, std::min(begin + StatisticsRows::kPitch, o.end)};
    rows.Open(moments->From(channels.begin), channels.size(), stream_);
    TransformOutput(block, channels, from + (begin - o.begin), &rows);
    rows.Close();
  }
}

void WinogradDriver::TransformGradient(const WinogradBlock& block, Range o, const float* from,
                                       GradientSums& sums) const {
  const WinogradGradientEpilogue epilogue{&sums, call_.epilogue.residual != nullptr, stream_};
  for (const WinogradRun& run : block.runs()) {
    plan_.transforms.output_gradient(run.down, run.across)(
        {from + run.slot * plan_.columns, plan_.out_stride, plan_.columns}, o.size(), epilogue,
        p_.tiles.Output(run, call_.out + o.begin, p_.O));
  }
}

void WinogradDriver::TransformGradient(const WinogradBlock& block, Range o, const float* from, int64_t part) const {
  GradientSums sums;
  for (int64_t begin = o.begin, end; begin < o.end; begin = end) {
    end = std::min(o.end, begin + GradientSums::kMostChannels);
    call_.gradient->Open(part, begin, end - begin, sums);
    TransformGradient(block, {begin, end}, from + (begin - o.begin), sums);
    sums.Close();
  }
}

WinogradProblem ProblemOf(const Conv2dSetup& setup) {
  const Conv2dGeometry& g = setup.geometry;
  const bool forward = setup.pass == Conv2dPass::kForward;
  WinogradProblem p =
      forward ? WinogradProblem{.tiles = {g.N, g.IH, g.IW, g.OH, g.OW, g.pad_top, g.pad_left, setup.m},
                                .C = g.IC,
                                .O = g.OC,
                                .rotated = false,
                                .packed = true}
              : WinogradProblem{.tiles = {g.N, g.OH, g.OW, g.IH, g.IW, 2 - g.pad_top, 2 - g.pad_left, setup.m},
                                .C = g.OC,
                                .O = g.IC,
                                .rotated = true,
                                .packed = true};
  p.packed = setup.packed_filter || !TransformsPanels(p);
  return p;
}

// Forward and backward-input.
class WinogradConvolution final : public Conv2dPassPlan {
 public:
  explicit WinogradConvolution(const Conv2dSetup& setup) : plan_(ProblemOf(setup)) {
    packs_filter_ = plan_.p.packed;
    scratch_bytes_ = WinogradDriver::ScratchBytes(plan_);
    temporary_bytes_ = WinogradDriver::TemporaryBytes(plan_) + TensorBytes({plan_.p.tiles.Zeros(plan_.p.C, plan_.p.O)});
    if (!plan_.p.rotated) temporary_bytes_ += OutputEpilogue::Bytes(plan_.p.O);
    if (setup.statistics) temporary_bytes_ += OutputStatistics::Bytes(plan_.tasks.count, plan_.p.O);
    if (setup.gradient) temporary_bytes_ += GradientParts::Bytes(plan_.tasks.count, plan_.p.O);
  }

  void Run(const Conv2dCall& call, const Workspace& workspace) const override {
    const Tensor zeros = plan_.p.tiles.NewZeros(plan_.p.C, plan_.p.O, workspace);
    WinogradCall wanted{.in = call.input, .out = call.output, .filter = call.filter, .zeros = zeros.data()};
    if (plan_.p.rotated) {
      wanted.epilogue.residual = call.accumulate ? call.output : nullptr;
      if (call.gradient == nullptr) return WinogradDriver(plan_, wanted).Run(workspace);
      const GradientParts gradient(*call.gradient, call.output, plan_.tasks.count, workspace);
      wanted.gradient = &gradient;
      WinogradDriver(plan_, wanted).Run(workspace);
      return gradient.Merge(*call.gradient->sums);
    }
    const OutputEpilogue epilogue(*call.epilogue, plan_.p.O, workspace);
    wanted.prologue = MakePrologue(*call.prologue);
    wanted.epilogue = epilogue.tile();
    if (call.epilogue->mean.size() == 0) return WinogradDriver(plan_, wanted).Run(workspace);
    const OutputStatistics statistics(plan_.tasks.count, plan_.p.O, workspace);
    wanted.statistics = &statistics;
    WinogradDriver(plan_, wanted).Run(workspace);
    statistics.Merge([&](int64_t part) { return plan_.Tiles(part).outputs(plan_.p.tiles); }, call.output,
                     call.epilogue->mean, call.epilogue->var);
  }

 private:
  WinogradPlan plan_;
};

}  // namespace

std::unique_ptr<const Conv2dPassPlan> PlanWinogradForward(const Conv2dSetup& setup) {
  return std::make_unique<WinogradConvolution>(setup);
}

std::unique_ptr<const Conv2dPassPlan> PlanWinogradBackwardInput(const Conv2dSetup& setup) {
  return std::make_unique<WinogradConvolution>(setup);
}

}  // namespace hwynn
