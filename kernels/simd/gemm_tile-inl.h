// The micro-kernels of convolution and matrix product: one register tile of MR rows × NR vectors.
//
// Both are outer-product loops: a step loads NR vectors of B, broadcasts MR values of A and does MR·NR multiply-adds.
// With 32 registers 6×4 holds 24 accumulators, four vectors of B and a broadcast. Taller tiles like 14×2 read less of B
// and are as fast on an idle core, but take 42 instructions for 28 multiply-adds instead of 34 for 24: where another
// hardware thread shares the core's front end they lose 20 %. With 16 registers 6×2 takes 12 + 2 + 1.

#if defined(HWYNN_KERNELS_SIMD_GEMM_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_SIMD_GEMM_TILE_INL_H_
#undef HWYNN_KERNELS_SIMD_GEMM_TILE_INL_H_
#else
#define HWYNN_KERNELS_SIMD_GEMM_TILE_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "hwynn/kernels/simd/epilogue-inl.h"
#include "hwynn/kernels/simd/gemm_tile.h"
#include "hwynn/kernels/simd/tail-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

// Rows of a tile of so many vectors: fewer vectors leave registers for more rows.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64  // 32 vector registers
inline constexpr int kTileVectors = 4;
constexpr int TileRows(int vectors) { return vectors == 4 ? 6 : vectors == 3 ? 8 : 14; }
#elif HWY_NATIVE_FMA  // 16
inline constexpr int kTileVectors = 2;
constexpr int TileRows(int vectors) { return vectors == 2 ? 6 : 12; }
#else                 // 16, and a multiplication and an addition need a temporary each
inline constexpr int kTileVectors = 2;
constexpr int TileRows(int vectors) { return vectors == 2 ? 4 : 8; }
#endif

// Fetches what is due, and returns how many of the next `left` steps to take before the next time.
HWY_INLINE int64_t StepsToFetch(PrefetchStream& prefetch, int64_t left) {
  constexpr int64_t kStepsPerFetch = 384 / (TileRows(kTileVectors) * kTileVectors);  // about 200 cycles
  if (!prefetch.active()) return left;
  const int64_t steps = std::min(left, kStepsPerFetch);
  prefetch.Fetch(steps);
  return steps;
}

// Rows of a tile that lie args.a_pitch apart. One pointer for three rows: base + {0,1,2}·stride are addressing modes,
// so that 14 rows take 5 pointers and a stride instead of 14 registers.
template <int kRows>
struct EvenRows {
  HWY_INLINE EvenRows(const float* a, const ForwardTileArgs& args)
      : stride(args.a_pitch * static_cast<int64_t>(sizeof(float))) {
    for (int i = 0; i < kCount; ++i) base[i] = reinterpret_cast<const char*>(a) + 3 * i * stride;
  }
  HWY_INLINE const float* At(int row) const {
    return reinterpret_cast<const float*>(base[row / 3] + (row % 3) * stride);
  }
  HWY_INLINE void Advance(int k) {
    HWY_UNROLL(5) for (int i = 0; i < kCount; ++i) base[i] += k * static_cast<int64_t>(sizeof(float));
  }

  static constexpr int kCount = (kRows + 2) / 3;
  const char* base[kCount];
  int64_t stride;
};

// Rows that lie anywhere.
template <int kRows>
struct ScatteredRows {
  HWY_INLINE ScatteredRows(const float* a, const ForwardTileArgs& args) {
    HWY_UNROLL(14) for (int i = 0; i < kRows; ++i) base[i] = a + args.scattered[i].a;
  }
  HWY_INLINE const float* At(int row) const { return base[row]; }
  HWY_INLINE void Advance(int k) { HWY_UNROLL(14) for (int i = 0; i < kRows; ++i) base[i] += k; }

  const float* base[kRows];
};

// Where row i of a tile goes in C.
HWY_INLINE int64_t RowOfC(const ForwardTileArgs& args, int i) {
  return args.scattered != nullptr ? args.scattered[i].c : i * args.c_pitch;
}

