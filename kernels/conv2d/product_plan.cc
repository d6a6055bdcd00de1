#include "hwynn/kernels/conv2d/product_plan.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <array>
#include <utility>

#include "hwynn/core/parallel.h"
#include "hwynn/core/stack_memory.h"
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

// The widest panel of any target: what is cut by panels, but mustn't know the lanes, counts these.
constexpr int64_t kWidestPanel = 64;

// A strided filter's window has several times as many pixels as the block has outputs. With few channels the window is
// small, and larger blocks copy less of it per output. Small images are cut for a few threads.
int64_t BlockPixels(const Product& product, const Conv2dSetup& setup) {
  constexpr int64_t kFewTasks = 8;
  constexpr int64_t kFewestPixels = 48;  // eight tiles
  const Source& source = product.source;
  if (source.C < kFewChannels) return 2 * kBlockPixels;
  const bool wide = product.taps.size() > 1 && source.step_h * source.step_w > 1;
  const int64_t most = wide ? kBlockPixels / 2 : kBlockPixels;
  if (setup.statistics || setup.gradient)
    return most;  // blocks are parts of their sums, which small ones make no better
  const int64_t images = setup.batch_invariant ? 1 : source.N;
  const int64_t blocks = CeilDiv(kFewTasks, product.groups * CeilDiv(product.group_out, kWidestPanel));
  return std::clamp(CeilDiv(images * source.grid_h * source.grid_w, blocks), kFewestPixels, most);
}

// The few columns whose taps leave a row make tiles of their own, one pixel from each row. These need several rows, and
// save time only where a copy would have many channels. Zeros or no taps: the same sums, unless the filter has values
// that aren't finite; so where results mustn't depend on the batch, neither may this.
bool LeavesOutTaps(const Product& product, const Block& largest, const Conv2dSetup& setup) {
  constexpr int64_t kMinRows = 4;
  const int64_t images = setup.batch_invariant ? 1 : largest.n.size();
  return images * largest.y.size() >= kMinRows && product.source.C >= kFewChannels;
}

// What a next block's memory is in, mostly: its rows, or all of it.
constexpr size_t kPiecesOfABlock = 32;

// Whether several tasks read each block, for some of its output channels: few blocks, several panels on any target. Not
// panel_split, which knows the lanes: a copied window has its tiles in another order, and so has its statistics.
bool SharesBlocks(const Product& product, const BlockGrid& blocks) {
  return blocks.count() < kMinTasks && product.group_out >= kWidestPanel;
}

// Some panels, of every group, of one block.
class BlockTask {
 public:
  BlockTask(const ProductPlan& plan, const ProductCall& call, int64_t task, Scratch scratch)
      : plan_(plan),
        call_(call),
        part_(task % plan.panel_split.count),
        index_(task / plan.panel_split.count),
        block_(plan.blocks.Get(index_)),
        window_(plan.windows.Open(call.source, call.prologue, block_, {0, plan.product.source.C}, scratch)),
        regions_(CutIntoRegions(plan.product, plan.windows.extent(), window_, block_, memory_.resource())) {
    AppendMemoryAhead();
    const int64_t tile_rows = plan.tiles.MaxRows(plan.tiles.PanelVectors(plan.product.group_out));
    const int64_t panels = plan.panel_split.Size(part_);
    prefetch_ = {ahead_, plan.product.groups * plan.K() * panels * block_.outputs() / tile_rows};
  }
  BlockTask(const BlockTask&) = delete;
  BlockTask& operator=(const BlockTask&) = delete;

  void Run();

 private:
  // A panel for one depth block.
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

  void AppendMemoryAhead();
  void AppendEpilogueMemory(const Block& block, int64_t group, int64_t panel);
  void AppendOutputs(const float* array, const Block& block, int64_t group, int64_t panel);
  PrefetchPiece PanelMemory(const DepthBlock& depth, int64_t group, int64_t panel) const;
  void RunPanel(int64_t group, size_t depth, int64_t panel);
  void RunRegion(const Region& region, const PanelRun& panel, ForwardTileArgs args);
  Place PlaceOf(const Region& region, int64_t position) const;
  void ClearCell(const Place& cell, const PanelRun& panel) const;

