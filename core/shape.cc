#include "hwynn/core/shape.h"

#include <limits>
#include <ostream>

#include "hwynn/core/check.h"

namespace hwynn {

Shape::Shape(std::span<const int64_t> extents) {
  Check(extents.size() <= kMaxRank, "Shape: rank ", extents.size(), " exceeds ", kMaxRank);
  // The largest element type has 8 bytes, so that byte counts can't overflow either.
  constexpr int64_t kMaxElements = std::numeric_limits<int64_t>::max() / 8;
  for (const int64_t extent : extents) {
    Check(extent >= 0, "Shape: negative extent ", extent);
    Check(extent == 0 || num_elements_ <= kMaxElements / extent, "Shape: element count overflows at extent ", extent);
    extents_[static_cast<size_t>(rank_++)] = extent;
    num_elements_ *= extent;
  }
}

Shape Shape::WithLast(int64_t extent) const {
  HWYNN_DCHECK(rank_ > 0);
  std::array<int64_t, kMaxRank> changed = extents_;
  changed[static_cast<size_t>(rank_ - 1)] = extent;
  return Shape(std::span<const int64_t>(changed.data(), static_cast<size_t>(rank_)));
}

std::string Shape::ToString() const { return StrCat(*this); }

// GCC gives a friend that is declared in its class alone nothing of what the namespace says.
HWYNN_EXPORT std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (int axis = 0; axis < shape.rank(); ++axis) out << (axis ? "," : "") << shape[axis];
  return out << ']';
}

}  // namespace hwynn
