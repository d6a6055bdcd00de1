#include "hwynn/module/packed_filters.h"

#include <utility>

#include "hwynn/core/check.h"

namespace hwynn {
namespace {

std::string KeyOf(const std::string& path, std::string_view algorithm, std::string_view target) {
  return StrCat(path, ":", algorithm, ":", target);
}

}  // namespace

std::shared_ptr<const PackedConv2dFilter> PackedFilters::Get(const std::string& path, const Conv2dPlan& plan,
                                                             ConstTensorView filter) {
  const std::string key = KeyOf(path, plan.algorithm(), plan.target());
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = filters_.find(key); found != filters_.end()) return found->second;
  }
  // Not under the lock: a thread that waits for packing may take up another call of this model.
  auto packed = std::make_shared<const PackedConv2dFilter>(plan.pass(), plan.algorithm(), filter,
                                                           plan.geometry().groups, workspace_);
  const std::lock_guard lock(mutex_);
  return filters_.emplace(key, std::move(packed)).first->second;
}

void PackedFilters::Add(const std::string& path, PackedConv2dFilter packed) {
  const std::string key = KeyOf(path, packed.algorithm(), packed.target());
  auto shared = std::make_shared<const PackedConv2dFilter>(std::move(packed));
  const std::lock_guard lock(mutex_);
  filters_.insert_or_assign(key, std::move(shared));
}

void PackedFilters::Clear() {
  const std::lock_guard lock(mutex_);
  filters_.clear();
}

int64_t PackedFilters::bytes() const {
  const std::lock_guard lock(mutex_);
  int64_t bytes = 0;
  for (const auto& [key, filter] : filters_) bytes += filter->bytes();
  return bytes;
}

}  // namespace hwynn