  const ProductPlan& plan_;
  const ProductCall& call_;
  const int64_t part_;   // of the panels
  const int64_t index_;  // of the block
  const Block block_;
  const Window window_;
  StackMemory<16 << 10> memory_;  // of the lists
  const std::pmr::vector<Region> regions_;
  PrefetchPieces ahead_{memory_.resource()};
  PrefetchStream prefetch_;
  StatisticsRows statistics_;
  GradientSums gradient_;
};

// The rows of a panel that a depth block meets, with those of taps between that it doesn't.
PrefetchPiece BlockTask::PanelMemory(const DepthBlock& depth, int64_t group, int64_t panel) const {
  const std::vector<Tap>& taps = plan_.product.taps;
  const int64_t begin = taps[depth.tap0].number * plan_.product.group_in + depth.c0;
  const int64_t end = taps[depth.tap1 - 1].number * plan_.product.group_in + depth.c1;
  return Piece(call_.packed + plan_.panels.Offset(group, panel, begin), (end - begin) * plan_.panels.Width(panel));
}

// What this task, or the one that this thread will likely see next, reads for the first time: B's panels after the
// first, unless all of B stays in the second-level cache from block to block, and the next block's input.
void BlockTask::AppendMemoryAhead() {
  const Product& product = plan_.product;
  const int64_t panel0 = plan_.panel_split.Begin(part_);
  const int64_t panel1 = plan_.panel_split.End(part_);
  const bool resident = product.groups * plan_.K() * plan_.panels.padded_columns() <= kResidentFloats;
  const bool last_part = part_ + 1 == plan_.panel_split.count;
  ahead_.reserve(plan_.depths.size() * static_cast<size_t>(product.groups * (panel1 - panel0)) + kPiecesOfABlock);
  for (int64_t group = 0; group < product.groups; ++group) {
    for (size_t depth = 0; depth < plan_.depths.size(); ++depth) {
      for (int64_t panel = panel0; panel < panel1; ++panel) {
        const bool first = group == 0 && panel == panel0;
        if (!resident && !(first && depth == 0)) ahead_.push_back(PanelMemory(plan_.depths[depth], group, panel));
        if (depth + 1 == plan_.depths.size() && !first) AppendEpilogueMemory(block_, group, panel);
      }
    }
  }
  if (!resident) ahead_.push_back(PanelMemory(plan_.depths.front(), 0, last_part ? 0 : panel1));
  if (!last_part) return AppendEpilogueMemory(block_, 0, panel1);
  if (index_ + 1 == plan_.blocks.count()) return;
  const Block next = plan_.blocks.Get(index_ + 1);
  plan_.windows.AppendMemory(call_.source, next, {0, product.source.C}, ahead_);
  AppendEpilogueMemory(next, 0, 0);
}

// What an epilogue reads of a block in a panel's columns, a residual or what a gradient is masked by: lines a pixel
// apart, which no prefetcher of the hardware sees coming.
void BlockTask::AppendEpilogueMemory(const Block& block, int64_t group, int64_t panel) {
  if (call_.gradient != nullptr) {
    const GradientEpilogue& epilogue = call_.gradient->epilogue();
    AppendOutputs(epilogue.input, block, group, panel);
    AppendOutputs(epilogue.output, block, group, panel);
    if (call_.accumulate) AppendOutputs(epilogue.grad, block, group, panel);
  }
  if (call_.epilogue != nullptr) AppendOutputs(call_.epilogue->residual, block, group, panel);
}

// Of an array that is laid out as the output; it may be null.
void BlockTask::AppendOutputs(const float* array, const Block& block, int64_t group, int64_t panel) {
  if (array == nullptr) return;
  const Destination& to = plan_.product.destination;
  const int64_t channel = group * plan_.product.group_out + plan_.panels.Begin(panel);
  for (int64_t n = block.n.begin; n < block.n.end; ++n) {
    for (int64_t y = block.y.begin; y < block.y.end; ++y) {
      AppendRows(Piece(array + to.Offset(n, y, block.x.begin) + channel, plan_.panels.Columns(panel), block.x.size(),
                       to.step_w * to.C),
                 ahead_);
    }
  }
}