// acc[i][j] += a(i)·b[j]: one step of a tile. Its loops, like all over the accumulators, are unrolled: one that isn't
// would put them all into memory.
template <int kMR, int kNR, class D, class A>
HWY_INLINE void OuterProduct(D d, const A& a, const float* HWY_RESTRICT b, hn::Vec<D> (&acc)[kMR][kNR]) {
  hn::Vec<D> bj[kNR];
  HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) bj[j] = hn::LoadU(d, b + j * static_cast<int64_t>(hn::Lanes(d)));
  HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
    const auto ai = hn::Set(d, *a(i));
    HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) acc[i][j] = hn::MulAdd(ai, bj[j], acc[i][j]);
  }
}

template <int kMR, int kNR, class D>
HWY_INLINE void ZeroTile(D d, hn::Vec<D> (&acc)[kMR][kNR]) {
  HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) { HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) acc[i][j] = hn::Zero(d); }
}

// The accumulators become values of C: whole vectors.
template <int kMR, int kNR, class D>
HWY_INLINE void TileEpilogueInRegisters(D d, const ForwardTileArgs& args, int64_t offset, hn::Vec<D> (&acc)[kMR][kNR]) {
  const TileEpilogue& epilogue = *args.epilogue;
  HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) {
    const int64_t column = j * static_cast<int64_t>(hn::Lanes(d));
    const ChannelNorm<D> norm(d, Whole<D>(), epilogue.norm, column);
    norm.template Epilogue<kMR>(
        [&](int i) HWY_ATTR -> hn::Vec<D>& { return acc[i][j]; }, epilogue.residual != nullptr,
        [&](int i) HWY_ATTR { return hn::LoadU(d, epilogue.residual + offset + RowOfC(args, i) + column); });
  }
}

// The same for a tile whose last vector is only partly in C, from memory: [rows][vectors]. Rare, so out of line.
inline HWY_NOINLINE void FinishPartialTile(const float* HWY_RESTRICT sums, int rows, int64_t width,
                                           const ForwardTileArgs& args, int64_t offset) noexcept {
  const TileEpilogue none;
  const TileEpilogue& epilogue = args.epilogue != nullptr ? *args.epilogue : none;
  ForChannels(args.columns, [&](const auto& access, auto d, int64_t column) HWY_ATTR {
    using V = hn::Vec<decltype(d)>;
    const ChannelNorm<decltype(d)> norm(d, access, epilogue.norm, column);
    for (int i = 0; i < rows; ++i) {
      const int64_t at = offset + RowOfC(args, i) + column;
      V v = access.Load(d, sums + i * width + column);
      if (args.accumulate) v = hn::Add(v, access.Load(d, args.c + at));
      norm.template Epilogue<1>([&](int) HWY_ATTR -> V& { return v; }, epilogue.residual != nullptr,
                                [&](int) HWY_ATTR { return access.Load(d, epilogue.residual + at); });
      access.Store(v, d, args.c + at);
      if (args.statistics != nullptr && args.statistics->copies()) {
        access.Store(v, d, args.statistics->Next() + i * StatisticsRows::kPitch + column);
      }
    }
  });
  if (args.statistics == nullptr) return;
  if (!args.statistics->copies()) {
    for (int i = 0; i < rows; ++i) args.statistics->Put(i, args.c + offset + RowOfC(args, i));
  }
  args.statistics->Advance(rows);
}

// Hands a tile's sums [rows][width] to what masks a gradient, writes it and adds it up.
inline HWY_NOINLINE void FinishGradientTile(const float* sums, int rows, int64_t width, const ForwardTileArgs& args,
                                            int64_t offset) noexcept {
  int64_t offsets[kMaxScatteredRows];
  const bool scattered = args.scattered != nullptr;
  for (int i = 0; scattered && i < rows; ++i) offsets[i] = args.scattered[i].c;
  args.gradient->Add({.from = sums,
                      .from_pitch = width,
                      .rows = rows,
                      .to = args.c + offset,
                      .to_pitch = args.c_pitch,
                      .offsets = scattered ? offsets : nullptr,
                      .accumulate = args.accumulate,
                      .stream = args.stream});
}

