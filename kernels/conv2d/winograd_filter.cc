// Backward-filter by Winograd's F(m×m,3×3): dF = Gᵀ[Σ_tiles (Bᵀ·d·B) ⊙ (A·dy·Aᵀ)]G, the transpose of the forward
// algorithm: for each point the matrix product of transformed inputs and transformed gradients, summed over tiles.

#include <algorithm>
#include <span>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/chunks.h"
#include "hwynn/kernels/conv2d/epilogue.h"
#include "hwynn/kernels/conv2d/winograd_tiles.h"
#include "hwynn/kernels/simd/panels.h"

namespace hwynn {
namespace {

// What both ways of summing share.
struct FilterProblem {
  explicit FilterProblem(const Conv2dSetup& setup)
      : tiles{setup.geometry.N,  setup.geometry.IH,      setup.geometry.IW,       setup.geometry.OH,
              setup.geometry.OW, setup.geometry.pad_top, setup.geometry.pad_left, setup.m},
        C(setup.geometry.IC),
        O(setup.geometry.OC),
        gemm(CurrentGemmTiles()),
        transforms(CurrentWinogradTransforms(setup.m)) {}

  int64_t points() const { return transforms.inputs * transforms.inputs; }

  WinogradTiles tiles;
  int64_t C, O;
  const GemmTiles& gemm;
  const WinogradTransforms& transforms;
};

struct Operands {
  const float* input;        // [N,H,W,C]
  const float* grad_output;  // [N,OH,OW,O]
  const float* zeros;        // NewZeros
  Normalization prologue;    // of the input
};

// Transformed inputs (a) and gradients (b) of some tiles: element (point, slot, channel) at point·stride + slot·pitch +
// channel.
struct Transformed {
  float* a;
  int64_t a_pitch, a_stride;
  float* b;
  int64_t b_pitch, b_stride;
};

// Of inputs and gradients.
struct Channels {
  Range c, o;
};

void TransformRun(const FilterProblem& p, const Operands& from, const WinogradRun& run, const Channels& channels,
                  const Transformed& to) {
  const auto& [c, o] = channels;
  p.transforms.input(run.down, run.across)(p.tiles.Input(run, from.input + c.begin, p.C, from.zeros),
                                           from.prologue.From(c.begin), c.size(),
                                           {to.a + run.slot * to.a_pitch, to.a_stride, to.a_pitch});
  p.transforms.gradient(run.down, run.across)(p.tiles.Output(run, from.grad_output + o.begin, p.O, from.zeros),
                                              o.size(), {to.b + run.slot * to.b_pitch, to.b_stride, to.b_pitch});
}

// Tiles are "pixels" of the micro-kernel, `row` has their number.
FilterTileArgs TileArgs(const Transformed& operands, const PixelRow& row) {
  FilterTileArgs args{};
  args.a_pitch = operands.a_pitch;
  args.b_pitch = operands.b_pitch;
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

// Tiles of a chunk, where a chunk makes so many tasks.
int64_t ChunkTiles(int64_t tiles, int64_t tasks) {
  return CeilDiv(tiles, std::max<int64_t>(std::min(kMinTasks / tasks, tiles / kMinChunkTiles), 1));
}

class ByBlocks final : public Conv2dPassPlan {
 public:
  explicit ByBlocks(const Conv2dSetup& setup)
      : p_(setup),
        narrow_(CurrentWinogradNarrow(p_.C, p_.gemm.PaddedColumns(p_.O))),
        inputs_(p_.C, kSliceChannels),
        outputs_(CeilDiv(p_.O, p_.gemm.panel()), std::max<int64_t>(1, kSliceChannels / p_.gemm.panel())),
        columns_(std::min(outputs_.Largest() * p_.gemm.panel(), p_.gemm.PaddedColumns(p_.O))),
        chunks_(p_.tiles.count(), ChunkTiles(p_.tiles.count(), inputs_.count * outputs_.count)),
        a_stride_(WinogradStride(kBlockTiles, inputs_.Largest())),
        b_stride_(WinogradStride(kBlockTiles, columns_)),
        sum_floats_(p_.points() * inputs_.Largest() * columns_) {
    scratch_bytes_ = Scratch::Bytes<float>(p_.points() * a_stride_) + Scratch::Bytes<float>(p_.points() * b_stride_) +
                     Scratch::Bytes<float>(sum_floats_);
    temporary_bytes_ =
        ChunkedGradient::Bytes(chunks_.count, 9 * p_.C * p_.O) + TensorBytes({p_.tiles.Zeros(p_.C, p_.O)});
  }

  void Run(const Conv2dCall& call, const Workspace& workspace) const override {
    const Tensor zeros = p_.tiles.NewZeros(p_.C, p_.O, workspace);
    const Operands operands{call.input, call.filter, zeros.data(), MakePrologue(*call.prologue)};
    ChunkedGradient gradient(chunks_.count, 9 * p_.C * p_.O, call.output, workspace);
    ParallelForWithScratch(chunks_.count * inputs_.count * outputs_.count, scratch_bytes_,
                           [&](int64_t task, Scratch scratch) { RunTask(operands, task, scratch, gradient); });
    gradient.Add();
  }

 private:
  // What a task owns.
  struct Slice {
    Range c, o;
    PackedPanels sums;  // [panel][point][c][panel columns]
    int64_t Offset(int64_t panel, int64_t point, int64_t row = 0) const {
      return sums.Offset(0, panel, point * c.size() + row);
    }
  };
  // A block of a task, transformed.
  struct OpenBlock {
    const WinogradBlock& block;
    const Transformed& transformed;
    const PrefetchPieces& ahead;
    bool first;  // starts the sums
  };

  Slice SliceOf(int64_t task) const;
  void RunTask(const Operands& operands, int64_t task, Scratch scratch, ChunkedGradient& gradient) const;
  void Multiply(const OpenBlock& open, const Slice& slice, float* sums) const;
  // The same for few channels.
  void MultiplyNarrow(const OpenBlock& open, float* sums) const;

  FilterProblem p_;
  const WinogradNarrow& narrow_;  // for few channels, of which one slice has all
  EvenSplit inputs_;              // channels
  EvenSplit outputs_;             // panels
  int64_t columns_;               // of a slice's panels
  EvenSplit chunks_;              // tiles
  int64_t a_stride_, b_stride_;
  int64_t sum_floats_;
};

ByBlocks::Slice ByBlocks::SliceOf(int64_t task) const {
  const int64_t in = task / outputs_.count % inputs_.count;
  const int64_t out = task % outputs_.count;
  const Range c{inputs_.Begin(in), inputs_.End(in)};
  const Range o{outputs_.Begin(out) * p_.gemm.panel(), std::min(p_.O, outputs_.End(out) * p_.gemm.panel())};
  return {c, o, PackedPanels(p_.gemm, p_.points() * c.size(), o.size())};
}

// Appends the memory of channels of pixels [begin, end).
void AppendPixels(const float* data, Range pixels, int64_t channels, Range c, PrefetchPieces& pieces) {
  if (pixels.size() <= 0) return;
  if (c.size() == channels) {
    pieces.push_back(Piece(data + pixels.begin * channels, pixels.size() * channels));
  } else {
    pieces.push_back(Piece(data + pixels.begin * channels + c.begin, c.size(), pixels.size(), channels));
  }
}

void ByBlocks::Multiply(const OpenBlock& open, const Slice& slice, float* sums) const {
  const Transformed& from = open.transformed;
  PixelRow row{};
  FilterTileArgs args = TileArgs(from, row);
  const int64_t max_rows = p_.gemm.MaxRows(p_.gemm.max_vectors);
  PrefetchStream fetch(open.ahead, p_.points() * open.block.tiles() * slice.c.size() / max_rows * outputs_.Largest());
  args.prefetch = &fetch;
  for (int64_t panel = 0; panel < slice.sums.count(); ++panel) {
    const int64_t vectors = slice.sums.Vectors(panel);
    const EvenSplit rows(slice.c.size(), p_.gemm.MaxRows(vectors));
    args.columns = args.add_pitch = args.c_pitch = slice.sums.Width(panel);
    for (int64_t point = 0; point < p_.points(); ++point) {
      const auto [slot0, slot1] = open.block.Slots(point / p_.transforms.inputs, point % p_.transforms.inputs);
      row.pixels = slot1 - slot0;
      args.b = from.b + point * from.b_stride + slot0 * from.b_pitch + slice.sums.Begin(panel);
      for (int64_t i = 0; i < rows.count; ++i) {
        args.a = from.a + point * from.a_stride + slot0 * from.a_pitch + rows.Begin(i);
        args.c = sums + slice.Offset(panel, point, rows.Begin(i));
        args.add = open.first ? nullptr : args.c;
        p_.gemm.filter[vectors - 1][rows.Size(i) - 1](args);
      }
    }
  }
}

void ByBlocks::MultiplyNarrow(const OpenBlock& open, float* sums) const {
  const int64_t inputs = p_.transforms.inputs;
  const Transformed& from = open.transformed;
  WinogradNarrowArgs args{};
  args.a_stride = from.a_stride;
  args.b_stride = from.b_stride;
  args.c_stride = p_.C * columns_;
  args.accumulate = !open.first;
  args.fetches = 0;
  for (const PrefetchPiece& piece : open.ahead) {
    args.fetch[args.fetches++] = {piece, p_.points() * open.block.tiles()};
  }
  for (int64_t i = 0; i < inputs; ++i) {
    for (int64_t j = 0, end; j < inputs; j = end) {
      end = open.block.EndOfPoints(p_.tiles, j);
      const int64_t point = i * inputs + j;
      const auto [slot0, slot1] = open.block.Slots(i, j);
      args.a = from.a + point * from.a_stride + slot0 * from.a_pitch;
      args.b = from.b + point * from.b_stride + slot0 * from.b_pitch;
      args.c = sums + point * args.c_stride;
      args.points = end - j;
      args.tiles = slot1 - slot0;
      narrow_.gradient(args);
    }
  }
}

void ByBlocks::RunTask(const Operands& operands, int64_t task, Scratch scratch, ChunkedGradient& gradient) const {
  const int64_t chunk = task / (inputs_.count * outputs_.count);
  const Slice slice = SliceOf(task);
  const Transformed transformed{.a = scratch.Take<float>(p_.points() * a_stride_),
                                .a_pitch = slice.c.size(),
                                .a_stride = a_stride_,
                                .b = scratch.Take<float>(p_.points() * b_stride_),
                                .b_pitch = columns_,
                                .b_stride = b_stride_};
  auto* sums = scratch.Take<float>(sum_floats_);
  // Columns beyond O are multiplied too.
  if (columns_ > slice.o.size()) std::fill_n(transformed.b, p_.points() * b_stride_, 0.0f);

  const WinogradTiles& tiles = p_.tiles;
  const int64_t begin = chunks_.Begin(chunk);
  const EvenSplit blocks(chunks_.Size(chunk), kBlockTiles);
  WinogradBlock block(tiles, begin);
  PrefetchPieces ahead;
  for (int64_t b = 0; b < blocks.count; ++b) {
    block.Next(tiles, blocks.Size(b));
    for (const WinogradRun& run : block.runs()) TransformRun(p_, operands, run, {slice.c, slice.o}, transformed);
    ahead.clear();
    if (b + 1 < blocks.count) {
      const int64_t end = begin + blocks.End(b);
      const int64_t next = begin + blocks.End(b + 1);
      AppendPixels(operands.input, {tiles.FirstInput(end), tiles.EndInput(next)}, p_.C, slice.c, ahead);
      AppendPixels(operands.grad_output, {tiles.FirstOutput(end), tiles.EndOutput(next)}, p_.O, slice.o, ahead);
    }
    const OpenBlock open{.block = block, .transformed = transformed, .ahead = ahead, .first = b == 0};
    if (narrow_.rows != 0) {
      MultiplyNarrow(open, sums);
    } else {
      Multiply(open, slice, sums);
    }
  }
  float* to = gradient.Chunk(chunk) + slice.o.begin;
  for (int64_t panel = 0; panel < slice.sums.count(); ++panel) {
    const int64_t point_stride = slice.c.size() * slice.sums.Width(panel);
    for (int64_t i = 0; i < slice.c.size(); ++i) {
      p_.transforms.filter_gradient(sums + slice.Offset(panel, 0, i), point_stride, slice.sums.Columns(panel),
                                    to + (slice.c.begin + i) * p_.O + slice.sums.Begin(panel), p_.C * p_.O);
    }
  }
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

class ByPoints final : public Conv2dPassPlan {
 public:
  explicit ByPoints(const Conv2dSetup& setup)
      : p_(setup),
        columns_(p_.gemm.PaddedColumns(p_.O)),
        a_pitch_(OddLines(p_.C)),
        b_pitch_(OddLines(columns_)),
        passes_(p_.tiles.count(), std::max<int64_t>(1, kPassFloats / (p_.points() * (a_pitch_ + b_pitch_)))),
        a_stride_(WinogradStride(passes_.Largest(), a_pitch_)),
        b_stride_(WinogradStride(passes_.Largest(), b_pitch_)),
        sum_stride_(WinogradStride(p_.C, columns_)) {
    temporary_bytes_ =
        TensorBytes({p_.points(), a_stride_ + b_stride_ + sum_stride_}) + TensorBytes({p_.tiles.Zeros(p_.C, p_.O)});
  }

  void Run(const Conv2dCall& call, const Workspace& workspace) const override;

 private:
  // Transforms some runs of a pass's tiles.
  void Transform(const Operands& operands, std::span<const WinogradRun> runs, const Transformed& to) const;
  // Sums of one point, [c][columns].
  struct PointSums {
    float* data;
    bool started;  // in a pass before
  };
  // Adds the product of one point, over a pass's tiles.
  void Multiply(const Transformed& operands, const WinogradBlock& block, int64_t point, PointSums sums) const;

  FilterProblem p_;
  int64_t columns_;
  int64_t a_pitch_, b_pitch_;
  EvenSplit passes_;  // over the tiles
  int64_t a_stride_, b_stride_, sum_stride_;
};

void ByPoints::Transform(const Operands& operands, std::span<const WinogradRun> runs, const Transformed& to) const {
  for (const WinogradRun& run : runs) {
    // Columns beyond O are multiplied too.
    for (int64_t point = 0; point < p_.points() && columns_ > p_.O; ++point) {
      float* padding = to.b + point * b_stride_ + run.slot * b_pitch_ + p_.O;
      for (int64_t t = 0; t < run.tiles; ++t) std::fill_n(padding + t * b_pitch_, columns_ - p_.O, 0.0f);
    }
    TransformRun(p_, operands, run, {{0, p_.C}, {0, p_.O}}, to);
  }
}

void ByPoints::Multiply(const Transformed& operands, const WinogradBlock& block, int64_t point, PointSums sums) const {
  const auto [slot0, slot1] = block.Slots(point / p_.transforms.inputs, point % p_.transforms.inputs);
  if (slot0 == slot1) {
    if (!sums.started) std::fill_n(sums.data, p_.C * columns_, 0.0f);
    return;
  }
  const EvenSplit blocks(slot1 - slot0, kProductTiles);
  const EvenSplit rows(p_.C, p_.gemm.MaxRows(p_.gemm.PanelVectors(p_.O)));
  const PackedPanels panels(p_.gemm, 1, p_.O);  // where columns begin; the sums' rows are whole
  const bool last = point + 1 == p_.points();
  const PrefetchPiece next_a = Piece(operands.a + (point + 1) * a_stride_, a_stride_);
  const PrefetchPiece next_b = Piece(operands.b + (point + 1) * b_stride_, b_stride_);
  PixelRow row{};
  FilterTileArgs args = TileArgs(operands, row);
  args.add_pitch = args.c_pitch = columns_;
  PrefetchPieces pieces;
  for (int64_t b = 0; b < blocks.count; ++b) {
    const int64_t slot = slot0 + blocks.Begin(b);
    row.pixels = blocks.Size(b);
    for (int64_t i = 0; i < rows.count; ++i) {
      const int64_t c = rows.Begin(i);
      pieces.clear();
      if (!last) {
        AppendShare(next_a, b * rows.count + i, blocks.count * rows.count, pieces);
        AppendShare(next_b, b * rows.count + i, blocks.count * rows.count, pieces);
      }
      if (i + 1 < rows.count) pieces.push_back(Piece(sums.data + rows.End(i) * columns_, rows.Size(i + 1) * columns_));
      PrefetchStream fetch(pieces, panels.count() * row.pixels);
      args.prefetch = &fetch;
      for (int64_t panel = 0; panel < panels.count(); ++panel) {
        args.columns = panels.Width(panel);
        args.a = operands.a + point * a_stride_ + slot * a_pitch_ + c;
        args.b = operands.b + point * b_stride_ + slot * b_pitch_ + panels.Begin(panel);
        args.c = sums.data + c * columns_ + panels.Begin(panel);
        args.add = sums.started || b > 0 ? args.c : nullptr;
        p_.gemm.filter[panels.Vectors(panel) - 1][rows.Size(i) - 1](args);
      }
    }
  }
}

void ByPoints::Run(const Conv2dCall& call, const Workspace& workspace) const {
  const int64_t points = p_.points();
  const Tensor zeros = p_.tiles.NewZeros(p_.C, p_.O, workspace);
  const Operands operands{call.input, call.filter, zeros.data(), MakePrologue(*call.prologue)};
  Tensor a = workspace.NewTensor({points, a_stride_});
  Tensor b = workspace.NewTensor({points, b_stride_});
  Tensor sums = workspace.NewTensor({points, sum_stride_});
  const Transformed transformed{a.data(), a_pitch_, a_stride_, b.data(), b_pitch_, b_stride_};
  for (int64_t pass = 0; pass < passes_.count; ++pass) {
    const WinogradBlock block(p_.tiles, passes_.Begin(pass), passes_.Size(pass));
    const std::span<const WinogradRun> runs(block.runs());
    const EvenSplit parts(static_cast<int64_t>(runs.size()), 8);
    ParallelFor(parts.count, [&](int64_t part) {
      const auto first = static_cast<size_t>(parts.Begin(part));
      Transform(operands, runs.subspan(first, static_cast<size_t>(parts.Size(part))), transformed);
    });
    ParallelFor(points, [&](int64_t point) {
      Multiply(transformed, block, point, {.data = sums.data() + point * sum_stride_, .started = pass > 0});
    });
  }
  const EvenSplit slices(p_.C, 8);
  ParallelFor(slices.count, [&](int64_t slice) {
    for (int64_t c = slices.Begin(slice); c < slices.End(slice); ++c) {
      p_.transforms.filter_gradient(sums.data() + c * columns_, sum_stride_, p_.O, call.output + c * p_.O, p_.C * p_.O);
    }
  });
}

}  // namespace

std::unique_ptr<const Conv2dPassPlan> PlanWinogradBackwardFilter(const Conv2dSetup& setup) {
  if (setup.geometry.IC * setup.geometry.OC > kByPointsChannels) return std::make_unique<ByPoints>(setup);
  return std::make_unique<ByBlocks>(setup);
}

}  // namespace hwynn
