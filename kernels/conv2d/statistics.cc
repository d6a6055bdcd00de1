#include "hwynn/kernels/conv2d/statistics.h"

#include <numeric>
#include <vector>

#include "hwynn/core/split.h"
#include "hwynn/kernels/simd/channel_sums.h"

namespace hwynn {

void OutputStatistics::Merge(FunctionRef<int64_t(int64_t part)> values, const float* output, TensorView mean,
                             TensorView var) const {
  std::vector<int64_t> counts;
  for (int64_t part = 0; part < parts_; ++part) counts.push_back(values(part));
  ChannelSums moments{std::vector<double>(static_cast<size_t>(channels_)),
                      std::vector<double>(static_cast<size_t>(channels_))};
  const EvenSplit pieces(channels_, 64);
  ParallelFor(pieces.count, [&](int64_t piece) {
    const int64_t c = pieces.Begin(piece);
    ChannelMoments all{moments.first.data() + c, moments.second.data() + c};
    for (int64_t part = 0; part < parts_; ++part) {
      ChannelMoments of_part = Part(part).From(c);
      of_part.count = counts[static_cast<size_t>(part)];
      all.Merge(of_part, pieces.Size(piece));
    }
  });
  const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  MakeLostMomentsAgain({output, total, channels_}, moments, workspace_);
  for (int64_t c = 0; c < channels_; ++c) {
    mean[c] = static_cast<float>(moments.first[static_cast<size_t>(c)]);
    var[c] = static_cast<float>(moments.second[static_cast<size_t>(c)] / static_cast<double>(total));
  }
}

}  // namespace hwynn
