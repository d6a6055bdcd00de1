// Backward-filter: dF[tap, c, o] = Σ_pixels x[pixel + tap, c]·dy[pixel, o], outer products accumulated in registers.
// A task owns some input and output channels and a chunk of the pixel blocks; chunks are fixed by the shape, each sums
// into an array of its own, and these are added in order. A block's sums are formed in registers before they reach
// memory: two-level summation, so that errors grow with the block's and the chunks' lengths, not with their product.

#include <algorithm>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/chunks.h"
#include "hwynn/kernels/conv2d/window.h"

namespace hwynn {
namespace {

// A panel of a block's dy, 112 × 64 floats, stays in the first-level cache.
constexpr int64_t kBlockPixels = 112;
// In the second level stay a task's sums, which are read and written once a block, a block's x and dy, copied or not,
// and those of the next block, which are on their way.
constexpr int64_t kCacheFloats = int64_t{1} << 19;
constexpr int64_t kMaxColumns = 512;  // output channels of a task: whole panels
constexpr int64_t kMaxChannels = 512;
// A copied panel of dy lies in one piece, where one in place may share few sets of the caches; worth it for so many
// products a value.
constexpr int64_t kMinReuse = 128;
// From so many input channels on, taps leave out the padding.
constexpr int64_t kMinUnpadded = 64;
constexpr int64_t kLineFloats = 16;
constexpr int64_t kMinTasks = 32;
constexpr int64_t kMinBlocksPerChunk = 16;
constexpr int64_t kMaxPartialFloats = int64_t{16} << 20;

struct Plan {
  Plan(const Conv2dGeometry& g, const Source& source, const GemmTiles& tiles)
      : blocks(source, kBlockPixels),
        panels(CeilDiv(g.group_oc(), tiles.panel()), kMaxColumns / tiles.panel()),
        channels(g.group_ic(), MaxChannels(g)),
        chunks(blocks.count(), ChunkBlocks(g)) {}

  BlockGrid blocks;
  EvenSplit panels;    // of each group's outputs
  EvenSplit channels;  // of each group's inputs
  EvenSplit chunks;    // of the blocks