void BlockTask::Run() {
  for (int64_t group = 0; group < plan_.product.groups; ++group) {
    for (size_t depth = 0; depth < plan_.depths.size(); ++depth) {
      for (int64_t panel = plan_.panel_split.Begin(part_); panel < plan_.panel_split.End(part_); ++panel) {
        RunPanel(group, depth, panel);
      }
    }
  }
  if (call_.stream) hwy::FlushStream();
}

void BlockTask::RunPanel(int64_t group, size_t depth, int64_t panel) {
  const Product& product = plan_.product;
  const PanelRun run{.depth = plan_.depths[depth],
                     .group = group,
                     .channel = group * product.group_out + plan_.panels.Begin(panel),
                     .columns = plan_.panels.Columns(panel),
                     .vectors = plan_.panels.Vectors(panel),
                     .last_depth = depth + 1 == plan_.depths.size()};
  TileEpilogue epilogue;
  ForwardTileArgs args{};
  args.a_pitch = product.source.step_w * window_.pixel_pitch();
  args.b = call_.packed + plan_.panels.Offset(group, panel);
  args.c_pitch = product.destination.step_w * product.destination.C;
  args.columns = run.columns;
  args.accumulate = call_.accumulate || depth > 0;
  args.prefetch = &prefetch_;
  args.stream = call_.stream;
  if (run.last_depth && call_.epilogue != nullptr) {
    epilogue = {call_.epilogue->norm.From(run.channel), call_.epilogue->residual};
    args.epilogue = &epilogue;
  }
  if (run.last_depth && call_.statistics != nullptr) {
    statistics_.Open(call_.statistics->Part(index_).From(run.channel), run.columns, call_.stream);
    args.statistics = &statistics_;
  }
  if (run.last_depth && call_.gradient != nullptr) {
    call_.gradient->Open(call_.first_part + index_, run.channel, run.columns, gradient_);
    args.gradient = &gradient_;
  }
  for (const Region& region : regions_) RunRegion(region, run, args);
  if (args.statistics != nullptr) statistics_.Close();
  if (args.gradient != nullptr) gradient_.Close();
}

BlockTask::Place BlockTask::PlaceOf(const Region& region, int64_t position) const {
  const Source& source = plan_.product.source;
  const int64_t row = position / region.x.size();
  const int64_t n = block_.n.begin + row / region.y.size();
  const int64_t gy = region.y.begin + row % region.y.size();
  const int64_t gx = region.x.begin + position % region.x.size();
  return {n, gy, gx, window_.Offset(n, gy * source.step_h, gx * source.step_w),
          plan_.product.destination.Offset(n, gy, gx)};
}

// Zeros to the pixels beside a grid position. Done with the tile that writes the position: stores of zeros are slow,
// and pass while the next tile multiplies.
void BlockTask::ClearCell(const Place& cell, const PanelRun& panel) const {
  const Destination& to = plan_.product.destination;
  const int64_t y0 = cell.gy * to.step_h;
  const int64_t x0 = cell.gx * to.step_w;
  for (int64_t y = y0; y < std::min(y0 + to.step_h, to.H); ++y) {
    for (int64_t x = x0; x < std::min(x0 + to.step_w, to.W); ++x) {
      if (y == y0 && x == x0) continue;
      float* pixel = call_.destination + ((cell.n * to.H + y) * to.W + x) * to.C + panel.channel;
      if (call_.stream) {
        plan_.tiles.stream_zeros(pixel, panel.columns);
      } else {
        std::fill_n(pixel, panel.columns, 0.0f);
      }
    }
  }
}

