#ifndef HWYNN_KERNELS_CONV2D_RUNS_H_
#define HWYNN_KERNELS_CONV2D_RUNS_H_

// Not for users: which pieces of the source a direct convolution's tiles run over.

#include <array>
#include <vector>

#include "hwynn/kernels/conv2d/product.h"

namespace hwynn {

inline constexpr size_t kMaxRuns = 64;

/// A slice of K: taps [tap0, tap1) × channels [c0, c1) of a group.
struct DepthBlock {
  size_t tap0, tap1;
  int64_t c0, c1;
};

/// Slices that make at most kMaxRuns runs and keep their rows of a panel in the second-level cache.
std::vector<DepthBlock> CutDepth(size_t taps, int64_t channels);

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

/// Grid positions of a block, of all its images, that meet the same taps inside the image.
struct Region {
  Range y, x;
};

std::vector<Region> CutIntoRegions(const Product& product, const TapExtent& extent, const Window& window,
                                   const Block& block);

/// The pieces of A that the first position of a region meets within a depth block; taps outside the image are left
/// out, neighbouring taps whose channels touch become one run. Returns their number.
int64_t MakeRuns(const Product& product, const Window& window, const DepthBlock& depth, int64_t group, int64_t n,
                 const Region& region, std::array<TileRun, kMaxRuns>& runs);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_RUNS_H_
