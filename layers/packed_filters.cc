#include "hwynn/layers/packed_filters.h"

#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/kernels/target.h"

namespace hwynn {

std::shared_ptr<const PackedConv2dFilter> PackedFilters::Forward(const std::string& path, const Conv2dParams& params,
                                                                 const Shape& input, ConstTensorView filter) {
  const Conv2dGeometry g = ResolveConv2d("PackedFilters", params, input, filter.shape());
  const std::string_view algorithm = ChooseConv2d(Conv2dPass::kForward, g, params.precision);
  const std::string key = StrCat(path, ":", algorithm, ":", g.IH, "x", g.IW, ":", CurrentTarget());
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = filters_.find(key); found != filters_.end()) return found->second;
  }
  // Not under the lock: a thread that waits for packing may take up another call of this model.
  auto packed = std::make_shared<const PackedConv2dFilter>(
      PackConv2dFilter(Conv2dPass::kForward, params, input, filter, workspace_, algorithm));
  const std::lock_guard lock(mutex_);
  return filters_.emplace(key, std::move(packed)).first->second;
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
