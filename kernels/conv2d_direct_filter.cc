// Backward-filter: dF[tap, c, o] = Σ_pixels x[pixel + tap, c]·dy[pixel, o], outer products accumulated in registers.
// A task owns some input channels and a chunk of the pixel blocks; chunks are fixed by the shape, each sums into an
// array of its own, and these are added in order. A block's sums are formed in registers before they reach memory:
// two-level summation, so that errors grow with the block's and the chunks' lengths, not with their product.

#include <algorithm>
#include <cstring>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d_algorithms.h"
#include "hwynn/kernels/conv2d_window.h"

namespace hwynn {
namespace {

// dy of a block and panel, 224 × 32 floats, is 28 KiB: it stays in the first-level cache while all taps and channels
// pass by, and storing a tile costs 1 % of its sums.
constexpr int64_t kBlockPixels = 224;
constexpr int64_t kMaxChannels = 128;  // of a task
constexpr int64_t kMinTasks = 32;
constexpr int64_t kMinBlocksPerChunk = 4;
constexpr int64_t kMaxPartialFloats = int64_t{16} << 20;

// Tiles read a few channels of each pixel. Pixels a power of two apart would share few sets of the first-level cache;
// an odd number of cache lines apart they spread over all. Few channels are left together instead: then neighbouring
// taps make longer runs and fuller tiles.
int64_t PixelPitch(int64_t channels) { return channels < 64 ? 0 : ((channels + 15) / 16 | 1) * 16; }

struct Plan {
  Plan(const Conv2dGeometry& g, const Source& source)
      : blocks(source, kBlockPixels), channels(g.group_ic(), kMaxChannels), chunks(blocks.count(), ChunkBlocks(g)) {}

  BlockGrid blocks;
  EvenSplit channels;  // of each group
  EvenSplit chunks;    // of the blocks

 private:
  int64_t ChunkBlocks(const Conv2dGeometry& g) const {
    const int64_t channel_tasks = g.groups * channels.count;
    const int64_t wanted =
        std::min({(kMinTasks + channel_tasks - 1) / channel_tasks, blocks.count() / kMinBlocksPerChunk,
                  kMaxPartialFloats / g.filter_shape().num_elements()});
    const int64_t most = std::max<int64_t>(wanted, 1);
    return (blocks.count() + most - 1) / most;
  }
};

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
};

std::vector<TapGroup> GroupTaps(const Operands& op, int64_t channels, int64_t pixel_pitch) {
  std::vector<TapGroup> groups;
  const bool touching = channels == pixel_pitch && channels == op.g.group_ic() && op.g.dilation_w == 1;
  for (size_t t = 0; t < op.taps.size(); ++t) {
    if (touching && op.taps[t].kx > 0) {
      groups.back().length += channels;
    } else {
      groups.push_back({t, channels});
    }
  }
  return groups;
}

// dy of a block, `width` columns from `channel` on, one pixel after the other: without strides of the output's width,
// which would share few sets of the cache.
void PackGradOutput(const Operands& op, const Block& block, int64_t channel, int64_t columns, int64_t width,
                    float* to) {
  const Conv2dGeometry& g = op.g;
  const Source& source = op.source;
  for (int64_t n = block.n0; n < block.n1; ++n) {
    for (int64_t y = block.y0; y < block.y1; ++y) {
      const float* from = op.grad_output + ((n * source.grid_h + y) * source.grid_w + block.x0) * g.OC + channel;
      for (int64_t x = block.x0; x < block.x1; ++x, from += g.OC, to += width) {
        // Plain loops: for 16 or 32 floats a call costs more than the copy.
        for (int64_t i = 0; i < columns; ++i) to[i] = from[i];
        for (int64_t i = columns; i < width; ++i) to[i] = 0.0f;
      }
    }
  }
}

// Adds (stores, for the first) one block's sums for channels [c0, c1) of a group into `filter`, laid out like dF.
void AddBlock(const Operands& op, const Block& block, int64_t group, int64_t c0, int64_t c1, bool first, float* scratch,
              float* filter) {
  const Conv2dGeometry& g = op.g;
  const Source& source = op.source;
  const int64_t pixels = block.x1 - block.x0;
  const int64_t rows = (block.n1 - block.n0) * (block.y1 - block.y0);
  float* grad_panel = scratch;
  auto* pixel_rows = reinterpret_cast<PixelRow*>(grad_panel + rows * pixels * op.tiles.panel());
  float* window_copy = reinterpret_cast<float*>(pixel_rows + rows);
  const int64_t channel0 = group * g.group_ic();
  const Window window(source, op.extent, block, channel0 + c0, channel0 + c1, nullptr, PixelPitch(c1 - c0), op.tiles,
                      window_copy);
  const std::vector<TapGroup> tap_groups = GroupTaps(op, c1 - c0, window.pixel_pitch());

  for (int64_t column = 0; column < g.group_oc(); column += op.tiles.panel()) {
    const int64_t columns = std::min(op.tiles.panel(), g.group_oc() - column);
    const int64_t vectors = op.tiles.PanelVectors(columns);
    const int64_t width = vectors * op.tiles.lanes;
    const int64_t channel = group * g.group_oc() + column;
    const bool in_place = columns == g.OC && columns == width;  // dy is such a panel already
    if (!in_place) PackGradOutput(op, block, channel, columns, width, grad_panel);

    for (const TapGroup& tap_group : tap_groups) {
      const Tap& tap = op.taps[tap_group.tap];
      int64_t num_rows = 0;
      for (int64_t n = block.n0; n < block.n1; ++n) {
        for (int64_t gy = block.y0; gy < block.y1; ++gy) {
          const int64_t y = gy * source.step_h + tap.y;
          if (y < 0 || y >= source.H) continue;
          const int64_t pixel = in_place ? (n * source.grid_h + gy) * source.grid_w + block.x0
                                         : ((n - block.n0) * (block.y1 - block.y0) + gy - block.y0) * pixels;
          pixel_rows[num_rows++] = {window.Offset(n, y, block.x0 * source.step_w + tap.x), pixel * width};
        }
      }
      PrefetchStream none;
      FilterTileArgs args{};
      args.prefetch = &none;
      args.a_stride = source.step_w * window.pixel_pitch();
      args.b = in_place ? op.grad_output : grad_panel;
      args.b_stride = width;
      args.rows = pixel_rows;
      args.num_rows = num_rows;
      args.pixels = pixels;
      args.ldc = g.OC;
      args.columns = columns;
      args.accumulate = !first;
      float* c = filter + ((tap.ky * g.KW + tap.kx) * g.group_ic() + c0) * g.OC + channel;
      const EvenSplit split(tap_group.length, op.tiles.max_rows);
      for (int64_t i = 0; i < split.count; ++i) {
        args.a = window.data() + split.Begin(i);
        args.c = c + split.Begin(i) * g.OC;
        op.tiles.filter[vectors - 1][split.End(i) - split.Begin(i) - 1](args);
      }
    }
  }
}

}  // namespace

