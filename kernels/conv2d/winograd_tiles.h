#ifndef HWYNN_KERNELS_CONV2D_WINOGRAD_TILES_H_
#define HWYNN_KERNELS_CONV2D_WINOGRAD_TILES_H_

// Not for users: how the outputs of a stride-1 3×3 convolution are cut into tiles, for both of Winograd's drivers.

#include <algorithm>
#include <memory_resource>
#include <span>
#include <utility>
#include <vector>

#include "hwynn/core/split.h"
#include "hwynn/core/stack_memory.h"
#include "hwynn/core/workspace.h"
#include "hwynn/kernels/conv2d/winograd_kernels.h"

namespace hwynn {

/// Tiles of one extent, side by side in an image and in the products of a block.
struct WinogradRun {
  int64_t n, y, x;       // image, and first output
  int64_t down, across;  // outputs of each tile, of which some may lie beyond the image
  int64_t slot;          // the first tile's row in the products of a block
  int64_t tiles;
};

/// Tile (ty, tx) of an image makes the outputs from (m·ty, m·tx) on and reads the inputs from (m·ty − pad_h, m·tx −
/// pad_w) on. Tiles are numbered row by row, image after image.
struct WinogradTiles {
  int64_t N, H, W, OH, OW;
  int64_t pad_h, pad_w;
  int64_t m;

  int64_t rows() const { return CeilDiv(OH, m); }
  int64_t columns() const { return CeilDiv(OW, m); }
  int64_t count() const { return N * rows() * columns(); }

  /// Outputs of the tile that has `left` before it to the image's end.
  int64_t Outputs(int64_t left) const { return std::clamp(left, kMinWinogradOutputs, m); }
  /// Points of an image's tiles along an axis of `outputs` outputs.
  int64_t Points(int64_t outputs) const {
    const int64_t left = outputs % m;
    return outputs / m * (m + 2) + (left > 0 ? Outputs(left) + 2 : 0);
  }

  WinogradPatch<const float> Input(const WinogradRun& run, const float* data, int64_t channels,
                                   const float* zeros) const {
    return {data, run.n * H * W * channels, H, W, channels, run.y - pad_h, run.x - pad_w, run.tiles, zeros};
  }
  template <class T>
  WinogradPatch<T> Output(const WinogradRun& run, T* data, int64_t channels, const float* zeros = nullptr) const {
    return {data, run.n * OH * OW * channels, OH, OW, channels, run.y, run.x, run.tiles, zeros};
  }
  /// For all patches of inputs and outputs; so many floats.
  int64_t Zeros(int64_t in_channels, int64_t out_channels) const {
    return std::max(W * in_channels, OW * out_channels);
  }
  Tensor NewZeros(int64_t in_channels, int64_t out_channels, const Workspace& workspace) const {
    Tensor zeros = workspace.NewTensor({Zeros(in_channels, out_channels)});
    std::fill_n(zeros.data(), zeros.size(), 0.0f);
    return zeros;
  }

  /// The pixels of the input, in memory's order, that tiles [first, end) read and the rows of tiles before don't:
  /// [FirstInput(first), EndInput(end)).
  int64_t FirstInput(int64_t first) const { return InputsBefore(first / columns()); }
  int64_t EndInput(int64_t end) const { return InputsBefore(CeilDiv(end, columns())); }
  /// The pixels of the output in rows that the tiles make.
  int64_t FirstOutput(int64_t first) const { return OutputsBefore(first / columns()); }
  int64_t EndOutput(int64_t end) const { return OutputsBefore(CeilDiv(end, columns())); }

 private:
  // Pixels before those that a row of tiles, numbered over all images, is the first to read or write.
  int64_t InputsBefore(int64_t row) const {
    const int64_t y = row % rows() * m;
    return (row / rows() * H + (y == 0 ? 0 : std::clamp<int64_t>(y - pad_h + 2, 0, H))) * W;
  }
  int64_t OutputsBefore(int64_t row) const { return (row / rows() * OH + row % rows() * m) * OW; }
};

/// Some tiles, ordered for products: those that have the points of a given row or column are neighbours. Whole tiles
/// have all points; the last ones of a row or column may have fewer.
class WinogradBlock {
 public:
  /// No tiles yet; Next() starts with the first one.
  WinogradBlock(const WinogradTiles& tiles, int64_t first)
      : last_down_(tiles.Outputs(tiles.OH - (tiles.rows() - 1) * tiles.m)),
        last_across_(tiles.Outputs(tiles.OW - (tiles.columns() - 1) * tiles.m)) {
    const int64_t row = first / tiles.columns();
    next_ = {row / tiles.rows(), row % tiles.rows() * tiles.m, first % tiles.columns() * tiles.m, 0, 0, 0, 0};
  }
  /// Tiles [first, first + count).
  WinogradBlock(const WinogradTiles& tiles, int64_t first, int64_t count) : WinogradBlock(tiles, first) {
    Next(tiles, count);
  }

