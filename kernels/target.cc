#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/target.cc"
#include "hwynn/kernels/target.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "hwynn/core/check.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
// Answers for the dispatch table itself, so that what is reported is what ran.
int64_t RunningTarget() { return HWY_TARGET; }
}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
namespace {

HWY_EXPORT(RunningTarget);

// HWY_TARGETS is what this binary holds; Highway's bits are smaller for better targets.
const std::vector<int64_t>& RunnableTargets() {
  static const std::vector<int64_t> targets = [] {
    std::vector<int64_t> found;
    for (int64_t left = HWY_TARGETS & hwy::SupportedTargets(); left != 0; left &= left - 1) {
      found.push_back(left & -left);
    }
    return found;
  }();
  return targets;
}

}  // namespace

std::vector<std::string> SupportedTargets() {
  std::vector<std::string> names;
  for (const int64_t target : RunnableTargets()) names.emplace_back(hwy::TargetName(target));
  return names;
}

std::string CurrentTarget() { return hwy::TargetName(HWY_DYNAMIC_DISPATCH(RunningTarget)()); }

void SetTarget(std::string_view name) {
  int64_t chosen = 0;
  std::string names;
  for (const int64_t target : RunnableTargets()) {
    if (name == hwy::TargetName(target)) chosen = target;
    names += StrCat(names.empty() ? "" : ", ", hwy::TargetName(target));
  }
  Check(name.empty() || chosen != 0, "SetTarget: no target \"", name, "\" on this machine; it has ", names);
  hwy::GetChosenTarget().Update(chosen != 0 ? chosen : hwy::SupportedTargets());
}

}  // namespace hwynn
#endif  // HWY_ONCE
