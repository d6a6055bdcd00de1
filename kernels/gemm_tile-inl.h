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

#include <algorithm>
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

// Rows of a tile, in kParts parts of kRows / kParts, lie `stride` bytes apart within a part. One pointer for three
// rows: base + {0,1,2}·stride are addressing modes, so that 14 rows take 5 or 6 pointers and a stride instead of 14
// registers.
template <int kRows, int kParts>
struct RowPointers {
  HWY_INLINE RowPointers(const float* a, const ForwardTileArgs& args)
      : stride(args.lda * static_cast<int64_t>(sizeof(float))) {
    for (int i = 0; i < kParts * kPerPart; ++i) {
      base[i] = reinterpret_cast<const char*>(a + i / kPerPart * args.second_a) + 3 * (i % kPerPart) * stride;
    }
  }
  HWY_INLINE float At(int row) const {
    const int inside = row % kPartRows;
    return *reinterpret_cast<const float*>(base[row / kPartRows * kPerPart + inside / 3] + (inside % 3) * stride);
  }
  HWY_INLINE void Advance() { HWY_UNROLL(6) for (int i = 0; i < kParts * kPerPart; ++i) base[i] += sizeof(float); }

  static constexpr int kPartRows = kRows / kParts;
  static constexpr int kPerPart = (kPartRows + 2) / 3;
  const char* base[kParts * kPerPart];
  int64_t stride;
};

HWY_INLINE int64_t RowOfC(const ForwardTileArgs& args, int row, int part_rows) {
  return row / part_rows * args.second_c + row % part_rows * args.ldc;
}

// Rows of a tile on their way to C, for tiles that don't just store whole vectors: out of line, because it is the less
// frequent case and would cost the accumulators their registers.
template <class D>
HWY_NOINLINE void FinishTile(const float* HWY_RESTRICT sums, int rows, int parts, int vectors,
                             const ForwardTileArgs& args) noexcept {
  const D d;
  using V = hn::Vec<D>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const TileEpilogue none;
  const TileEpilogue& epilogue = args.epilogue != nullptr ? *args.epilogue : none;
  for (int j = 0; j < vectors; ++j) {
    const int64_t column = j * lanes;
    const int64_t n = std::min(lanes, args.columns - column);
    const bool affine = epilogue.scale != nullptr || epilogue.bias != nullptr;
    const V scale = epilogue.scale != nullptr ? LoadUpTo(d, epilogue.scale + column, n) : hn::Set(d, 1.0f);
    const V bias = epilogue.bias != nullptr ? LoadUpTo(d, epilogue.bias + column, n) : hn::Zero(d);
    for (int i = 0; i < rows; ++i) {
      const int64_t at = RowOfC(args, i, rows / parts) + column;
      float* c = args.c + at;
      V v = hn::Load(d, sums + (i * vectors + j) * lanes);
      if (args.accumulate) v = hn::Add(v, LoadUpTo(d, c, n));
      if (affine) v = hn::Add(hn::Mul(v, scale), bias);
      if (epilogue.residual != nullptr) v = hn::Add(v, LoadUpTo(d, epilogue.residual + at, n));
      if (epilogue.relu) v = Relu(v);
      StoreUpTo(d, v, c, n);
    }
  }
}

