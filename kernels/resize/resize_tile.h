#ifndef HWYNN_KERNELS_RESIZE_RESIZE_TILE_H_
#define HWYNN_KERNELS_RESIZE_RESIZE_TILE_H_

// A part of a result, which one task computes, and the memory it works in.

#include <cstdint>

#include "hwynn/core/scratch.h"
#include "hwynn/core/split.h"
#include "hwynn/kernels/resize.h"
#include "hwynn/kernels/resize/taps.h"

namespace hwynn {

inline constexpr int64_t kBandRows = 16;     // of the source, that are turned together
inline constexpr int64_t kBlockPixels = 16;  // of each of them at once

struct ResizeTile {
  ByteImageView input;
  const ResizeTaps* y_taps;
  const ResizeTaps* x_taps;
  Range rows;          // of the window
  Range columns;       // of the window
  Range row_pairs;     // that these see
  Range column_pairs;  // that these see
  int64_t row_pair_bytes;
  uint8_t* output;  // the window's first byte
  int64_t output_stride;
};

struct ResizeMemory {
  uint8_t* block;      // kBlockPixels pixels
  uint8_t* planes;     // [channel][row of a band][kBlockPixels]
  uint8_t* turned;     // [pair of columns][channel][row of a band][2]
  uint8_t* columns;    // [column of the tile][channel][row of a band], and 8 more bytes a row
  uint8_t* row_pairs;  // [pair of rows][column][channel][2]
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_RESIZE_RESIZE_TILE_H_
