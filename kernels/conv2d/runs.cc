#include "hwynn/kernels/conv2d/runs.h"

#include <algorithm>

namespace hwynn {
namespace {

// Depth of B that is worked off at a time: 1024 rows of a 64-wide panel are 256 KiB of second-level cache.
constexpr int64_t kBlockDepth = 1024;

// Cuts grid positions into ranges that meet the same taps inside [0, size) of a source axis.
std::pmr::vector<Range> CutBySameTaps(Range grid, int64_t step, int64_t size, const std::vector<Tap>& taps,
                                      int64_t Tap::*offset, std::pmr::memory_resource* memory) {
  std::pmr::vector<int64_t> cuts({grid.begin, grid.end}, memory);
  cuts.reserve(2 + 2 * taps.size());
  for (const Tap& tap : taps) {
    // The first position that the tap moves to `at` or beyond.
    for (const int64_t at : {int64_t{0}, size}) {
      const int64_t cut = CeilDiv(std::max<int64_t>(at - tap.*offset, 0), step);
      if (cut > grid.begin && cut < grid.end) cuts.push_back(cut);
    }
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  std::pmr::vector<Range> ranges(memory);
  ranges.reserve(cuts.size());
  for (size_t i = 0; i + 1 < cuts.size(); ++i) ranges.push_back({cuts[i], cuts[i + 1]});
  return ranges;
}

}  // namespace

std::vector<DepthBlock> CutDepth(size_t taps, int64_t channels) {
  std::vector<DepthBlock> blocks;
  const EvenSplit channel_split(channels, kBlockDepth);
  if (channel_split.count > 1) {
    for (size_t tap = 0; tap < taps; ++tap) {
      for (int64_t i = 0; i < channel_split.count; ++i) {
        blocks.push_back({tap, tap + 1, channel_split.Begin(i), channel_split.End(i)});
      }
    }
    return blocks;
  }
  const int64_t most = std::clamp<int64_t>(kBlockDepth / channels, 1, static_cast<int64_t>(kMaxRuns));
  const EvenSplit tap_split(static_cast<int64_t>(taps), most);
  for (int64_t i = 0; i < tap_split.count; ++i) {
    blocks.push_back({static_cast<size_t>(tap_split.Begin(i)), static_cast<size_t>(tap_split.End(i)), 0, channels});
  }
  return blocks;
}

std::pmr::vector<Region> CutIntoRegions(const Product& product, const TapExtent& extent, const Window& window,
                                        const Block& block, std::pmr::memory_resource* memory) {
  const Source& source = product.source;
  const auto leaves = [](Range grid, int64_t step, int64_t size, int64_t min, int64_t max) {
    return grid.begin * step + min < 0 || (grid.end - 1) * step + max >= size;
  };
  const Region whole{block.y, block.x};
  const bool leaves_y = leaves(whole.y, source.step_h, source.H, extent.min_y, extent.max_y);
  // A copy has zeros left and right of the image.
  const bool leaves_x = !window.copied() && leaves(whole.x, source.step_w, source.W, extent.min_x, extent.max_x);
  if (!leaves_x && !leaves_y) return std::pmr::vector<Region>({whole}, memory);
  std::pmr::vector<Range> columns({whole.x}, memory);
  if (leaves_x) columns = CutBySameTaps(whole.x, source.step_w, source.W, product.taps, &Tap::x, memory);
  const auto rows = CutBySameTaps(whole.y, source.step_h, source.H, product.taps, &Tap::y, memory);
  std::pmr::vector<Region> regions(memory);
  regions.reserve(rows.size() * columns.size());
  for (const Range& y : rows) {
    for (const Range& x : columns) regions.push_back({y, x});
  }
  return regions;
}

int64_t MakeRuns(const Product& product, const Window& window, const DepthBlock& depth, const RunsFrom& from,
                 std::array<TileRun, kMaxRuns>& runs) {
  const Source& source = product.source;
  const int64_t length = depth.c1 - depth.c0;
  int64_t count = 0;
  for (size_t t = depth.tap0; t < depth.tap1; ++t) {
    const int64_t y = from.region.y.begin * source.step_h + product.taps[t].y;
    const int64_t x = from.region.x.begin * source.step_w + product.taps[t].x;
    if (y < 0 || y >= source.H || (!window.copied() && (x < 0 || x >= source.W))) continue;
    const int64_t a = window.Offset(from.n, y, x) + from.group * product.group_in + depth.c0;
    const int64_t b = product.taps[t].number * product.group_in + depth.c0;
    if (count > 0) {
      TileRun& last = runs[static_cast<size_t>(count - 1)];
      if (last.a + last.k == a && last.b + last.k == b) {
        last.k += length;
        continue;
      }
    }
    runs[static_cast<size_t>(count++)] = {a, b, length};
  }
  return count;
}

}  // namespace hwynn
