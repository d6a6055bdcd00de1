// A tile of ForwardTile whose sums are formed in double, for Precision::kHighest: the product of two floats is exact
// there, so a result is rounded about once, as it becomes a float. Three times the time of a tile in float: half as
// many lanes, and a conversion of each value.

#if defined(HWYNN_KERNELS_SIMD_PRECISE_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_SIMD_PRECISE_TILE_INL_H_
#undef HWYNN_KERNELS_SIMD_PRECISE_TILE_INL_H_
#else
#define HWYNN_KERNELS_SIMD_PRECISE_TILE_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "hwynn/kernels/simd/gemm_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

// kRows rows of a tile from `row` on by kVectors vectors of doubles from `column` on, into sums[row][column].
template <int kRows, int kVectors, class D>
HWY_INLINE void PreciseSums(const ForwardTileArgs& args, int64_t width, int64_t row, int64_t column, float* sums) {
  const hn::Repartition<double, D> dd;
  const hn::Rebind<float, decltype(dd)> half;
  using V = hn::Vec<decltype(dd)>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(dd));
  V acc[kRows][kVectors];
  HWY_UNROLL(6) for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(4) for (int j = 0; j < kVectors; ++j) acc[i][j] = hn::Zero(dd);
  }
  const float* a[kRows];
  for (int i = 0; i < kRows; ++i) {
    a[i] = args.a + (args.scattered != nullptr ? args.scattered[row + i].a : (row + i) * args.a_pitch);
  }
  for (int64_t r = 0; r < args.num_runs; ++r) {
    const TileRun run = args.runs[r];
    const float* HWY_RESTRICT b = args.b + run.b * width + column;
    for (int64_t k = run.a; k < run.a + run.k; ++k, b += width) {
      V bj[kVectors];
      HWY_UNROLL(4) for (int j = 0; j < kVectors; ++j) bj[j] = hn::PromoteTo(dd, hn::LoadU(half, b + j * lanes));
      HWY_UNROLL(6) for (int i = 0; i < kRows; ++i) {
        const V ai = hn::Set(dd, static_cast<double>(a[i][k]));
        HWY_UNROLL(4) for (int j = 0; j < kVectors; ++j) acc[i][j] = hn::MulAdd(ai, bj[j], acc[i][j]);
      }
    }
  }
  HWY_UNROLL(6) for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(4) for (int j = 0; j < kVectors; ++j) {
      hn::StoreU(hn::DemoteTo(half, acc[i][j]), half, sums + (row + i) * width + column + j * lanes);
    }
  }
}

// One tile of any number of rows, of a panel of kNR vectors; never streams.
template <int kNR, class D>
void PreciseTile(const ForwardTileArgs& args, int64_t rows) noexcept {
  // 6 rows × 4 vectors: 24 accumulators, 4 of B and a broadcast fit 32 registers; 6 × 2, 2 and 1 fit 16.
  // Without vectors a double takes the place of a float.
  constexpr int kVectors = HWY_TARGET == HWY_SCALAR ? 1 : kTileVectors == 4 && kNR % 2 == 0 ? 4 : 2;
  const D d;
  const hn::Repartition<double, D> dd;
  const int64_t width = kNR * static_cast<int64_t>(hn::Lanes(d));
  HWY_ALIGN float sums[TileRows(1) * kNR * hn::MaxLanes(D())];
  for (int64_t column = 0; column < width; column += kVectors * static_cast<int64_t>(hn::Lanes(dd))) {
    int64_t row = 0;
    for (; row + 6 <= rows; row += 6) PreciseSums<6, kVectors, D>(args, width, row, column, sums);
    for (; row + 2 <= rows; row += 2) PreciseSums<2, kVectors, D>(args, width, row, column, sums);
    for (; row < rows; ++row) PreciseSums<1, kVectors, D>(args, width, row, column, sums);
  }
  const auto finish = args.gradient != nullptr ? FinishGradientTile : FinishPartialTile;
  finish(sums, static_cast<int>(rows), width, args, 0);
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_SIMD_PRECISE_TILE_INL_H_
