#ifndef HWYNN_DATA_MIXUP_H_
#define HWYNN_DATA_MIXUP_H_

// Mixup: training on images between two images.

#include <cstdint>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"

namespace HWYNN_EXPORT hwynn {

/// Draws how much of a mixed image is the first of its two, 0.5 … 1: max(λ, 1 − λ) with λ ~ Beta(alpha, alpha), so that
/// the first is never the lesser. One for a batch. Determinism: depends on the arguments alone.
/// Throws std::invalid_argument unless alpha is finite and positive.
float DrawMixupShare(double alpha, int64_t seed, int64_t epoch, int64_t batch);

/// Replaces image n of [N,…] by share·image n + (1 − share)·image N−1−n. Of a batch in random order these are random
/// pairs, as in timm; the paper's own code draws a permutation.
///
/// Source: Zhang et al., "mixup: Beyond empirical risk minimization" (ICLR 2018). The labels are mixed in the loss:
/// CrossEntropyOptions::second_labels.
void MixImages(float share, TensorView images);

}  // namespace hwynn

#endif  // HWYNN_DATA_MIXUP_H_
