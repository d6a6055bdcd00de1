#ifndef HWYNN_KERNELS_SIMD_PANELS_H_
#define HWYNN_KERNELS_SIMD_PANELS_H_

// Not for users: where the panels of a packed matrix lie.

#include <algorithm>
#include <cstdint>

#include "hwynn/core/split.h"
#include "hwynn/kernels/simd/gemm_tile.h"

namespace hwynn {

/// B of matrix products as the micro-kernels read it: [group][panel][row][panel columns]. A panel is up to four vectors
/// of columns wide; a group's last one takes as many vectors as it needs: of 80 columns on 16 lanes it takes one.
/// Columns beyond the group's are padding.
class PackedPanels {
 public:
  PackedPanels(const GemmTiles& tiles, int64_t rows, int64_t columns, int64_t groups = 1)
      : rows_(rows),
        columns_(columns),
        groups_(groups),
        lanes_(tiles.lanes),
        vectors_(tiles.max_vectors),
        width_(tiles.panel()),
        count_(CeilDiv(columns, width_)),
        last_vectors_(CeilDiv(columns - (count_ - 1) * width_, lanes_)) {}

  /// Of a group.
  int64_t count() const { return count_; }
  int64_t padded_columns() const { return Begin(count_ - 1) + last_vectors_ * lanes_; }
  /// Of all groups.
  int64_t floats() const { return groups_ * rows_ * padded_columns(); }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t groups() const { return groups_; }

  /// A panel's first column, and how many it has: of the matrix, in vectors, and with the padding. Asked for each tile,
  /// so without divisions.
  int64_t Begin(int64_t panel) const { return panel * width_; }
  int64_t Columns(int64_t panel) const { return std::min(width_, columns_ - Begin(panel)); }
  int64_t Vectors(int64_t panel) const { return panel + 1 < count_ ? vectors_ : last_vectors_; }
  int64_t Width(int64_t panel) const { return Vectors(panel) * lanes_; }

  /// Where a row of a panel starts.
  int64_t Offset(int64_t group, int64_t panel, int64_t row = 0) const {
    return (group * padded_columns() + Begin(panel)) * rows_ + row * Width(panel);
  }

 private:
  int64_t rows_, columns_, groups_;
  int64_t lanes_, vectors_, width_;  // of a whole panel
  int64_t count_;
  int64_t last_vectors_;  // of a group's last panel
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_SIMD_PANELS_H_
