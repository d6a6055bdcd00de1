#ifndef HWYNN_DATA_STANDARDIZATION_H_
#define HWYNN_DATA_STANDARDIZATION_H_

#include "hwynn/core/export.h"
#include "hwynn/data/dataset.h"
#include "hwynn/formats/preprocessing.h"

namespace HWYNN_EXPORT hwynn {

/// Mean and standard deviation (of the population) over all pixels of all images of `dataset`, in double. The
/// standard deviation of a channel that never changes is 1. Determinism: the same bits for any number of threads.
Standardization ComputeStandardization(const Dataset& dataset);

}  // namespace hwynn

#endif  // HWYNN_DATA_STANDARDIZATION_H_