// C tile = Σ over runs, k of a[row·a_pitch + run.a + k]·b[run.b + k·NR·L + …], then the epilogue.
template <template <int> class Rows, int kMR, int kNR, class D>
HWY_INLINE void OneForwardTile(const ForwardTileArgs& args, int64_t tile) {
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const float* a0 = args.a + tile * kMR * args.a_pitch;
  const int64_t offset = tile * kMR * args.c_pitch;
  float* c0 = args.c + offset;
  hn::Vec<D> acc[kMR][kNR];
  ZeroTile(d, acc);
  if (!args.stream) {  // C's lines come while the sums are formed
    for (int i = 0; i < kMR; ++i) {
      HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) hwy::Prefetch(c0 + RowOfC(args, i) + j * lanes);
    }
  }
  for (int64_t r = 0; r < args.num_runs; ++r) {
    const TileRun run = args.runs[r];
    const float* HWY_RESTRICT b = args.b + run.b * kNR * lanes;
    Rows<kMR> a(a0 + run.a, args);
    for (int64_t left = run.k; left > 0;) {
      int64_t steps = StepsToFetch(*args.prefetch, left);
      left -= steps;
      for (; steps >= 2; steps -= 2) {
        OuterProduct(
            d, [&](int i) HWY_ATTR { return a.At(i); }, b, acc);
        OuterProduct(
            d, [&](int i) HWY_ATTR { return a.At(i) + 1; }, b + kNR * lanes, acc);
        a.Advance(2);
        b += 2 * kNR * lanes;
      }
      if (steps != 0) {
        OuterProduct(
            d, [&](int i) HWY_ATTR { return a.At(i); }, b, acc);
        a.Advance(1);
        b += kNR * lanes;
      }
    }
  }

  if (args.columns != kNR * lanes || args.gradient != nullptr) {
    HWY_ALIGN float sums[kMR * kNR * hn::MaxLanes(D())];
    HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
      HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) hn::Store(acc[i][j], d, sums + (i * kNR + j) * lanes);
    }
    const auto finish = args.gradient != nullptr ? FinishGradientTile : FinishPartialTile;
    finish(sums, kMR, kNR * lanes, args, offset);
    return;
  }
  if (args.accumulate) {
    HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
      const float* c = c0 + RowOfC(args, i);
      HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) acc[i][j] = hn::Add(acc[i][j], hn::LoadU(d, c + j * lanes));
    }
  }
  if (args.epilogue != nullptr) TileEpilogueInRegisters(d, args, offset, acc);
  if (args.stream) {
    HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
      float* c = c0 + RowOfC(args, i);
      HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) hn::Stream(acc[i][j], d, c + j * lanes);
    }
  } else {
    HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
      float* c = c0 + RowOfC(args, i);
      HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) hn::StoreU(acc[i][j], d, c + j * lanes);
    }
  }
  if (args.statistics != nullptr) {
    if (args.statistics->copies()) {
      float* rows = args.statistics->Next();
      HWY_UNROLL(14) for (int i = 0; i < kMR; ++i, rows += StatisticsRows::kPitch) {
        HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) hn::Store(acc[i][j], d, rows + j * lanes);
      }
    } else {
      for (int i = 0; i < kMR; ++i) args.statistics->Put(i, c0 + RowOfC(args, i));
    }
    args.statistics->Advance(kMR);
  }
}

// One call for several tiles: between them nothing is set up anew, which at a depth of 64 would take 5 % of the time.
template <template <int> class Rows, int kMR, int kNR, class D>
void ForwardTile(const ForwardTileArgs& args) noexcept {
  for (int64_t tile = 0; tile < args.tiles; ++tile) OneForwardTile<Rows, kMR, kNR, D>(args, tile);
}

