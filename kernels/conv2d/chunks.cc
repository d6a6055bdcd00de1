#include "hwynn/kernels/conv2d/chunks.h"

#include "hwynn/core/parallel.h"
#include "hwynn/core/split.h"

namespace hwynn {

ChunkedGradient::ChunkedGradient(int64_t chunks, int64_t floats, float* result, const Workspace& workspace)
    : count_(chunks), floats_(floats), result_(result) {
  if (chunks > 1) partials_ = workspace.NewTensor({chunks, floats});
}

void ChunkedGradient::Add() {
  if (count_ == 1) return;
  const float* partials = partials_.data();
  const EvenSplit pieces(floats_, 16384);
  ParallelFor(pieces.count, [&](int64_t piece) {
    for (int64_t i = pieces.Begin(piece); i < pieces.End(piece); ++i) result_[i] = partials[i];
    for (int64_t chunk = 1; chunk < count_; ++chunk) {
      const float* from = partials + chunk * floats_;
      for (int64_t i = pieces.Begin(piece); i < pieces.End(piece); ++i) result_[i] += from[i];
    }
  });
}

}  // namespace hwynn
