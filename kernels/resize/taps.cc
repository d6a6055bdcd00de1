#include "hwynn/kernels/resize/taps.h"

#include <algorithm>
#include <cmath>

namespace hwynn {
namespace {

double Bilinear(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double Bicubic(double x) {
  constexpr double kA = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((kA + 2.0) * x - (kA + 3.0)) * x * x + 1.0;
  return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * kA : 0.0;
}

// `weight` of one pixel of a pair, beside what the pair holds so far.
void Put(PairWeights& pair, int64_t source_pixel, int32_t weight) {
  const int shift = source_pixel % 2 == 0 ? 0 : 16;
  const auto put = [&](int32_t& both, int32_t value) {
    const uint32_t half = static_cast<uint32_t>(value) & 0xffffu;
    both = static_cast<int32_t>(static_cast<uint32_t>(both) | half << shift);
  };
  put(pair.high, weight >> kLowBits);
  put(pair.low, weight & ((1 << kLowBits) - 1));
}

}  // namespace

ResizeTaps::ResizeTaps(Interpolation interpolation, int64_t source, int64_t result, Range window) {
  const bool bilinear = interpolation == Interpolation::kBilinear;
  const double scale = static_cast<double>(source) / static_cast<double>(result);
  const double filter_scale = std::max(scale, 1.0);
  const double inverse = 1.0 / filter_scale;
  const double radius = (bilinear ? 1.0 : 2.0) * filter_scale;
  const auto most_taps = static_cast<int64_t>(std::ceil(radius)) * 2 + 1;
  most_pairs_ = most_taps / 2 + 1;  // where the first tap is odd
  pairs_.resize(static_cast<size_t>(window.size()));
  weights_.resize(static_cast<size_t>(window.size() * most_pairs_));

  std::vector<double> taps(static_cast<size_t>(most_taps));
  for (int64_t i = 0; i < window.size(); ++i) {
    const double centre = (static_cast<double>(window.begin + i) + 0.5) * scale;
    const int64_t begin = std::max<int64_t>(0, static_cast<int64_t>(std::floor(centre - radius + 0.5)));
    const int64_t end = std::min(source, static_cast<int64_t>(std::floor(centre + radius + 0.5)));
    double sum = 0.0;
    for (int64_t j = begin; j < end; ++j) {
      const double x = (static_cast<double>(j) - centre + 0.5) * inverse;
      const double tap = bilinear ? Bilinear(x) : Bicubic(x);
      taps[static_cast<size_t>(j - begin)] = tap;
      sum += tap;
    }
    const Range pairs = {begin / 2, CeilDiv(end, 2)};
    pairs_[static_cast<size_t>(i)] = pairs;
    PairWeights* const weights = weights_.data() + i * most_pairs_;
    for (int64_t j = begin; j < end; ++j) {
      const double tap = taps[static_cast<size_t>(j - begin)];
      const double scaled = (sum != 0.0 ? tap / sum : tap) * (1 << kWeightBits);
      Put(weights[j / 2 - pairs.begin], j, static_cast<int32_t>(scaled + (scaled < 0.0 ? -0.5 : 0.5)));
    }
  }
}

}  // namespace hwynn