// Writes a filter's tile whose last vector is only partly in C, from memory: [rows][width]. Rare, so out of line.
inline HWY_NOINLINE void FinishPartialFilterTile(const float* HWY_RESTRICT sums, int rows, int64_t width,
                                                 const FilterTileArgs& args, const float* add, float* c) noexcept {
  ForChannels(args.columns, [&](const auto& access, auto d, int64_t column) HWY_ATTR {
    for (int i = 0; i < rows; ++i) {
      auto v = access.Load(d, sums + i * width + column);
      if (add != nullptr) v = hn::Add(v, access.Load(d, add + i * args.add_pitch + column));
      access.Store(v, d, c + i * args.c_pitch + column);
    }
  });
}

// C tile = sums so far + Σ over rows, pixels p of a[row.a + p·a_pitch + i]·b[(row.b + p)·b_pitch + …]: the gradient
// of a filter, i over kMR consecutive k. All addresses are two pointers plus constants.
template <int kMR, int kNR, class D>
HWY_INLINE void OneFilterTile(const FilterTileArgs& args, int64_t tile) {
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> acc[kMR][kNR];
  ZeroTile(d, acc);
  float* c = args.c + tile * kMR * args.c_pitch;
  const float* add = args.add != nullptr ? args.add + tile * kMR * args.add_pitch : nullptr;
  for (int i = 0; i < kMR; ++i) {  // C's lines come while the sums are formed
    HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) hwy::Prefetch(c + i * args.c_pitch + j * lanes);
  }
  for (int64_t r = 0; r < args.num_rows; ++r) {
    const float* HWY_RESTRICT a = args.a + tile * kMR + args.rows[r].a;
    const float* HWY_RESTRICT b = args.b + args.rows[r].b * args.b_pitch;
    for (int64_t left = args.rows[r].pixels; left > 0;) {
      int64_t steps = StepsToFetch(*args.prefetch, left);
      left -= steps;
      for (; steps >= 2; steps -= 2) {
        OuterProduct(
            d, [&](int i) HWY_ATTR { return a + i; }, b, acc);
        OuterProduct(
            d, [&](int i) HWY_ATTR { return a + args.a_pitch + i; }, b + args.b_pitch, acc);
        a += 2 * args.a_pitch;
        b += 2 * args.b_pitch;
      }
      if (steps != 0) {
        OuterProduct(
            d, [&](int i) HWY_ATTR { return a + i; }, b, acc);
        a += args.a_pitch;
        b += args.b_pitch;
      }
    }
  }
  if (args.columns == kNR * lanes) {
    if (add != nullptr) {
      HWY_UNROLL(14) for (int i = 0; i < kMR; ++i, c += args.c_pitch, add += args.add_pitch) {
        HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) {
          hn::StoreU(hn::Add(acc[i][j], hn::LoadU(d, add + j * lanes)), d, c + j * lanes);
        }
      }
    } else {
      HWY_UNROLL(14) for (int i = 0; i < kMR; ++i, c += args.c_pitch) {
        HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) hn::StoreU(acc[i][j], d, c + j * lanes);
      }
    }
    return;
  }
  HWY_ALIGN float sums[kMR * kNR * hn::MaxLanes(D())];
  HWY_UNROLL(14) for (int i = 0; i < kMR; ++i) {
    HWY_UNROLL(4) for (int j = 0; j < kNR; ++j) hn::Store(acc[i][j], d, sums + (i * kNR + j) * lanes);
  }
  FinishPartialFilterTile(sums, kMR, kNR * lanes, args, add, c);
}

template <int kMR, int kNR, class D>
void FilterTile(const FilterTileArgs& args) noexcept {
  for (int64_t tile = 0; tile < args.tiles; ++tile) OneFilterTile<kMR, kNR, D>(args, tile);
}

