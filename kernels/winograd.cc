#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/winograd.cc"
#include "hwynn/kernels/winograd.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "hwynn/kernels/winograd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
const WinogradTransforms* TargetWinogradTransforms() {
  static constexpr WinogradTransforms kTransforms = {WinogradInput, WinogradOutput, WinogradFilter, WinogradGradient,
                                                     WinogradFilterGradient};
  return &kTransforms;
}
}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
HWY_EXPORT(TargetWinogradTransforms);
const WinogradTransforms& CurrentWinogradTransforms() { return *HWY_DYNAMIC_DISPATCH(TargetWinogradTransforms)(); }
}  // namespace hwynn
#endif  // HWY_ONCE
