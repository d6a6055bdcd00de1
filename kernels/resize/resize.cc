#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/resize/resize.cc"
#include "hwynn/kernels/resize.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/core/split.h"
#include "hwynn/kernels/resize/resize-inl.h"
#include "hwynn/kernels/resize/resize_tile.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

void RunTile(const ResizeTile& tile, const ResizeMemory& memory) { ResizeTileRows(tile, memory); }

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
namespace {

HWY_EXPORT(RunTile);

// Bytes between the passes that a tile keeps, about: they should stay in the second-level cache beside what is turned.
constexpr int64_t kTileBytes = 192 << 10;
// Rows of a tile, at least: neighbours compute the rows that both see, about two radii of them, twice.
constexpr int64_t kLeastTileRows = 16;

constexpr int64_t kMaxSource = int64_t{1} << 20;
constexpr int64_t kMaxResult = (int64_t{1} << 31) - 1;
// Weights of 22 bits don't tell many more pixels apart, and a tile's memory grows with the pixels that one sees.
constexpr int64_t kMaxShrinking = int64_t{1} << 15;

void CheckAxis(const char* axis, int64_t source, int64_t result, int64_t begin, int64_t size) {
  Check(source > 0 && source <= kMaxSource, "ResizeImage: the image's ", axis, " ", source, " must be 1 … ",
        kMaxSource);
  Check(result > 0 && result <= kMaxResult, "ResizeImage: the result's ", axis, " ", result, " must be 1 … ",
        kMaxResult);
  Check(source / kMaxShrinking <= result, "ResizeImage: ", axis, " ", source, " can't become ", result,
        ": no image is made more than ", kMaxShrinking, " times smaller");
  Check(begin >= 0 && size > 0 && size <= result && begin <= result - size, "ResizeImage: a window of ", axis, " ",
        size, " at ", begin, " isn't inside the result's ", result);
}

// How a result is cut: tiles of whole rows of the window, or of parts of rows where so many source rows are needed
// that whole ones wouldn't fit.
class TileGrid {
 public:
  TileGrid(const ResizeParams& params, const ByteImageView& input, uint8_t* output)
      : y_taps_(params.interpolation, input.height, params.height, WindowRows(params)),
        x_taps_(params.interpolation, input.width, params.width, WindowColumns(params)),
        input_(input),
        output_(output),
        output_stride_(params.window_width * input.channels),
        columns_(params.window_width, MostColumns(params)),
        rows_(params.window_height, MostRows(params)) {
    for (int64_t i = 0; i < rows_.count; ++i) most_row_pairs_ = std::max(most_row_pairs_, Rows(i).row_pairs.size());
    for (int64_t i = 0; i < columns_.count; ++i) {
      most_column_pairs_ = std::max(most_column_pairs_, Columns(i).column_pairs.size());
    }
  }

  int64_t count() const { return rows_.count * columns_.count; }

  ResizeTile Tile(int64_t task) const {
    ResizeTile tile = Rows(task / columns_.count);
    const ResizeTile columns = Columns(task % columns_.count);
    tile.columns = columns.columns;
    tile.column_pairs = columns.column_pairs;
    tile.row_pair_bytes = RowPairBytes();
    return tile;
  }

  int64_t ScratchBytes() const {
    return Scratch::Bytes<uint8_t>(BlockBytes()) + Scratch::Bytes<uint8_t>(PlanesBytes()) +
           Scratch::Bytes<uint8_t>(TurnedBytes()) + Scratch::Bytes<uint8_t>(ColumnsBytes()) +
           Scratch::Bytes<uint8_t>(RowPairsBytes());
  }

  ResizeMemory Take(Scratch scratch) const {
    return {.block = scratch.Take<uint8_t>(BlockBytes()),
            .planes = scratch.Take<uint8_t>(PlanesBytes()),
            .turned = scratch.Take<uint8_t>(TurnedBytes()),
            .columns = scratch.Take<uint8_t>(ColumnsBytes()),
            .row_pairs = scratch.Take<uint8_t>(RowPairsBytes())};
  }

