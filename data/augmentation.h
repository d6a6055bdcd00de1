#ifndef HWYNN_DATA_AUGMENTATION_H_
#define HWYNN_DATA_AUGMENTATION_H_

// Random changes of training images that keep their class.

#include <cstdint>
#include <span>

#include "hwynn/core/shape.h"
#include "hwynn/data/dataset.h"

namespace hwynn {

/// What random erasing writes into its rectangle.
enum class ErasingFill {
  kNoise,  // normal deviates, mean 0 and standard deviation 1, for each pixel and channel
  kMean,   // 0: the mean of a standardised image
};

struct AugmentationOptions {
  /// Pads each side by this many pixels and cuts a window of the image's size out at a random place.
  int64_t pad_crop = 0;
  /// Mirrors left and right with probability 1/2.
  bool horizontal_flip = false;
  /// The probability of random erasing.
  double random_erasing = 0.0;
  ErasingFill erasing_fill = ErasingFill::kNoise;
};

/// Throws std::invalid_argument unless pad_crop ≥ 0 and random_erasing is in 0 … 1.
void CheckAugmentation(const AugmentationOptions& options);

/// Changes one standardised image in place: crop, then flip, then erasing. `padding` is what the crop pads with, one
/// value per channel (a standardised black pixel, for example); empty: 0.
///
/// Random erasing: Zhong et al., "Random Erasing Data Augmentation" (AAAI 2020): a rectangle of 2 … 40 % of the area,
/// height ÷ width 0.3 … 1/0.3 (log-uniform, so that lying and standing rectangles are equally likely); a rectangle
/// that doesn't fit is drawn again, ten times at most.
/// Shapes: `hwc` [H,W,C] = `image_shape`. Determinism: depends on `draw` and the arguments alone, not on the order in
/// which images are changed nor on threads.
void Augment(const AugmentationOptions& options, const ImageDraw& draw, const Shape& image_shape,
             std::span<const float> padding, std::span<float> hwc);

}  // namespace hwynn

#endif  // HWYNN_DATA_AUGMENTATION_H_
