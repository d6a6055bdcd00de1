#include "hwynn/kernels/conv2d/statistics.h"

#include "hwynn/core/split.h"
#include "hwynn/kernels/simd/channel_sums.h"

namespace hwynn {

void OutputStatistics::Merge(FunctionRef<int64_t(int64_t part)> rows, TensorView mean, TensorView var) const {
  const EvenSplit pieces(channels_, 64);
  ParallelFor(pieces.count, [&](int64_t piece) {
    for (int64_t c = pieces.Begin(piece); c < pieces.End(piece); ++c) {
      double total = 0;
      double total_mean = 0;
      double m2 = 0;
      for (int64_t part = 0; part < parts_; ++part) {
        const float* sums = sums_.data() + part * 3 * channels_ + c;
        const auto count = static_cast<double>(rows(part));
        const double sum = sums[channels_];
        MergeMoments(total, total_mean, m2, count, sums[0] + sum / count,
                     CentralSquares(count, sum, sums[2 * channels_]));
        total += count;
      }
      mean[c] = static_cast<float>(total_mean);
      var[c] = static_cast<float>(m2 / total);
    }
  });
}

}  // namespace hwynn
