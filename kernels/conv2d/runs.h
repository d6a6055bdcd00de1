#ifndef HWYNN_KERNELS_CONV2D_RUNS_H_
#define HWYNN_KERNELS_CONV2D_RUNS_H_

// Not for users: over which runs of the source a direct convolution's tiles sum.

#include <array>
#include <memory_resource>
#include <vector>

#include "hwynn/kernels/conv2d/product.h"

namespace hwynn {

inline constexpr size_t kMaxRuns = 64;

/// A part of K: taps [tap0, tap1) × channels [c0, c1) of a group.
struct DepthBlock {
  size_t tap0, tap1;
  int64_t c0, c1;
};

/// Depth blocks that make at most kMaxRuns runs and keep their rows of a panel in the second-level cache.
std::vector<DepthBlock> CutDepth(size_t taps, int64_t channels);

/// Grid positions of a block, of all its images, that meet the same taps inside the image.
struct Region {
  Range y, x;
};

/// The list, and what it is made of, lies in `memory`.
std::pmr::vector<Region> CutIntoRegions(const Product& product, const TapExtent& extent, const Window& window,
                                        const Block& block, std::pmr::memory_resource* memory);

/// A region's first position, of one image, in the channels of a group.
struct RunsFrom {
  int64_t group, n;
  const Region& region;
};

/// The runs of A that a position meets within a depth block; taps outside the image are left out, neighbouring taps
/// whose channels touch become one run. Returns their number.
int64_t MakeRuns(const Product& product, const Window& window, const DepthBlock& depth, const RunsFrom& from,
                 std::array<TileRun, kMaxRuns>& runs);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_RUNS_H_