 private:
  static int64_t MaxChannels(const Conv2dGeometry& g) {
    // Whole lines, not vectors: how channels are cut decides how many chunks there are, and so the order of the sums.
    const int64_t columns = RoundUp(std::min(g.group_oc(), kMaxColumns), kLineFloats);
    constexpr int64_t kRows = 4 * kBlockPixels;  // of x and dy: this block's and the next one's, and their copies
    return std::clamp<int64_t>((kCacheFloats - kRows * columns) / (g.KH * g.KW * columns + kRows), 16, kMaxChannels);
  }
  int64_t ChunkBlocks(const Conv2dGeometry& g) const {
    const int64_t parts = g.groups * channels.count * panels.count;
    const int64_t wanted = std::min({CeilDiv(kMinTasks, parts), blocks.count() / kMinBlocksPerChunk,
                                     kMaxPartialFloats / g.filter_shape().num_elements()});
    const int64_t most = std::max<int64_t>(wanted, 1);
    return CeilDiv(blocks.count(), most);
  }
};

// Whole cache lines, which vectors of what follows them then don't cross.
int64_t WholeLines(int64_t floats) { return RoundUp(floats, kLineFloats); }

// What is copied of a block's x. Pixels a multiple of 4 KiB apart share so few sets of the caches that a block doesn't
// stay in them; an odd number of lines apart they spread over all. Of few channels the taps of a filter row make one
// run, in a copy with zeros in the padding.
WindowCopy CopyOf(const Conv2dGeometry& g, const Source& source, int64_t channels) {
  const bool conflicts = source.step_w * source.pixel_pitch % 1024 == 0;
  return {.pad = g.group_ic() < kMinUnpadded,
          .pitch = conflicts ? (WholeLines(channels) / kLineFloats | 1) * kLineFloats : 0};
}

struct Operands {
  const Conv2dGeometry& g;
  const GemmTiles& tiles;
  Source source;
  const float* grad_output;
  std::vector<Tap> taps;
  TapExtent extent;
};

// A run of neighbouring taps whose channels touch, in the window and in the filter alike: `length` consecutive k.
struct TapGroup {
  size_t tap;
  int64_t length;
  const PixelRow* rows = nullptr;  // of the block's pixels that meet it
  int64_t num_rows = 0;
};

std::vector<TapGroup> GroupTaps(const Operands& op, int64_t channels, int64_t pixel_pitch, bool padded) {
  std::vector<TapGroup> groups;
  const bool touching = padded && channels == pixel_pitch && channels == op.g.group_ic() && op.g.dilation_w == 1;
  for (size_t t = 0; t < op.taps.size(); ++t) {
    if (touching && op.taps[t].kx > 0) {
      groups.back().length += channels;
    } else {
      groups.push_back({.tap = t, .length = channels});
    }
  }
  return groups;
}

// Columns [channel, channel + columns) of a block's dy, one pixel after the other, padded with zeros to whole vectors.
void PackGradOutput(const Operands& op, const Block& block, int64_t channel, int64_t columns, float* to) {
  const Source& source = op.source;
  const int64_t pixels = block.x1 - block.x0;
  const int64_t rows = block.y1 - block.y0;
  const int64_t width = op.tiles.PaddedColumns(columns);
  if (width != columns) std::fill_n(to, (block.n1 - block.n0) * rows * pixels * width, 0.0f);
  for (int64_t n = block.n0; n < block.n1; ++n) {
    for (int64_t y = block.y0; y < block.y1; ++y, to += pixels * width) {
      const float* from = op.grad_output + ((n * source.grid_h + y) * source.grid_w + block.x0) * op.g.OC + channel;
      op.tiles.copy(from, op.g.OC, pixels, columns, to, width);
    }
  }
}

// What a task owns: input channels [c0, c1) and output channels [o0, o1) of a group.
struct Part {
  int64_t group, c0, c1, o0, o1;
};

// The memory of x and dy that a part reads of a block.
void AppendOperands(const Operands& op, const Block& block, const Part& part, std::vector<PrefetchPiece>& pieces) {
  const Source& source = op.source;
  const Source grad{
      op.grad_output, source.N, source.grid_h, source.grid_w, op.g.OC, source.grid_h, source.grid_w, 1, 1};
  const int64_t channel0 = part.group * op.g.group_ic();
  const int64_t output0 = part.group * op.g.group_oc();
  AppendBlockMemory(source, op.extent, block, channel0 + part.c0, channel0 + part.c1, pieces);
  AppendBlockMemory(grad, TapExtent({{0, 0, 0, 0}}), block, output0 + part.o0, output0 + part.o1, pieces);
}

// A part's sums of its blocks so far: panel by panel [tap][channel][columns of the panel, whole vectors]. Rows of dF,
// up to 8 KiB apart, would share few sets of the caches; only the last block's sums go there.
struct Sums {
  const float* so_far;  // null for the first block
  float* next;          // null for the last block
  float* filter;        // laid out like dF
};

// Appends the rows of a block's pixels that meet a tap inside the image, or in the padding of a padded window; rows
// that touch are one. grad_output is read in place, or from a copy of the block. Returns their number.
int64_t MakePixelRows(const Operands& op, const Block& block, const Window& window, const Tap& tap, bool padded,
                      bool in_place, PixelRow* pixel_rows) {
  const Source& source = op.source;
  const int64_t a_stride = source.step_w * window.pixel_pitch();
  int64_t x0 = block.x0;
  int64_t x1 = block.x1;
  if (!padded) {
    while (x0 < x1 && x0 * source.step_w + tap.x < 0) ++x0;
    while (x1 > x0 && (x1 - 1) * source.step_w + tap.x >= source.W) --x1;
  }
  int64_t count = 0;
  for (int64_t n = block.n0; n < block.n1 && x0 < x1; ++n) {
    for (int64_t gy = block.y0; gy < block.y1; ++gy) {
      const int64_t y = gy * source.step_h + tap.y;
      if (y < 0 || y >= source.H) continue;
      const int64_t row = in_place ? n * source.grid_h + gy : (n - block.n0) * (block.y1 - block.y0) + gy - block.y0;
      const int64_t a = window.Offset(n, y, x0 * source.step_w + tap.x);
      const int64_t b = in_place ? row * source.grid_w + x0 : row * (block.x1 - block.x0) + x0 - block.x0;
      PixelRow* last = count > 0 ? &pixel_rows[count - 1] : nullptr;
      if (last != nullptr && last->a + last->pixels * a_stride == a && last->b + last->pixels == b) {
        last->pixels += x1 - x0;
      } else {
        pixel_rows[count++] = {a, b, x1 - x0};
      }
    }
  }
  return count;
}

// Adds one block's sums of a part to those so far, while it fetches `ahead`.
void AddBlock(const Operands& op, const Block& block, const Part& part, const Sums& sums,
              const std::vector<PrefetchPiece>& ahead, Scratch scratch) {
  const Conv2dGeometry& g = op.g;
  const Source& source = op.source;
  const int64_t pixels = block.x1 - block.x0;
  const int64_t rows = (block.n1 - block.n0) * (block.y1 - block.y0);
  auto* pixel_rows = scratch.Take<PixelRow>(static_cast<int64_t>(op.taps.size()) * rows);
  auto* grad_copy = scratch.Take<float>(rows * pixels * op.tiles.panel());
  const int64_t grad_width = op.tiles.PaddedColumns(part.o1 - part.o0);
  const int64_t channels = part.c1 - part.c0;
  const int64_t channel0 = part.group * g.group_ic();
  const int64_t output0 = part.group * g.group_oc();
  const WindowCopy copy = CopyOf(g, source, channels);
  const Window window(source, op.extent, block, channel0 + part.c0, channel0 + part.c1, copy, op.tiles, scratch);
  // Tiles read whole vectors of dy.
  const auto num_taps = static_cast<int64_t>(op.taps.size());
  const bool in_place =
      grad_width == part.o1 - part.o0 && (g.OC <= op.tiles.panel() || num_taps * channels < kMinReuse);
  std::vector<TapGroup> tap_groups = GroupTaps(op, channels, window.pixel_pitch(), copy.pad);
  for (TapGroup& group : tap_groups) {
    group.rows = pixel_rows;
    group.num_rows = MakePixelRows(op, block, window, op.taps[group.tap], copy.pad, in_place, pixel_rows);
    pixel_rows += group.num_rows;
  }

  const int64_t max_rows = op.tiles.MaxRows(op.tiles.PanelVectors(part.o1 - part.o0));
  const int64_t panels = CeilDiv(part.o1 - part.o0, op.tiles.panel());
  PrefetchStream prefetch(ahead, panels * num_taps * channels * rows * pixels / max_rows);

  for (int64_t column = part.o0; column < part.o1; column += op.tiles.panel()) {
    const int64_t columns = std::min(op.tiles.panel(), part.o1 - column);
    const int64_t vectors = op.tiles.PanelVectors(columns);
    const int64_t width = vectors * op.tiles.lanes;
    if (!in_place) PackGradOutput(op, block, output0 + column, columns, grad_copy);
    for (const TapGroup& tap_group : tap_groups) {
      const Tap& tap = op.taps[tap_group.tap];
      FilterTileArgs args{};
      args.a_stride = source.step_w * window.pixel_pitch();
      args.b = in_place ? op.grad_output + output0 + column : grad_copy;
      args.b_stride = in_place ? g.OC : width;
      args.rows = tap_group.rows;
      args.num_rows = tap_group.num_rows;
      args.add_pitch = width;
      args.prefetch = &prefetch;
      const int64_t sum =
          (column - part.o0) * num_taps * channels + static_cast<int64_t>(tap_group.tap) * channels * width;
      const bool last = sums.next == nullptr;
      float* c = last ? sums.filter + ((tap.ky * g.KW + tap.kx) * g.group_ic() + part.c0) * g.OC + output0 + column
                      : sums.next + sum;
      args.ldc = last ? g.OC : width;
      args.columns = last ? columns : width;
      const TileSplit split(tap_group.length, op.tiles.MaxRows(vectors));
      for (int64_t i = 0; i < split.count; i += args.tiles) {
        args.tiles = split.Alike(i);
        args.a = window.data() + split.Begin(i);
        args.add = sums.so_far != nullptr ? sums.so_far + sum + split.Begin(i) * width : nullptr;
        args.c = c + split.Begin(i) * args.ldc;
        op.tiles.filter[vectors - 1][split.Size(i) - 1](args);
      }
    }
  }
}

}  // namespace

void DirectBackwardFilter(const Conv2dGeometry& g, const float* input, const float* grad_output, float* grad_filter,
                          const Workspace& workspace) {
  Source source{input, g.N, g.IH, g.IW, g.IC, g.OH, g.OW, g.stride_h, g.stride_w};
  if (IsOneTap(g)) source = OneTapSource(source);
  std::vector<Tap> taps;
  for (int64_t ky = 0; ky < g.KH; ++ky) {
    for (int64_t kx = 0; kx < g.KW; ++kx) {
      taps.push_back({ky * g.dilation_h - g.pad_top, kx * g.dilation_w - g.pad_left, ky, kx});
    }
  }
  const TapExtent extent(taps);
  const Operands op{g, CurrentGemmTiles(), source, grad_output, std::move(taps), extent};
  const Plan plan(g, source, op.tiles);
  const int64_t filter_floats = g.filter_shape().num_elements();
  ChunkedGradient chunks(plan.chunks.count, filter_floats, grad_filter, workspace);

  const Block largest = plan.blocks.Largest();
  const int64_t rows = largest.n1 * largest.y1;
  const int64_t columns = std::min(g.group_oc(), plan.panels.Largest() * op.tiles.panel());
  const int64_t sum_floats =
      static_cast<int64_t>(op.taps.size()) * plan.channels.Largest() * op.tiles.PaddedColumns(columns);
  const int64_t scratch_bytes = Scratch::Bytes<float>(sum_floats) +
                                Scratch::Bytes<PixelRow>(static_cast<int64_t>(op.taps.size()) * rows) +
                                Scratch::Bytes<float>(rows * largest.x1 * op.tiles.panel()) +
                                Window::ScratchBytes(source, extent, largest, plan.channels.Largest(),
                                                     CopyOf(g, source, plan.channels.Largest()));
  const int64_t parts = g.groups * plan.channels.count * plan.panels.count;
  const auto part_of = [&](int64_t task) {
    const int64_t panels = task % plan.panels.count;
    const int64_t channels = task / plan.panels.count % plan.channels.count;
    return Part{task / (plan.panels.count * plan.channels.count) % g.groups, plan.channels.Begin(channels),
                plan.channels.End(channels), plan.panels.Begin(panels) * op.tiles.panel(),
                std::min(g.group_oc(), plan.panels.End(panels) * op.tiles.panel())};
  };
  const int64_t tasks = plan.chunks.count * parts;
  ParallelForWithScratch(tasks, scratch_bytes, [&](int64_t task, Scratch scratch) {
    auto* sums = scratch.Take<float>(sum_floats);
    const int64_t chunk = task / parts;
    const Part part = part_of(task);
    std::vector<PrefetchPiece> ahead;
    for (int64_t i = plan.chunks.Begin(chunk); i < plan.chunks.End(chunk); ++i) {
      // What this thread will likely see next.
      ahead.clear();
      if (i + 1 < plan.chunks.End(chunk)) {
        AppendOperands(op, plan.blocks.Get(i + 1), part, ahead);
      } else if (task + 1 < tasks) {
        AppendOperands(op, plan.blocks.Get(plan.chunks.Begin((task + 1) / parts)), part_of(task + 1), ahead);
      }
      const Sums part_sums{.so_far = i > plan.chunks.Begin(chunk) ? sums : nullptr,
                           .next = i + 1 < plan.chunks.End(chunk) ? sums : nullptr,
                           .filter = chunks.Chunk(chunk)};
      AddBlock(op, plan.blocks.Get(i), part, part_sums, ahead, scratch);
    }
  });
  chunks.Add();
}

}  // namespace hwynn
