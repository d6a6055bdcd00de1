#include "hwynn/kernels/conv2d/statistics.h"

#include <vector>

#include "hwynn/core/split.h"
#include "hwynn/kernels/simd/channel_sums.h"

namespace hwynn {

void OutputStatistics::Merge(FunctionRef<int64_t(int64_t part)> values, TensorView mean, TensorView var) const {
  std::vector<double> counts;
  for (int64_t part = 0; part < parts_; ++part) counts.push_back(static_cast<double>(values(part)));
  const EvenSplit pieces(channels_, 64);
  ParallelFor(pieces.count, [&](int64_t piece) {
    for (int64_t c = pieces.Begin(piece); c < pieces.End(piece); ++c) {
      double total = 0;
      double total_mean = 0;
      double total_m2 = 0;
      for (int64_t part = 0; part < parts_; ++part) {
        const ChannelMoments moments = Part(part);
        const double count = counts[static_cast<size_t>(part)];
        MergeMoments(total, total_mean, total_m2, count, moments.mean[c], moments.m2[c]);
        total += count;
      }
      mean[c] = static_cast<float>(total_mean);
      var[c] = static_cast<float>(total_m2 / total);
    }
  });
}

}  // namespace hwynn