void DirectBackwardFilter(const Conv2dGeometry& g, const float* input, const float* grad_output, float* grad_filter,
                          const Workspace& workspace) {
  Source source{input, g.N, g.IH, g.IW, g.IC, g.OH, g.OW, g.stride_h, g.stride_w};
  const bool pointwise = g.KH == 1 && g.KW == 1 && g.stride_h == 1 && g.stride_w == 1 && g.OH == g.IH && g.OW == g.IW;
  if (pointwise) {
    const int64_t pixels = g.N * g.IH * g.IW;
    source = {input, 1, 1, pixels, g.IC, 1, pixels, 1, 1};
  }
  std::vector<Tap> taps;
  for (int64_t ky = 0; ky < g.KH; ++ky) {
    for (int64_t kx = 0; kx < g.KW; ++kx) {
      taps.push_back({ky * g.dilation_h - g.pad_top, kx * g.dilation_w - g.pad_left, ky, kx});
    }
  }
  const TapExtent extent(taps);
  const Operands op{g, CurrentGemmTiles(), source, grad_output, std::move(taps), extent};
  const Plan plan(g, source);
  const int64_t filter_floats = g.filter_shape().num_elements();
  // With one chunk its sums are the result.
  Tensor partials;
  if (plan.chunks.count > 1) partials = workspace.NewTensor({plan.chunks.count * filter_floats});
  float* sums = plan.chunks.count > 1 ? partials.data() : grad_filter;

  const Block largest = plan.blocks.Largest();
  const int64_t rows = largest.n1 * largest.y1;
  const int64_t scratch = rows * largest.x1 * op.tiles.panel() +
                          rows * static_cast<int64_t>(sizeof(PixelRow) / sizeof(float)) +
                          Window::ScratchFloats(source, extent, largest, plan.channels.Largest(), nullptr,
                                                PixelPitch(plan.channels.Largest()));
  const int64_t channel_tasks = g.groups * plan.channels.count;
  ParallelForWithScratch(plan.chunks.count * channel_tasks, scratch, [&](int64_t task, float* memory) {
    const int64_t chunk = task / channel_tasks;
    const int64_t group = task % channel_tasks / plan.channels.count;
    const int64_t part = task % plan.channels.count;
    const int64_t first = plan.chunks.Begin(chunk);
    for (int64_t i = first; i < plan.chunks.End(chunk); ++i) {
      AddBlock(op, plan.blocks.Get(i), group, plan.channels.Begin(part), plan.channels.End(part), i == first, memory,
               sums + chunk * filter_floats);
    }
  });
  if (plan.chunks.count == 1) return;
  const EvenSplit pieces(filter_floats, 16384);
  ParallelFor(pieces.count, [&](int64_t piece) {
    for (int64_t i = pieces.Begin(piece); i < pieces.End(piece); ++i) grad_filter[i] = sums[i];
    for (int64_t chunk = 1; chunk < plan.chunks.count; ++chunk) {
      const float* from = sums + chunk * filter_floats;
      for (int64_t i = pieces.Begin(piece); i < pieces.End(piece); ++i) grad_filter[i] += from[i];
    }
  });
}

}  // namespace hwynn
