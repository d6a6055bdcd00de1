#ifndef HWYNN_KERNELS_WINOGRAD_TILES_H_
#define HWYNN_KERNELS_WINOGRAD_TILES_H_

// Not for users: how the outputs of a stride-1 3×3 convolution are cut into tiles, for both of Winograd's drivers.

#include <algorithm>
#include <utility>
#include <vector>

#include "hwynn/kernels/winograd.h"

namespace hwynn {

struct WinogradTile {
  int64_t n, y, x;       // image, and first output
  int64_t down, across;  // outputs, of which some may lie beyond the image
  int64_t slot;          // its row in the products of a block
};

/// Tile (ty, tx) of an image makes the outputs from (m·ty, m·tx) on and reads the inputs from (m·ty − pad_h, m·tx −
/// pad_w) on. Tiles are numbered row by row, image after image.
struct WinogradTiles {
  int64_t N, H, W, OH, OW;
  int64_t pad_h, pad_w;
  int64_t m;

  int64_t rows() const { return (OH + m - 1) / m; }
  int64_t columns() const { return (OW + m - 1) / m; }
  int64_t count() const { return N * rows() * columns(); }

  /// Outputs of the tile that has `left` before it to the image's end.
  int64_t Outputs(int64_t left) const { return std::clamp(left, kMinWinogradOutputs, m); }
  /// Points of an image's tiles along an axis of `outputs` outputs.
  int64_t Points(int64_t outputs) const {
    const int64_t left = outputs % m;
    return outputs / m * (m + 2) + (left > 0 ? Outputs(left) + 2 : 0);
  }

  WinogradPatch<const float> Input(const WinogradTile& tile, const float* data, int64_t channels) const {
    const int64_t y = tile.y - pad_h;
    const int64_t x = tile.x - pad_w;
    return {data,
            ((tile.n * H + y) * W + x) * channels,
            W * channels,
            channels,
            std::max<int64_t>(0, -y),
            H - y,
            std::max<int64_t>(0, -x),
            W - x};
  }
  template <class T>
  WinogradPatch<T> Output(const WinogradTile& tile, T* data, int64_t channels) const {
    return {data,       ((tile.n * OH + tile.y) * OW + tile.x) * channels, OW * channels, channels, 0, OH - tile.y, 0,
            OW - tile.x};
  }

  /// The pixels of the input, in memory's order, that tiles [first, end) read and the rows of tiles before don't:
  /// [FirstInput(first), EndInput(end)).
  int64_t FirstInput(int64_t first) const { return InputsBefore(first / columns()); }
  int64_t EndInput(int64_t end) const { return InputsBefore((end + columns() - 1) / columns()); }
  /// The pixels of the output in rows that the tiles make.
  int64_t FirstOutput(int64_t first) const { return OutputsBefore(first / columns()); }
  int64_t EndOutput(int64_t end) const { return OutputsBefore((end + columns() - 1) / columns()); }

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
    next_ = {row / tiles.rows(), row % tiles.rows() * tiles.m, first % tiles.columns() * tiles.m, 0, 0, 0};
  }
  /// Tiles [first, first + count).
  WinogradBlock(const WinogradTiles& tiles, int64_t first, int64_t count) : WinogradBlock(tiles, first) {
    Next(tiles, count);
  }

  /// Takes the following `count` tiles instead.
  void Next(const WinogradTiles& tiles, int64_t count) {
    tiles_.resize(static_cast<size_t>(count));
    int64_t counts[4] = {};
    WinogradTile tile = next_;
    for (WinogradTile& each : tiles_) {
      tile.down = tiles.Outputs(tiles.OH - tile.y);
      tile.across = tiles.Outputs(tiles.OW - tile.x);
      tile.slot = counts[Kind(tiles, tile)]++;
      each = tile;
      tile.x += tiles.m;
      if (tile.x >= tiles.OW) tile.x = 0, tile.y += tiles.m;
      if (tile.y >= tiles.OH) tile.y = 0, ++tile.n;
    }
    next_ = tile;
    for (int i = 0; i < 4; ++i) start_[i + 1] = start_[i] + counts[i];
    if (counts[1] == count) return;
    for (WinogradTile& each : tiles_) each.slot += start_[Kind(tiles, each)];
  }

  const std::vector<WinogradTile>& tiles() const { return tiles_; }

  /// Outputs of all tiles, within the images.
  int64_t outputs(const WinogradTiles& tiles) const {
    int64_t sum = 0;
    for (const WinogradTile& tile : tiles_) {
      sum += std::min(tiles.m, tiles.OH - tile.y) * std::min(tiles.m, tiles.OW - tile.x);
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
  static int Kind(const WinogradTiles& tiles, const WinogradTile& tile) {
    if (tile.down == tiles.m) return tile.across == tiles.m ? 1 : 0;
    return tile.across == tiles.m ? 2 : 3;
  }

  WinogradTile next_;
  std::vector<WinogradTile> tiles_;
  int64_t last_down_, last_across_;
  int64_t start_[5] = {};  // slot of the first tile of each kind
};

/// Appends the i-th of n even shares of a piece of one row.
inline void AppendShare(const PrefetchStream::Piece& piece, int64_t i, int64_t n,
                        std::vector<PrefetchStream::Piece>& pieces) {
  const int64_t begin = piece.floats * i / n;
  const int64_t end = piece.floats * (i + 1) / n;
  if (begin < end) pieces.push_back({piece.data + begin, end - begin});
}

/// Floats between the points of transformed tiles: an odd number of cache lines, so that they spread over all sets of
/// the caches.
inline int64_t WinogradStride(int64_t tiles, int64_t channels) { return ((tiles * channels + 15) / 16 | 1) * 16; }

}  // namespace hwynn

#endif  // HWYNN_KERNELS_WINOGRAD_TILES_H_