// All tiles of a region over one panel. `args` holds what they have in common.
void BlockTask::RunRegion(const Region& region, const PanelRun& panel, ForwardTileArgs args) {
  const GemmTiles& tiles = plan_.tiles;
  TileEpilogue epilogue;  // the tiles' own: each has its place in the residual
  if (args.epilogue != nullptr) epilogue = *std::exchange(args.epilogue, &epilogue);
  const float* residual = epilogue.residual;
  std::array<TileRun, kMaxRuns> runs;
  args.runs = runs.data();
  args.num_runs = MakeRuns(plan_.product, window_, panel.depth, {panel.group, block_.n.begin, region}, runs);
  const int64_t width = region.x.size();
  const int64_t positions = block_.n.size() * region.y.size() * width;
  const int64_t origin = PlaceOf(region, 0).a;
  // Where the image's rows are too short to fill tiles, these go on in the next row or image.
  const int64_t max_rows = tiles.MaxRows(panel.vectors);
  const int64_t max_scattered = std::min(max_rows, kMaxScatteredRows);
  const bool scatter = width < positions && TileSplit(width, max_rows).low < max_scattered - 1;
  const int64_t stretch = scatter ? positions : width;  // that is split into tiles
  const TileSplit split(stretch, scatter ? max_scattered : max_rows);
  const bool clear = plan_.product.clear_cells && !call_.accumulate && panel.last_depth;
  for (int64_t begin = 0; begin < positions; begin += stretch) {
    for (int64_t i = 0; i < split.count; i += args.tiles) {
      const int64_t rows = split.Size(i);
      const int64_t at = begin + split.Begin(i);
      const Place first = PlaceOf(region, at);
      args.a = window_.data() + first.a - origin;
      args.c = call_.destination + first.c + panel.channel;
      args.tiles = scatter || clear || plan_.precise ? 1 : split.Alike(i);
      if (residual != nullptr) epilogue.residual = residual + first.c + panel.channel;
      std::array<ScatteredRow, kMaxScatteredRows> scattered;
      args.scattered = nullptr;
      if (at % width + rows > width) {
        for (int64_t r = 0; r < rows; ++r) {
          const Place row = PlaceOf(region, at + r);
          scattered[static_cast<size_t>(r)] = {row.a - first.a, row.c - first.c};
        }
        args.scattered = scattered.data();
      }
      if (plan_.precise) {
        tiles.forward_precise[panel.vectors - 1](args, rows);
      } else {
        const auto& forward = args.scattered != nullptr ? tiles.forward_scattered : tiles.forward;
        forward[panel.vectors - 1][rows - 1](args);
      }
      for (int64_t r = 0; clear && r < rows; ++r) ClearCell(PlaceOf(region, at + r), panel);
    }
  }
}

}  // namespace

ProductPlan::ProductPlan(Product wanted, const Conv2dSetup& setup)
    : product(std::move(wanted)),
      tiles(CurrentGemmTiles()),
      panels(DirectPanels({setup.pass, setup.geometry.filter_shape(), setup.geometry.groups}, tiles)),
      blocks(product.source, BlockPixels(product, setup)),
      depths(CutDepth(product.taps.size(), product.group_in)),
      precise(setup.precision == Precision::kHighest),
      panel_split(panels.count(), CeilDiv(panels.count(), CeilDiv(kMinTasks, blocks.count()))),
      windows(product.source, product.taps, blocks.Largest(), product.source.C,
              {.pad = !LeavesOutTaps(product, blocks.Largest(), setup),
               .prologue = setup.prologue && !SharesBlocks(product, blocks)}),
      prologue_first(windows.prologue_first() || (setup.prologue && SharesBlocks(product, blocks))) {}

bool ProductPlan::Streams(const ProductCall& call) const {
  constexpr int64_t kLine = 16;
  const Destination& to = product.destination;
  const bool in_place = call.epilogue != nullptr && call.epilogue->residual == call.destination;
  return !precise && depths.size() == 1 && !call.accumulate && !in_place && tiles.panel() % kLine == 0 &&
         product.group_out % tiles.panel() == 0 &&
         WorthStreaming(TensorView(call.destination, {to.N, to.H, to.W, to.C}), {});
}

void ProductPlan::Run(ProductCall call) const {
  call.stream = Streams(call);
  ParallelForWithScratch(blocks.count() * panel_split.count, windows.scratch_bytes(),
                         [&](int64_t task, Scratch scratch) { BlockTask(*this, call, task, scratch).Run(); });
}

}  // namespace hwynn
