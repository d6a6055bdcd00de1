#ifndef HWYNN_CORE_SHAPE_H_
#define HWYNN_CORE_SHAPE_H_

// The extents of a dense row-major array: [N,H,W,C] for images, [KH,KW,IC,OC] for filters.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

class Shape {
 public:
  static constexpr int kMaxRank = 8;

  /// A scalar: rank 0, one element.
  Shape() = default;

  /// Throws std::invalid_argument for more than kMaxRank extents, a negative extent, or an element count whose
  /// bytes overflow an int64_t.
  Shape(std::initializer_list<int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}
  explicit Shape(std::span<const int64_t> extents);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return extents_[static_cast<size_t>(axis)]; }
  /// The last extent: the channels of an NHWC array. Rank must not be 0.
  int64_t back() const { return extents_[static_cast<size_t>(rank_ - 1)]; }
  int64_t num_elements() const { return num_elements_; }
  std::span<const int64_t> extents() const { return {extents_.data(), static_cast<size_t>(rank_)}; }

  /// The same with another last extent. Rank must not be 0.
  Shape WithLast(int64_t extent) const;

  /// "[8,56,56,64]"; "[]" for a scalar.
  std::string ToString() const;

  friend bool operator==(const Shape& a, const Shape& b) { return a.rank_ == b.rank_ && a.extents_ == b.extents_; }
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape);

 private:
  std::array<int64_t, kMaxRank> extents_{};
  int rank_ = 0;
  int64_t num_elements_ = 1;
};

}  // namespace hwynn

#endif  // HWYNN_CORE_SHAPE_H_
