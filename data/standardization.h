#ifndef HWYNN_DATA_STANDARDIZATION_H_
#define HWYNN_DATA_STANDARDIZATION_H_

#include <span>
#include <vector>

#include "hwynn/data/dataset.h"

namespace hwynn {

/// x ← (x − mean) ÷ stddev, per channel. Empty: images stay as they are.
struct Standardization {
  std::vector<float> mean;
  std::vector<float> stddev;

  friend bool operator==(const Standardization&, const Standardization&) = default;
};

/// Mean and standard deviation (of the population) over all pixels of all images of `dataset`, in double. The
/// standard deviation of a channel that never changes is 1. Determinism: the same bits for any number of threads.
Standardization ComputeStandardization(const Dataset& dataset);

/// Throws std::invalid_argument unless `standardization` is empty or has `channels` finite means and `channels`
/// finite standard deviations > 0.
void CheckStandardization(const Standardization& standardization, int64_t channels);

/// Standardises whole pixels in place, as (x − mean)·(1 ÷ stddev). `hwc.size()` is a multiple of the channels.
void Standardize(const Standardization& standardization, std::span<float> hwc);

}  // namespace hwynn

#endif  // HWYNN_DATA_STANDARDIZATION_H_
