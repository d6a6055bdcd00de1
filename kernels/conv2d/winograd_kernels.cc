#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/conv2d/winograd_kernels.cc"
#include "hwynn/kernels/conv2d/winograd_kernels.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "hwynn/kernels/conv2d/winograd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
const WinogradTransforms* TargetWinogradTransforms(int64_t outputs) {
  static const WinogradTransforms kF2x2 = MakeWinogradTransforms<WinogradF2>();
  static const WinogradTransforms kF4x4 = MakeWinogradTransforms<WinogradF4>();
  return outputs == kF2x2.outputs ? &kF2x2 : &kF4x4;
}
const WinogradNarrow* TargetWinogradNarrow(int64_t channels, int64_t columns) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>()));
  static const WinogradNarrow none;
  static const WinogradNarrow k16x1 = MakeWinogradNarrow<16, 1>();
  static const WinogradNarrow k16x2 = MakeWinogradNarrow<16, 2>();
  static const WinogradNarrow k32x2 = MakeWinogradNarrow<32, 2>();
  if (channels == 16 && columns == lanes) return &k16x1;
  if (channels == 16 && columns == 2 * lanes) return &k16x2;
  if (channels == 32 && columns == 2 * lanes) return &k32x2;
  return &none;
}
}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
HWY_EXPORT(TargetWinogradTransforms);
const WinogradTransforms& CurrentWinogradTransforms(int64_t outputs) {
  return *HWY_DYNAMIC_DISPATCH(TargetWinogradTransforms)(outputs);
}
HWY_EXPORT(TargetWinogradNarrow);
const WinogradNarrow& CurrentWinogradNarrow(int64_t channels, int64_t columns) {
  return *HWY_DYNAMIC_DISPATCH(TargetWinogradNarrow)(channels, columns);
}
}  // namespace hwynn
#endif  // HWY_ONCE
