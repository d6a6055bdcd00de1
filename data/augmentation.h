#ifndef HWYNN_DATA_AUGMENTATION_H_
#define HWYNN_DATA_AUGMENTATION_H_

// Random changes of training images that keep their class.

#include <cstdint>
#include <span>

#include "hwynn/core/export.h"
#include "hwynn/core/shape.h"
#include "hwynn/data/color.h"
#include "hwynn/data/dataset.h"
#include "hwynn/data/rand_augment.h"

namespace HWYNN_EXPORT hwynn {

/// What random erasing writes into its rectangle.
enum class ErasingFill {
  kNoise,  // normal deviates, mean 0 and standard deviation 1, for each pixel and channel
  kMean,   // 0: the mean of a standardised image
};

struct AugmentationOptions {
  /// Above 0: images are random parts of at least this share of the area, resized (ImageDraw::smallest_crop); 0.08 is
  /// usual.
  double random_resized_crop = 0.0;
  /// Random changes of colours, then RandAugment: of images of 1 or 3 channels in 0 … 1, which they make bytes of.
  ColorJitterOptions color_jitter{};
  RandAugmentOptions rand_augment{};
  /// Pads each side by this many pixels and cuts a window of the image's size out at a random place.
  int64_t pad_crop = 0;
  /// Mirrors left and right with probability 1/2.
  bool horizontal_flip = false;
  /// The probability of random erasing.
  double random_erasing = 0.0;
  ErasingFill erasing_fill = ErasingFill::kNoise;
  /// Above 0: the alpha of mixup (data/mixup.h), which mixes the images of a batch; 0.2 is usual.
  double mixup = 0.0;
};

/// Throws std::invalid_argument unless pad_crop ≥ 0, random_resized_crop and random_erasing are in 0 … 1, the others
/// are in the ranges of theirs, and, where colours are changed, images have 1 or 3 channels.
void CheckAugmentation(const AugmentationOptions& options, int64_t channels = 3);

/// Color jitter and RandAugment of one image in place, before it is standardised. Shapes: `hwc` [H,W,C] =
/// `image_shape`, values 0 … 1, which become the nearest of 0, 1/255 … 1.
void ChangeColors(const AugmentationOptions& options, const ImageDraw& draw, const Shape& image_shape,
                  std::span<float> hwc);

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