  /// Takes the following `count` tiles instead.
  void Next(const WinogradTiles& tiles, int64_t count) {
    runs_.clear();
    runs_.reserve(static_cast<size_t>(std::min<int64_t>(count, 64)));
    int64_t counts[4] = {};
    const int64_t whole = last_across_ == tiles.m ? tiles.columns() : tiles.columns() - 1;
    for (WinogradRun run = next_; count > 0; next_ = run) {
      run.down = tiles.Outputs(tiles.OH - run.y);
      run.across = tiles.Outputs(tiles.OW - run.x);
      run.tiles = std::min(count, std::max<int64_t>(1, whole - run.x / tiles.m));
      run.slot = counts[Kind(tiles, run)];
      counts[Kind(tiles, run)] += run.tiles;
      runs_.push_back(run);
      count -= run.tiles;
      run.x += run.tiles * tiles.m;
      if (run.x >= tiles.OW) run.x = 0, run.y += tiles.m;
      if (run.y >= tiles.OH) run.y = 0, ++run.n;
    }
    for (int i = 0; i < 4; ++i) start_[i + 1] = start_[i] + counts[i];
    for (WinogradRun& run : runs_) run.slot += start_[Kind(tiles, run)];
  }

  std::span<const WinogradRun> runs() const { return runs_; }
  int64_t tiles() const { return start_[4]; }

  /// Outputs of all tiles, within the images.
  int64_t outputs(const WinogradTiles& tiles) const {
    int64_t sum = 0;
    for (const WinogradRun& run : runs_) {
      sum += std::min(tiles.m, tiles.OH - run.y) * std::min(run.tiles * tiles.m, tiles.OW - run.x);
    }
    return sum;
  }

  /// The slots [first, second) of the tiles that have point (i, j); those of points (i, j) to (i, EndOfPoints(j)) are
  /// the same.
  std::pair<int64_t, int64_t> Slots(int64_t i, int64_t j) const {
    const bool all_rows = i >= last_down_ + 2;
    const bool all_columns = j >= last_across_ + 2;
    return {all_columns ? start_[1] : 0, all_rows ? start_[2] : all_columns ? start_[3] : start_[4]};
  }

  int64_t EndOfPoints(const WinogradTiles& tiles, int64_t j) const {
    return j < last_across_ + 2 ? last_across_ + 2 : tiles.m + 2;
  }

 private:
  // In this order those with all rows of points, those with all columns, and those with both are neighbours.
  static int Kind(const WinogradTiles& tiles, const WinogradRun& run) {
    if (run.down == tiles.m) return run.across == tiles.m ? 1 : 0;
    return run.across == tiles.m ? 2 : 3;
  }

  WinogradRun next_;
  StackMemory<8 << 10> memory_;
  std::pmr::vector<WinogradRun> runs_{memory_.resource()};
  int64_t last_down_, last_across_;
  int64_t start_[5] = {};  // slot of the first tile of each kind
};

/// A filter [3,3,C,O] as one pass sees it.
struct WinogradFilterView {
  const float* data;
  int64_t C, O;
  bool rotated;  // transposed, last tap first: `data` is [3,3,O,C]
};

/// Where a panel of a filter is transformed: [point][c][panel columns].
struct WinogradPanel {
  float* data;
  int64_t stride;  // between points
  float* taps;     // WinogradTapFloats, in which a filter is rotated first
};
int64_t WinogradTapFloats();

/// Transforms channels `c` of a filter and the columns of a panel from o0 on, padded with zeros.
void TransformWinogradPanel(const WinogradTransforms& transforms, const WinogradFilterView& filter, Range c, int64_t o0,
                            WinogradPanel to);

/// Floats between the points of transformed tiles: an odd number of cache lines, so that they spread over all sets of
/// the caches.
inline int64_t WinogradStride(int64_t tiles, int64_t channels) { return (CeilDiv(tiles * channels, 16) | 1) * 16; }

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_WINOGRAD_TILES_H_
