#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/simd/gemm_tile.cc"
#include "hwynn/kernels/simd/gemm_tile.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "hwynn/kernels/simd/gemm_tile-inl.h"
#include "hwynn/kernels/simd/precise_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
template <int... kVectors>
GemmTiles MakeTiles(std::integer_sequence<int, kVectors...> vectors) {
  GemmTiles tiles = MakeGemmTiles(vectors);
  ((tiles.forward_precise[kVectors] = PreciseTile<kVectors + 1, hn::ScalableTag<float>>), ...);
  return tiles;
}

const GemmTiles* TargetGemmTiles() {
  static const GemmTiles tiles = MakeTiles(std::make_integer_sequence<int, kTileVectors>());
  return &tiles;
}
}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
HWY_EXPORT(TargetGemmTiles);
const GemmTiles& CurrentGemmTiles() { return *HWY_DYNAMIC_DISPATCH(TargetGemmTiles)(); }
}  // namespace hwynn
#endif  // HWY_ONCE