template <class D>
void StreamZeros(float* to, int64_t floats) noexcept {
  const D d;
  for (int64_t i = 0; i < floats; i += static_cast<int64_t>(hn::Lanes(d))) hn::Stream(hn::Zero(d), d, to + i);
}

// A vector at a time: pixels are too short for memcpy to be worth its call.
inline void CopyPixels(const PixelCopy& copy) noexcept {
  const float* from = copy.from;
  float* to = copy.to;
  for (int64_t p = 0; p < copy.pixels; ++p, from += copy.from_pitch, to += copy.to_pitch) {
    ForChannels(copy.channels, [&](const auto& access, auto d, int64_t c)
                                   HWY_ATTR { access.Store(access.Load(d, from + c), d, to + c); });
  }
}

// Vectors c, c + lanes, … of all pixels, whose mean, mul and bias stay in registers.
template <class D, class Access, int... kVectors>
HWY_INLINE void CopyNormalizedVectors(D d, const Access& access, const PixelCopy& copy, const Normalization& norm,
                                      int64_t c, std::integer_sequence<int, kVectors...>) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const ChannelNorm<D> channel[] = {ChannelNorm<D>(d, access, norm, c + kVectors * lanes)...};
  const float* from = copy.from + c;
  float* to = copy.to + c;
  for (int64_t p = 0; p < copy.pixels; ++p, from += copy.from_pitch, to += copy.to_pitch) {
    (access.Store(channel[kVectors].Prologue(access.Load(d, from + kVectors * lanes)), d, to + kVectors * lanes), ...);
  }
}

// Four vectors of each pixel at a time: one alone would touch as many pages for a quarter of the bytes.
inline void CopyNormalized(const PixelCopy& copy, const Normalization& norm) noexcept {
  const hn::ScalableTag<float> d;
  const auto several = 4 * static_cast<int64_t>(hn::Lanes(d));
  int64_t c0 = 0;
  for (; c0 + several <= copy.channels; c0 += several) {
    CopyNormalizedVectors(d, Whole<decltype(d)>(), copy, norm, c0, std::make_integer_sequence<int, 4>());
  }
  ForChannels(copy.channels - c0, [&](const auto& access, auto dc, int64_t c) HWY_ATTR {
    CopyNormalizedVectors(dc, access, copy, norm, c0 + c, std::make_integer_sequence<int, 1>());
  });
}

// Null for tiles of more rows than there are registers for pointers.
template <int kMR, int kNR, class D>
constexpr auto ScatteredTile() -> void (*)(const ForwardTileArgs&) noexcept {
  if constexpr (kMR <= kMaxScatteredRows) return ForwardTile<ScatteredRows, kMR, kNR, D>;
  return nullptr;
}

template <int kNR, class D, int... kRows>
void SetTiles(GemmTiles& tiles, std::integer_sequence<int, kRows...>) {
  tiles.rows[kNR - 1] = TileRows(kNR);
  ((tiles.forward[kNR - 1][kRows] = ForwardTile<EvenRows, kRows + 1, kNR, D>), ...);
  ((tiles.forward_scattered[kNR - 1][kRows] = ScatteredTile<kRows + 1, kNR, D>()), ...);
  ((tiles.filter[kNR - 1][kRows] = FilterTile<kRows + 1, kNR, D>), ...);
}

template <int... kVectors>
GemmTiles MakeGemmTiles(std::integer_sequence<int, kVectors...>) {
  using D = hn::ScalableTag<float>;
  GemmTiles tiles{};
  tiles.lanes = static_cast<int64_t>(hn::Lanes(D()));
  tiles.max_vectors = kTileVectors;
  tiles.copy = CopyPixels;
  tiles.copy_normalized = CopyNormalized;
  tiles.stream_zeros = StreamZeros<D>;
  (SetTiles<kVectors + 1, D>(tiles, std::make_integer_sequence<int, TileRows(kVectors + 1)>()), ...);
  return tiles;
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_SIMD_GEMM_TILE_INL_H_
