// Forward and backward-input as one implicit matrix product (conv2d_product.h). A is never built: a tile's rows are
// pixels that meet the same taps, mostly neighbours in one image row and so a constant distance apart in the source,
// and for each filter row the taps and channels are one contiguous run. Backward-input is the same over grad_output:
// each phase of input pixels modulo the stride meets its own subset of taps, so no zeros are inserted or added up.

#include <hwy/cache_control.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "hwynn/core/parallel.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/conv2d/epilogue.h"
#include "hwynn/kernels/conv2d/product.h"
#include "hwynn/kernels/conv2d/runs.h"
#include "hwynn/kernels/conv2d/statistics.h"
#include "hwynn/kernels/simd/flat.h"

namespace hwynn {
namespace {

// 37 tiles of 6 rows: enough work to hide a panel's way from the third-level cache (B is read once per block and tile),
// little enough that A and C of a block stay in the second.
constexpr int64_t kBlockPixels = 224;
// Below this, blocks are larger and windows are copies with zeros in the padding.
constexpr int64_t kFewChannels = 16;
// A packed filter of at most half a megabyte is read from the second-level cache, block after block.
constexpr int64_t kResidentFloats = int64_t{1} << 17;
// Below this many tasks a block's output channels are spread over several.
constexpr int64_t kMinTasks = 32;

// Large outputs that tiles store as whole cache lines, and don't add to.
bool WorthStreaming(const Product& product, const GemmTiles& tiles, size_t depths) {
  constexpr int64_t kLine = 16;
  const Destination& to = product.destination;
  const bool in_place = product.epilogue != nullptr && product.epilogue->residual == to.data;
  return depths == 1 && !product.accumulate && !in_place && tiles.panel() % kLine == 0 &&
         product.group_out % tiles.panel() == 0 &&
         WorthStreaming(TensorView(to.data, {product.source.N, to.H, to.W, to.C}), {});
}

// A strided filter's window has several times as many pixels as the block has outputs. With few channels the window is
// small, and larger blocks copy less of it per output.
int64_t BlockPixels(const Product& product) {
  if (product.source.C < kFewChannels) return 2 * kBlockPixels;
  const bool wide = product.taps.size() > 1 && product.source.step_h * product.source.step_w > 1;
  return wide ? kBlockPixels / 2 : kBlockPixels;
}

// The few columns whose taps leave a row make tiles of their own, one pixel from each row. These need several rows, and
// save time only where a copy would have many channels.
bool MayLeaveOutTaps(const Product& product, const BlockGrid& blocks) {
  constexpr int64_t kMinRows = 4;
  const Block block = blocks.Largest();
  return block.n1 * block.y1 >= kMinRows && product.source.C >= kFewChannels;
}

// Zeros to the pixels beside grid position (gy, gx). Done with the tile that writes the position: stores of zeros are
// slow, and pass while the next tile multiplies.
void ClearCell(const Destination& to, const GemmTiles& tiles, int64_t n, int64_t gy, int64_t gx, int64_t channel,
               int64_t columns, bool stream) {
  const int64_t y0 = gy * to.step_h;
  const int64_t x0 = gx * to.step_w;
  for (int64_t y = y0; y < std::min(y0 + to.step_h, to.H); ++y) {
    for (int64_t x = x0; x < std::min(x0 + to.step_w, to.W); ++x) {
      if (y == y0 && x == x0) continue;
      float* pixel = to.data + ((n * to.H + y) * to.W + x) * to.C + channel;
      if (stream) {
        tiles.stream_zeros(pixel, columns);
      } else {
        std::fill_n(pixel, columns, 0.0f);
      }
    }
  }
}

// Panels [panel0, panel1) of every group of one block.
struct BlockTask {
  Block block;
  int64_t panel0, panel1;
  const Block* next;                         // which this thread will likely see next, or null
  std::optional<ChannelMoments> statistics;  // of the block, if wanted
};

// The rows of B's panel that a depth block meets.
PrefetchPiece PanelMemory(const Product& product, const GemmTiles& tiles, const DepthBlock& depth, const float* packed,
                          int64_t group, int64_t panel) {
  const int64_t K = static_cast<int64_t>(product.taps.size()) * product.group_in;
  const int64_t column = panel * tiles.panel();
  const int64_t width = tiles.PanelVectors(product.group_out - column) * tiles.lanes;
  const int64_t row = static_cast<int64_t>(depth.tap0) * product.group_in + depth.c0;
  const int64_t rows = static_cast<int64_t>(depth.tap1 - depth.tap0 - 1) * product.group_in + depth.c1 - depth.c0;
  return Piece(packed + (group * tiles.PaddedColumns(product.group_out) + column) * K + row * width, rows * width);
}

// What a task, or the one that this thread will likely see next, reads for the first time: B's panels after the first,
// unless all of B stays in the second-level cache from block to block, and the next block's input.
std::vector<PrefetchPiece> MemoryAhead(const Product& product, const TapExtent& extent, const GemmTiles& tiles,
                                       const std::vector<DepthBlock>& depths, const float* packed,
                                       const BlockTask& task) {
  std::vector<PrefetchPiece> pieces;
  if (PackedFloats(product, tiles) > kResidentFloats) {
    for (int64_t group = 0; group < product.groups; ++group) {
      for (const DepthBlock& depth : depths) {
        for (int64_t panel = task.panel0; panel < task.panel1; ++panel) {
          pieces.push_back(PanelMemory(product, tiles, depth, packed, group, panel));
        }
      }
    }
    pieces.erase(pieces.begin());
    const bool more = task.panel1 * tiles.panel() < product.group_out;
    pieces.push_back(PanelMemory(product, tiles, depths.front(), packed, 0, more ? task.panel1 : 0));
  }
  if (task.next != nullptr) AppendBlockMemory(product.source, extent, *task.next, 0, product.source.C, pieces);
  return pieces;
}

// Columns of one panel for one depth block.
struct PanelRun {
  const DepthBlock& depth;
  int64_t group;
  int64_t channel;  // the panel's first, of C
  int64_t columns, vectors;
  bool last_depth;
};

// A grid position, and where it lies in the window and in C.
struct Place {
  int64_t n, gy, gx;
  int64_t a, c;
};

// All tiles of a region over one panel. `args` holds what they have in common.
void RunRegion(const Product& product, const GemmTiles& tiles, const Window& window, const Block& block,
               const Region& region, const PanelRun& panel, ForwardTileArgs args) {
  const Destination& destination = product.destination;
  TileEpilogue epilogue;  // the tiles' own: each has its place in the residual
  if (args.epilogue != nullptr) epilogue = *std::exchange(args.epilogue, &epilogue);
  const float* residual = epilogue.residual;
  std::array<TileRun, kMaxRuns> runs;
  args.runs = runs.data();
  args.num_runs = MakeRuns(product, window, panel.depth, panel.group, block.n0, region, runs);
  const int64_t width = region.x.size();
  const int64_t positions = (block.n1 - block.n0) * region.y.size() * width;
  const auto place = [&](int64_t i) {
    const int64_t n = block.n0 + i / width / region.y.size();
    const int64_t gy = region.y.begin + i / width % region.y.size();
    const int64_t gx = region.x.begin + i % width;
    return Place{n, gy, gx, window.Offset(n, gy * product.source.step_h, gx * product.source.step_w),
                 destination.Offset(n, gy, gx) + panel.channel};
  };
  const int64_t origin = place(0).a;
  // Where the image's rows are too short to fill tiles, these go on in the next row or image.
  const int64_t max_rows = tiles.MaxRows(panel.vectors);
  const int64_t max_scattered = std::min(max_rows, kMaxScatteredRows);
  const bool scatter = width < positions && TileSplit(width, max_rows).low < max_scattered - 1;
  const int64_t stretch = scatter ? positions : width;  // that is split into tiles
  const TileSplit split(stretch, scatter ? max_scattered : max_rows);
  const bool clear = product.clear_cells && panel.last_depth;
  for (int64_t begin = 0; begin < positions; begin += stretch) {
    for (int64_t i = 0; i < split.count; i += args.tiles) {
      const int64_t rows = split.Size(i);
      const int64_t at = begin + split.Begin(i);
      const Place first = place(at);
      args.a = window.data() + first.a - origin;
      args.c = destination.data + first.c;
      args.tiles = scatter || clear ? 1 : split.Alike(i);
      if (residual != nullptr) epilogue.residual = residual + first.c;
      if (at % width + rows <= width) {
        tiles.forward[panel.vectors - 1][rows - 1](args);
      } else {
        std::array<ScatteredRow, kMaxScatteredRows> scattered;
        for (int64_t r = 0; r < rows; ++r) {
          const Place row = place(at + r);
          scattered[static_cast<size_t>(r)] = {row.a - first.a, row.c - first.c};
        }
        args.scattered = scattered.data();
        tiles.forward_scattered[panel.vectors - 1][rows - 1](args);
        args.scattered = nullptr;
      }
      for (int64_t r = 0; clear && r < rows; ++r) {
        const Place cell = place(at + r);
        ClearCell(destination, tiles, cell.n, cell.gy, cell.gx, panel.channel, panel.columns, args.stream);
      }
    }
  }
}

void RunBlock(const Product& product, const TapExtent& extent, const GemmTiles& tiles,
              const std::vector<DepthBlock>& depths, const float* packed, const BlockTask& task,
              const WindowCopy& wanted, Scratch scratch) {
  const Block& block = task.block;
  const Window window(product.source, extent, block, 0, product.source.C, wanted, tiles, scratch);
  const std::vector<Region> regions = CutIntoRegions(product, extent, window, block);
  const int64_t K = static_cast<int64_t>(product.taps.size()) * product.group_in;
  const bool stream = WorthStreaming(product, tiles, depths.size());
  const std::vector<PrefetchPiece> ahead = MemoryAhead(product, extent, tiles, depths, packed, task);
  const int64_t tile_rows = tiles.MaxRows(tiles.PanelVectors(product.group_out));
  PrefetchStream prefetch(ahead, product.groups * K * (task.panel1 - task.panel0) * block.outputs() / tile_rows);
  StatisticsRows statistics;
  for (int64_t group = 0; group < product.groups; ++group) {
    for (size_t k = 0; k < depths.size(); ++k) {
      for (int64_t panel = task.panel0; panel < task.panel1; ++panel) {
        const int64_t column = panel * tiles.panel();
        const int64_t columns = std::min(tiles.panel(), product.group_out - column);
        const PanelRun run{depths[k],
                           group,
                           group * product.group_out + column,
                           columns,
                           tiles.PanelVectors(columns),
                           k + 1 == depths.size()};
        TileEpilogue epilogue;
        ForwardTileArgs args{};
        args.lda = product.source.step_w * window.pixel_pitch();
        args.b = packed + (group * tiles.PaddedColumns(product.group_out) + column) * K;
        args.ldc = product.destination.step_w * product.destination.C;
        args.columns = columns;
        args.accumulate = product.accumulate || k > 0;
        args.prefetch = &prefetch;
        args.stream = stream;
        if (run.last_depth && product.epilogue != nullptr) {
          epilogue = {product.epilogue->norm.From(run.channel), product.epilogue->residual};
          args.epilogue = &epilogue;
        }
        if (run.last_depth && task.statistics) {
          statistics.Open(task.statistics->From(run.channel), columns);
          args.statistics = &statistics;
        }
        for (const Region& region : regions) {
          RunRegion(product, tiles, window, block, region, run, args);
        }
        if (args.statistics != nullptr) statistics.Close();
      }
    }
  }
  if (stream) hwy::FlushStream();
}

void Run(const Product& product, const float* packed, const GemmTiles& tiles) {
  const TapExtent extent(product.taps);
  const BlockGrid blocks(product.source, BlockPixels(product));
  const std::vector<DepthBlock> depths = CutDepth(product.taps.size(), product.group_in);
  const int64_t panels = CeilDiv(product.group_out, tiles.panel());
  const int64_t wanted_splits = CeilDiv(kMinTasks, blocks.count());
  const EvenSplit panel_split(panels, CeilDiv(panels, wanted_splits));
  const WindowCopy wanted{.pad = !MayLeaveOutTaps(product, blocks), .prologue = product.prologue};
  const int64_t scratch = Window::ScratchBytes(product.source, extent, blocks.Largest(), product.source.C, wanted);
  ParallelForWithScratch(blocks.count() * panel_split.count, scratch, [&](int64_t task, Scratch memory) {
    const int64_t part = task % panel_split.count;
    const int64_t block = task / panel_split.count;
    Block next;
    const bool fetch = part + 1 == panel_split.count && block + 1 < blocks.count();
    if (fetch) next = blocks.Get(block + 1);
    BlockTask block_task{
        blocks.Get(block), panel_split.Begin(part), panel_split.End(part), fetch ? &next : nullptr, {}};
    if (product.statistics != nullptr) block_task.statistics = product.statistics->Part(block);
    RunBlock(product, extent, tiles, depths, packed, block_task, wanted, memory);
  });
}

void FillWithZeros(const Destination& to, int64_t images, int64_t grid_h, int64_t grid_w) {
  ParallelFor(images * grid_h, [&](int64_t row) {
    for (int64_t gx = 0; gx < grid_w; ++gx) {
      std::fill_n(to.data + to.Offset(row / grid_h, row % grid_h, gx), to.C, 0.0f);
    }
  });
}

}  // namespace

void DirectForward(const Conv2dGeometry& g, const float* input, const float* packed, float* output,
                   const Workspace& workspace, const Conv2dOptions& options) {
  Conv2dEpilogue wanted = options.epilogue;
  Product product = ForwardProduct(g, input, output);
  Tensor residual;
  if (wanted.residual.data() == output && CutDepth(product.taps.size(), product.group_in).size() > 1) {
    residual = workspace.NewTensor(g.output_shape());  // the first block of depth overwrites the output
    std::copy_n(output, residual.size(), residual.data());
    wanted.residual = residual;
  }
  const Normalization prologue = MakePrologue(options.prologue);
  const OutputEpilogue epilogue(wanted, g.OC, workspace);
  if (!prologue.empty()) product.prologue = &prologue;
  if (!epilogue.tile().empty()) product.epilogue = &epilogue.tile();
  if (wanted.mean.size() == 0) {
    Run(product, packed, CurrentGemmTiles());
    return;
  }
  const BlockGrid blocks(product.source, BlockPixels(product));
  OutputStatistics statistics(blocks.count(), g.OC, workspace);
  product.statistics = &statistics;
  Run(product, packed, CurrentGemmTiles());
  statistics.Merge([&](int64_t block) { return blocks.Get(block).outputs(); }, wanted.mean, wanted.var);
}

void DirectBackwardInput(const Conv2dGeometry& g, const float* grad_output, const float* packed, float* grad_input,
                         const Workspace& /*workspace*/, const Conv2dOptions& options) {
  const GemmTiles& tiles = CurrentGemmTiles();
  for (Product& product : BackwardInputProducts(g, grad_output, grad_input)) {
    product.accumulate = options.accumulate;
    if (options.accumulate) product.clear_cells = false;
    if (product.taps.empty()) {
      if (options.accumulate) continue;
      FillWithZeros(product.destination, g.N, product.source.grid_h, product.source.grid_w);
    } else {
      Run(product, packed, tiles);
    }
    packed += PackedFloats(product, tiles);
  }
}

}  // namespace hwynn
