#ifndef HWYNN_DATA_SYNTHETIC_H_
#define HWYNN_DATA_SYNTHETIC_H_

// Images with a rule to learn, for tests, examples and machines without data sets.

#include "hwynn/core/export.h"
#include "hwynn/data/dataset.h"

namespace HWYNN_EXPORT hwynn {

/// Noisy gratings. The class says how steep the stripes are and how wide: class k has angle ⌊k/2⌋ of
/// ⌈num_classes/2⌉ between flat and upright, and narrow stripes when k is odd. Phase, contrast, place and size of the
/// patch, colour and slant to the left or right are random, so that no pixel alone says anything about the class and a
/// linear model hardly beats chance, while a small convolutional network learns it in an epoch. The rule
/// survives horizontal flips and small shifts. 8 bits a channel.
///
/// Determinism: image i of a split depends on (seed, split, i) and image_shape and num_classes alone; train and test
/// images differ. Labels are i mod num_classes.
/// Throws std::invalid_argument for sizes < 1, images smaller than 8×8, or fewer than 2 classes.
DatasetSplits MakeSynthetic(const SyntheticOptions& options, int64_t seed);

}  // namespace hwynn

#endif  // HWYNN_DATA_SYNTHETIC_H_
