#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/winograd.cc"
#include "hwynn/kernels/winograd.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "hwynn/kernels/winograd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
const WinogradTransforms* TargetWinogradTransforms(int64_t outputs) {
  static const WinogradTransforms kF2x2 = MakeWinogradTransforms<WinogradF2>();
  static const WinogradTransforms kF4x4 = MakeWinogradTransforms<WinogradF4>();
  return outputs == kF2x2.outputs ? &kF2x2 : &kF4x4;
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
}  // namespace hwynn
#endif  // HWY_ONCE