 private:
  static Range WindowRows(const ResizeParams& params) {
    return {params.window_top, params.window_top + params.window_height};
  }
  static Range WindowColumns(const ResizeParams& params) {
    return {params.window_left, params.window_left + params.window_width};
  }

  // Source rows that `count` rows of the window see, at most but for rounding.
  int64_t SourceRows(const ResizeParams& params, int64_t count) const {
    const int64_t whole = 2 * y_taps_.Pairs(0).size();
    return whole + (count - 1) * input_.height / params.height + 1;
  }
  int64_t MostColumns(const ResizeParams& params) const {
    const int64_t rows = SourceRows(params, std::min(kLeastTileRows, params.window_height));
    return std::clamp<int64_t>(kTileBytes / (rows * input_.channels), 1, params.window_width);
  }
  int64_t MostRows(const ResizeParams& params) const {
    const int64_t columns = MostColumns(params);
    int64_t rows = std::min(kLeastTileRows, params.window_height);
    while (rows < params.window_height && SourceRows(params, 2 * rows) * columns * input_.channels <= kTileBytes) {
      rows *= 2;
    }
    return std::min(rows, params.window_height);
  }

  ResizeTile Rows(int64_t i) const {
    const Range rows = {rows_.Begin(i), rows_.End(i)};
    return {.input = input_,
            .y_taps = &y_taps_,
            .x_taps = &x_taps_,
            .rows = rows,
            .row_pairs = y_taps_.PairsOf(rows),
            .output = output_,
            .output_stride = output_stride_};
  }
  ResizeTile Columns(int64_t i) const {
    const Range columns = {columns_.Begin(i), columns_.End(i)};
    return {.columns = columns, .column_pairs = x_taps_.PairsOf(columns)};
  }

  int64_t RowPairBytes() const { return RoundUp(2 * columns_.Largest() * input_.channels, 2 * kBandRows); }
  int64_t BlockBytes() const { return kBlockPixels * input_.channels; }
  int64_t PlanesBytes() const { return BlockBytes() * kBandRows; }
  // Blocks are turned whole, and a vector of the last pair's bytes ends with it.
  int64_t TurnedBytes() const {
    return RoundUp(most_column_pairs_, kBlockPixels / 2) * input_.channels * 2 * kBandRows;
  }
  int64_t ColumnsBytes() const { return RoundUp(columns_.Largest() * input_.channels, 8) * kBandRows; }
  int64_t RowPairsBytes() const { return RoundUp(most_row_pairs_, kBandRows / 2) * RowPairBytes(); }

  ResizeTaps y_taps_, x_taps_;
  ByteImageView input_;
  uint8_t* output_;
  int64_t output_stride_;
  EvenSplit columns_, rows_;
  int64_t most_row_pairs_ = 0, most_column_pairs_ = 0;
};

}  // namespace

void ResizeImage(const ResizeParams& params, const ByteImageView& input, std::span<uint8_t> output) {
  CheckAxis("height", input.height, params.height, params.window_top, params.window_height);
  CheckAxis("width", input.width, params.width, params.window_left, params.window_width);
  constexpr int64_t kMaxChannels = 1 << 10;
  Check(input.channels > 0 && input.channels <= kMaxChannels, "ResizeImage: channels (", input.channels,
        ") must be 1 … ", kMaxChannels);
  Check(input.row_stride >= input.width * input.channels || input.height == 1, "ResizeImage: row_stride (",
        input.row_stride, ") is less than the ", input.width * input.channels, " bytes of a row");
  const int64_t row_bytes = params.window_width * input.channels;
  Check(std::ssize(output) % row_bytes == 0 && std::ssize(output) / row_bytes == params.window_height,
        "ResizeImage: output has ", output.size(), " bytes for a window of [", params.window_height, ",",
        params.window_width, ",", input.channels, "]");
  const TileGrid grid(params, input, output.data());
  ParallelForWithScratch(grid.count(), grid.ScratchBytes(), [&](int64_t task, Scratch scratch) {
    HWY_DYNAMIC_DISPATCH(RunTile)(grid.Tile(task), grid.Take(scratch));
  });
}

}  // namespace hwynn
#endif  // HWY_ONCE
