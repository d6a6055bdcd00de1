#ifndef HWYNN_KERNELS_SIMD_GEMM_TILE_H_
#define HWYNN_KERNELS_SIMD_GEMM_TILE_H_

// Not for users: the contract of the micro-kernels in gemm_tile-inl.h, with which convolution and matrix product
// multiply. Both form a tile of C, rows × vectors, in registers:
//
//   forward  C[row, o] (+)= Σ_k A[row, k]·B[k, o]       rows are pixels, k taps × channels, B a panel (panels.h)
//   filter   C[k, o] = add[k, o] + Σ_p A[p, k]·B[p, o]  the gradient of a filter, p pixels
//
// A pitch is the distance in floats between neighbours of what the comment names.

#include <algorithm>
#include <cstdint>

#include "hwynn/core/split.h"
#include "hwynn/kernels/simd/epilogue.h"
#include "hwynn/kernels/simd/gradient_sums.h"
#include "hwynn/kernels/simd/prefetch.h"
#include "hwynn/kernels/simd/statistics.h"

namespace hwynn {

/// A run of the sum over K: a[… + a + i]·b[(b + i)·width + …], i < k. `a` in floats, `b` in rows of the panel.
struct TileRun {
  int64_t a;
  int64_t b;
  int64_t k;
};

/// Where a row of a tile lies, in A and in C.
struct ScatteredRow {
  int64_t a;
  int64_t c;
};

struct ForwardTileArgs {
  const float* a;  // row i of the tile at a + i·a_pitch
  int64_t a_pitch;
  const ScatteredRow*
      scattered;  // for forward_scattered and forward_precise, instead of a_pitch and c_pitch; else null
  const TileRun* runs;
  int64_t num_runs;
  const float* b;
  float* c;  // row i at c + i·c_pitch
  int64_t c_pitch;
  int64_t columns;  // of C, at most the panel's width
  bool accumulate;  // C += instead of C =
  bool stream;      // non-temporal stores; C's rows must be aligned to vectors, columns whole, not accumulate
  const TileEpilogue* epilogue;  // null: none
  StatisticsRows* statistics;    // gets the rows of C, in their order; null: not wanted
  GradientSums* gradient;        // writes C, in place of epilogue and statistics; null: not wanted
  PrefetchStream* prefetch;
  int64_t tiles = 1;  // so many, one below the other; scattered: 1
};

/// The most rows whose pointers fit the general registers of x86.
inline constexpr int64_t kMaxScatteredRows = 8;

/// Pixels at even distances: the first one's offset in a, its number in b.
struct PixelRow {
  int64_t a;
  int64_t b;
  int64_t pixels;
};

struct FilterTileArgs {
  const float* a;  // pixel p of a row at a + row.a + p·a_pitch, element i of the tile behind it
  int64_t a_pitch;
  const float* b;  // pixel p at b + (row.b + p)·b_pitch; whole vectors are read
  int64_t b_pitch;
  const PixelRow* rows;
  int64_t num_rows;
  const float* add;  // the sums so far, laid out like c with add_pitch; null: none
  int64_t add_pitch;
  float* c;  // element i of the tile at c + i·c_pitch
  int64_t c_pitch;
  int64_t columns;
  PrefetchStream* prefetch;
  int64_t tiles = 1;  // so many, one below the other in C
};

/// Pixels of a piece of an array, and where a copy of them goes.
struct PixelCopy {
  const float* from;  // pixel p at from + p·from_pitch
  int64_t from_pitch;
  float* to;
  int64_t to_pitch;
  int64_t pixels;
  int64_t channels;
};

/// The micro-kernels of one instruction set: [vectors − 1][rows − 1].
struct GemmTiles {
  static constexpr int kMaxRows = 14;
  static constexpr int kMaxVectors = 4;
  int64_t lanes;
  int64_t max_vectors;
  int64_t rows[kMaxVectors];  // of the tallest tile
  void (*forward[kMaxVectors][kMaxRows])(const ForwardTileArgs&) noexcept;
  /// Null for tiles of more rows than there are registers for pointers.
  void (*forward_scattered[kMaxVectors][kMaxRows])(const ForwardTileArgs&) noexcept;
  /// One tile of `rows` rows, scattered or not, with sums in double; it doesn't stream.
  void (*forward_precise[kMaxVectors])(const ForwardTileArgs&, int64_t rows) noexcept;
  void (*filter[kMaxVectors][kMaxRows])(const FilterTileArgs&) noexcept;
  /// Zeros, past the caches; whole vectors, aligned.
  void (*stream_zeros)(float* to, int64_t floats) noexcept;
  void (*copy)(const PixelCopy&) noexcept;
  /// The same with the prologue of its channels applied.
  void (*copy_normalized)(const PixelCopy&, const Normalization&) noexcept;

  /// Columns of a whole panel.
  int64_t panel() const { return lanes * max_vectors; }
  /// Vectors of a panel that has `columns` left to cover: the last panel of 80 columns on 16 lanes takes one.
  int64_t PanelVectors(int64_t columns) const { return std::min(max_vectors, CeilDiv(columns, lanes)); }
  /// Rows of the tallest tile of a panel of so many vectors.
  int64_t MaxRows(int64_t vectors) const { return rows[vectors - 1]; }
  /// Columns rounded up to whole vectors: the floats of one row of all panels.
  int64_t PaddedColumns(int64_t columns) const { return RoundUp(columns, lanes); }
};

/// The micro-kernels of the current target.
const GemmTiles& CurrentGemmTiles();

}  // namespace hwynn

#endif  // HWYNN_KERNELS_SIMD_GEMM_TILE_H_
