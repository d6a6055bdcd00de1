#include "hwynn/kernels/conv2d/gradient_parts.h"

#include <algorithm>

#include "hwynn/core/parallel.h"
#include "hwynn/core/split.h"

namespace hwynn {

GradientParts::GradientParts(const Conv2dGradientEpilogue& wanted, float* grad, int64_t parts,
                             const Workspace& workspace)
    : epilogue_{.grad = grad,
                .input = wanted.input.data(),
                .output = wanted.output.size() != 0 ? wanted.output.data() : nullptr,
                .norm = {wanted.mean.data(), wanted.mul.data(), wanted.bias.data(), wanted.relu, wanted.upper}},
      parts_(parts),
      pixels_(wanted.input.size() / wanted.mean.size()),
      channels_(wanted.mean.size()),
      sums_(workspace.NewTensor({std::max<int64_t>(1, parts), 2, channels_, kFloatsPerDouble})) {}

void GradientParts::Open(int64_t part, int64_t channel, int64_t channels, GradientSums& sums) const {
  double* grad = Part(part) + channel;
  sums.Open(epilogue_, channel, channels, grad, grad + channels_);
}

void GradientParts::Merge(BatchNormSums& sums) const {
  sums.count = static_cast<double>(pixels_);
  sums.grad.assign(static_cast<size_t>(channels_), 0.0);
  sums.grad_centered.assign(static_cast<size_t>(channels_), 0.0);
  const EvenSplit pieces(channels_, 64);
  ParallelFor(pieces.count, [&](int64_t piece) {
    for (int64_t part = 0; part < parts_; ++part) {
      const double* from = Part(part);
      for (int64_t c = pieces.Begin(piece); c < pieces.End(piece); ++c) {
        sums.grad[static_cast<size_t>(c)] += from[c];
        sums.grad_centered[static_cast<size_t>(c)] += from[channels_ + c];
      }
    }
  });
}

GradientPart::GradientPart(const GradientParts& parts, int64_t part)
    : pieces_(static_cast<size_t>(CeilDiv(parts.channels(), GradientSums::kMostChannels))) {
  int64_t channel = 0;
  for (GradientSums& piece : pieces_) {
    parts.Open(part, channel, std::min(GradientSums::kMostChannels, parts.channels() - channel), piece);
    channel += GradientSums::kMostChannels;
  }
}

void GradientPart::Add(GradientRows pixels) {
  const int64_t all = pixels.rows;
  const int64_t most = pieces_.size() == 1 ? all : kPixels;
  for (int64_t done = 0; done < all; done += most) {
    pixels.rows = std::min(most, all - done);
    GradientRows rows = pixels;
    for (GradientSums& piece : pieces_) {
      piece.Add(rows);
      rows.from += GradientSums::kMostChannels;
      rows.to += GradientSums::kMostChannels;
    }
    pixels.from += most * pixels.from_pitch;
    pixels.to += most * pixels.to_pitch;
  }
}

void GradientPart::Close() {
  for (GradientSums& piece : pieces_) piece.Close();
}

}  // namespace hwynn
