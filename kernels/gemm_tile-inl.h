// The micro-kernels of convolution and matrix product: one register tile of MR rows × NR vectors.
//
// Both are outer-product loops. With 32 registers 14×2 tiles hold 28 accumulators, two vectors of B and a broadcast;
// a step does 28 FMAs for 16 loads, and reads 128 bytes of B in 14 cycles, which the second-level cache delivers
// with ease (6×4 needs 2.3 times as much). With 16 registers 6×2 takes 12 + 2 + 1.

#if defined(HWYNN_KERNELS_GEMM_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_GEMM_TILE_INL_H_
#undef HWYNN_KERNELS_GEMM_TILE_INL_H_
#else
#define HWYNN_KERNELS_GEMM_TILE_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstdint>
#include <utility>

#include "hwynn/kernels/channel_vectors-inl.h"
#include "hwynn/kernels/gemm_tile.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
inline constexpr int kTileRows = 14;  // 32 vector registers
#elif HWY_NATIVE_FMA
inline constexpr int kTileRows = 6;  // 16
#else
inline constexpr int kTileRows = 4;  // 16, and a multiplication and an addition need a temporary each
#endif
inline constexpr int kTileVectors = 2;

// Rows of a tile lie `stride` bytes apart. One pointer for three rows: base + {0,1,2}·stride are addressing modes, so
// that 14 rows take 5 pointers and a stride instead of 14 registers.
template <int kRows>
struct RowPointers {
  HWY_INLINE RowPointers(const float* a, int64_t stride_floats)
      : stride(stride_floats * static_cast<int64_t>(sizeof(float))) {
    for (int i = 0; i < kCount; ++i) base[i] = reinterpret_cast<const char*>(a) + 3 * i * stride;
  }
  HWY_INLINE float At(int row) const { return *reinterpret_cast<const float*>(base[row / 3] + (row % 3) * stride); }
  HWY_INLINE void Advance() { HWY_UNROLL(5) for (int i = 0; i < kCount; ++i) base[i] += sizeof(float); }

  static constexpr int kCount = (kRows + 2) / 3;
  const char* base[kCount];
  int64_t stride;
};

// C tile = Σ over runs, k of a[row·lda + run.a + k]·b[run.b + k·NR·L + …], then the epilogue.
template <int kMR, int kNR, class D>
void ForwardTile(const ForwardTileArgs& args) noexcept {
  const D d;
  using V = hn::Vec<D>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto tail = static_cast<size_t>(args.columns - (kNR - 1) * lanes);  // columns of the last vector
  const bool full = static_cast<int64_t>(tail) == lanes;

  V acc[kMR][kNR];
  for (auto& row : acc) {
    for (V& v : row) v = hn::Zero(d);
  }

  // The sums take thousands of cycles, in which C's lines can come.
  for (int i = 0; i < kMR; ++i) {
    for (int j = 0; j < kNR; ++j) hwy::Prefetch(args.c + i * args.ldc + j * lanes);
  }
  for (int64_t r = 0; r < args.num_runs; ++r) {
    const TileRun run = args.runs[r];
    const float* HWY_RESTRICT b = args.b + run.b * kNR * lanes;
    RowPointers<kMR> a(args.a + run.a, args.lda);
    for (int64_t k = 0; k < run.k; ++k) {
      V bk[kNR];
      for (int j = 0; j < kNR; ++j) bk[j] = hn::LoadU(d, b + j * lanes);
      b += kNR * lanes;
      HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
        const V ai = hn::Set(d, a.At(i));
        HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) acc[i][j] = hn::MulAdd(ai, bk[j], acc[i][j]);
      }
      a.Advance();
    }
  }

  const auto load = [&](const float* from, int j) HWY_ATTR {
    return j < kNR - 1 || full ? hn::LoadU(d, from + j * lanes) : LoadPartial(d, from + j * lanes, tail);
  };
  if (args.accumulate) {
    for (int i = 0; i < kMR; ++i) {
      for (int j = 0; j < kNR; ++j) acc[i][j] = hn::Add(acc[i][j], load(args.c + i * args.ldc, j));
    }
  }
  if (args.epilogue != nullptr) {
    const TileEpilogue& epilogue = *args.epilogue;
    for (int j = 0; j < kNR; ++j) {
      if (epilogue.scale != nullptr) {
        const V scale = load(epilogue.scale, j);
        for (int i = 0; i < kMR; ++i) acc[i][j] = hn::Mul(acc[i][j], scale);
      }
      if (epilogue.bias != nullptr) {
        const V bias = load(epilogue.bias, j);
        for (int i = 0; i < kMR; ++i) acc[i][j] = hn::Add(acc[i][j], bias);
      }
      if (epilogue.residual != nullptr) {
        for (int i = 0; i < kMR; ++i) acc[i][j] = hn::Add(acc[i][j], load(epilogue.residual + i * args.ldc, j));
      }
      if (epilogue.relu) {
        for (int i = 0; i < kMR; ++i) acc[i][j] = Relu(acc[i][j]);
      }
    }
  }
  for (int i = 0; i < kMR; ++i) {
    float* c = args.c + i * args.ldc;
    for (int j = 0; j < kNR; ++j) {
      if (j < kNR - 1 || full) {
        hn::StoreU(acc[i][j], d, c + j * lanes);
      } else {
        StorePartial(d, acc[i][j], c + j * lanes, tail);
      }
    }
  }
}

