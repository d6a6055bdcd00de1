#ifndef HWYNN_KERNELS_RESIZE_TAPS_H_
#define HWYNN_KERNELS_RESIZE_TAPS_H_

// Which source pixels each pixel of a result sees along one axis, and with what weights.

#include <cstdint>
#include <vector>

#include "hwynn/core/split.h"
#include "hwynn/kernels/resize.h"

namespace hwynn {

/// Two neighbouring source pixels 2j and 2j+1 are one step of the sums. A weight w, of 22 fraction bits and so too long
/// for a product of 16-bit numbers, is high·2¹¹ + low with 0 ≤ low < 2¹¹: two products in place of one long one, which
/// takes several times as long. Each member holds the weights of both pixels, the even one's in the low half.
struct PairWeights {
  int32_t high;
  int32_t low;
};

inline constexpr int kWeightBits = 22;
inline constexpr int kLowBits = 11;

/// The whole weight of the pair's first pixel, and of its second.
inline int32_t EvenWeight(const PairWeights& pair) {
  return static_cast<int16_t>(pair.high) * (1 << kLowBits) + static_cast<int16_t>(pair.low);
}
inline int32_t OddWeight(const PairWeights& pair) { return (pair.high >> 16) * (1 << kLowBits) + (pair.low >> 16); }

class ResizeTaps {
 public:
  /// Of the result's pixels `window`.
  ResizeTaps(Interpolation interpolation, int64_t source, int64_t result, Range window);

  /// The pairs that pixel `i`, counted from the window's begin, sees.
  Range Pairs(int64_t i) const { return pairs_[static_cast<size_t>(i)]; }
  const PairWeights* Weights(int64_t i) const { return weights_.data() + i * most_pairs_; }
  /// The pairs of pixels [begin, end) together: those of the first and the last, as both ends of Pairs(i) grow with i.
  Range PairsOf(Range pixels) const { return {Pairs(pixels.begin).begin, Pairs(pixels.end - 1).end}; }

 private:
  int64_t most_pairs_;
  std::vector<Range> pairs_;
  std::vector<PairWeights> weights_;  // most_pairs_ a pixel
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_RESIZE_TAPS_H_