// C tile = Σ over runs, k of a[row·lda + run.a + k]·b[run.b + k·NR·L + …], then the epilogue.
template <int kMR, int kParts, int kNR, class D>
void ForwardTile(const ForwardTileArgs& args) noexcept {
  const D d;
  using V = hn::Vec<D>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));

  // Every loop over the accumulators is unrolled: one that isn't would put them all into memory.
  V acc[kMR][kNR];
  HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) { HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) acc[i][j] = hn::Zero(d); }
  if (!args.stream) {  // C's lines come while the sums are formed
    for (int i = 0; i < kMR; ++i) {
      const float* c = args.c + RowOfC(args, i, kMR / kParts);
      HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) hwy::Prefetch(c + j * lanes);
    }
  }
  for (int64_t r = 0; r < args.num_runs; ++r) {
    const TileRun run = args.runs[r];
    const float* HWY_RESTRICT b = args.b + run.b * kNR * lanes;
    RowPointers<kMR, kParts> a(args.a + run.a, args);
    for (int64_t left = run.k; left > 0;) {
      args.prefetch->Fetch();
      const int64_t steps = args.prefetch->StepsToFetch(left);
      left -= steps;
      for (int64_t k = 0; k < steps; ++k) {
        V bk[kNR];
        HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) bk[j] = hn::LoadU(d, b + j * lanes);
        b += kNR * lanes;
        HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
          const V ai = hn::Set(d, a.At(i));
          HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) acc[i][j] = hn::MulAdd(ai, bk[j], acc[i][j]);
        }
        a.Advance();
      }
    }
  }

  if (args.accumulate || args.epilogue != nullptr || args.columns != kNR * lanes) {
    HWY_ALIGN float sums[kMR * kNR * hn::MaxLanes(D())];
    HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
      HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) hn::Store(acc[i][j], d, sums + (i * kNR + j) * lanes);
    }
    FinishTile<D>(sums, kMR, kParts, kNR, args);
    return;
  }
  if (args.stream) {
    HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
      float* c = args.c + RowOfC(args, i, kMR / kParts);
      HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) hn::Stream(acc[i][j], d, c + j * lanes);
    }
  } else {
    HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
      float* c = args.c + RowOfC(args, i, kMR / kParts);
      HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) hn::StoreU(acc[i][j], d, c + j * lanes);
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
  HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) { HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) acc[i][j] = hn::Zero(d); }
  for (int64_t r = 0; r < args.num_rows; ++r) {
    const float* HWY_RESTRICT a = args.a + args.rows[r].a;
    const float* HWY_RESTRICT b = args.b + args.rows[r].b;
    for (int64_t left = args.pixels; left > 0;) {
      args.prefetch->Fetch();
      const int64_t steps = args.prefetch->StepsToFetch(left);
      left -= steps;
      for (int64_t p = 0; p < steps; ++p) {
        V bp[kNR];
        HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) bp[j] = hn::LoadU(d, b + j * lanes);
        HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
          const V ai = hn::Set(d, a[i]);
          HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) acc[i][j] = hn::MulAdd(ai, bp[j], acc[i][j]);
        }
        a += args.a_stride;
        b += args.b_stride;
      }
    }
  }
  float* c = args.c;
  if (args.columns == kNR * lanes) {
    if (args.accumulate) {
      HWY_UNROLL(14) for (int i = 0; i < kMR; ++i, c += args.ldc) {
        HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) {
          hn::StoreU(hn::Add(acc[i][j], hn::LoadU(d, c + j * lanes)), d, c + j * lanes);
        }
      }
    } else {
      HWY_UNROLL(14) for (int i = 0; i < kMR; ++i, c += args.ldc) {
        HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) hn::StoreU(acc[i][j], d, c + j * lanes);
      }
    }
    return;
  }
  HWY_ALIGN float sums[kMR * kNR * hn::MaxLanes(D())];
  HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
    HWY_UNROLL(2) for (int j = 0; j < kNR; ++j) hn::Store(acc[i][j], d, sums + (i * kNR + j) * lanes);
  }
  for (int i = 0; i < kMR; ++i, c += args.ldc) {
    for (int j = 0; j < kNR; ++j) {
      const int64_t n = std::min(lanes, args.columns - j * lanes);
      const V v = hn::Load(d, sums + (i * kNR + j) * lanes);
      StoreUpTo(d, args.accumulate ? hn::Add(v, LoadUpTo(d, c + j * lanes, n)) : v, c + j * lanes, n);
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

template <int... kRows, int... kHalfRows>
GemmTiles MakeGemmTiles(std::integer_sequence<int, kRows...>, std::integer_sequence<int, kHalfRows...>) {
  using D = hn::ScalableTag<float>;
  GemmTiles tiles{};
  tiles.lanes = static_cast<int64_t>(hn::Lanes(D()));
  tiles.max_rows = kTileRows;
  tiles.max_vectors = kTileVectors;
  tiles.prologue = Prologue<D>;
  ((tiles.forward[0][kRows] = ForwardTile<kRows + 1, 1, 1, D>), ...);
  ((tiles.forward[1][kRows] = ForwardTile<kRows + 1, 1, 2, D>), ...);
  ((tiles.forward_pair[0][kHalfRows] = ForwardTile<2 * (kHalfRows + 1), 2, 1, D>), ...);
  ((tiles.forward_pair[1][kHalfRows] = ForwardTile<2 * (kHalfRows + 1), 2, 2, D>), ...);
  ((tiles.filter[0][kRows] = FilterTile<kRows + 1, 1, D>), ...);
  ((tiles.filter[1][kRows] = FilterTile<kRows + 1, 2, D>), ...);
  return tiles;
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_GEMM_TILE_INL_H_