// C tile (+)= Σ over rows, pixels p of a[row.a + p·a_stride + i]·b[row.b + p·b_stride + …]: the gradient of a filter,
// i over kMR consecutive k. All addresses are two pointers plus constants.
template <int kMR, int kNR, class D>
void FilterTile(const FilterTileArgs& args) noexcept {
  const D d;
  using V = hn::Vec<D>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));

  V acc[kMR][kNR];
  for (auto& row : acc) {
    for (V& v : row) v = hn::Zero(d);
  }
  for (int64_t r = 0; r < args.num_rows; ++r) {
    const float* HWY_RESTRICT a = args.a + args.rows[r].a;
    const float* HWY_RESTRICT b = args.b + args.rows[r].b;
    for (int64_t p = 0; p < args.pixels; ++p) {
      V bp[kNR];
      for (int j = 0; j < kNR; ++j) bp[j] = hn::LoadU(d, b + j * lanes);
      HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
        const V ai = hn::Set(d, a[i]);
        HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) acc[i][j] = hn::MulAdd(ai, bp[j], acc[i][j]);
      }
      a += args.a_stride;
      b += args.b_stride;
    }
  }
  const auto tail = static_cast<size_t>(args.columns - (kNR - 1) * lanes);
  const bool full = static_cast<int64_t>(tail) == lanes;
  for (int i = 0; i < kMR; ++i) {
    float* c = args.c + i * args.ldc;
    for (int j = 0; j < kNR; ++j) {
      float* cj = c + j * lanes;
      if (j < kNR - 1 || full) {
        hn::StoreU(args.accumulate ? hn::Add(acc[i][j], hn::LoadU(d, cj)) : acc[i][j], d, cj);
      } else {
        StorePartial(d, args.accumulate ? hn::Add(acc[i][j], LoadPartial(d, cj, tail)) : acc[i][j], cj, tail);
      }
    }
  }
}

// In place over `pixels` × `channels`: x ← x·scale + shift, then relu.
template <class D>
void Prologue(float* x, int64_t pixels, int64_t channels, const float* scale, const float* shift, bool relu) noexcept {
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t p = 0; p < pixels; ++p, x += channels) {
    int64_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
      const auto y = hn::MulAdd(hn::LoadU(d, x + c), hn::LoadU(d, scale + c), hn::LoadU(d, shift + c));
      hn::StoreU(relu ? Relu(y) : y, d, x + c);
    }
    if (c < channels) {
      const auto n = static_cast<size_t>(channels - c);
      const auto y = hn::MulAdd(LoadPartial(d, x + c, n), LoadPartial(d, scale + c, n), LoadPartial(d, shift + c, n));
      StorePartial(d, relu ? Relu(y) : y, x + c, n);
    }
  }
}

template <int... kRows>
GemmTiles MakeGemmTiles(std::integer_sequence<int, kRows...>) {
  using D = hn::ScalableTag<float>;
  GemmTiles tiles{};
  tiles.lanes = static_cast<int64_t>(hn::Lanes(D()));
  tiles.max_rows = kTileRows;
  tiles.max_vectors = kTileVectors;
  tiles.prologue = Prologue<D>;
  ((tiles.forward[0][kRows] = ForwardTile<kRows + 1, 1, D>), ...);
  ((tiles.forward[1][kRows] = ForwardTile<kRows + 1, 2, D>), ...);
  ((tiles.filter[0][kRows] = FilterTile<kRows + 1, 1, D>), ...);
  ((tiles.filter[1][kRows] = FilterTile<kRows + 1, 2, D>), ...);
  return tiles;
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_GEMM_TILE_INL_H_
