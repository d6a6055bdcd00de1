#ifndef HWYNN_IMAGES_TRANSFORM_H_
#define HWYNN_IMAGES_TRANSFORM_H_

// From a decoded image to a model's input.

#include <cstdint>
#include <span>

#include "hwynn/core/export.h"
#include "hwynn/formats/preprocessing.h"
#include "hwynn/images/decoded_image.h"
#include "hwynn/kernels/resize.h"

namespace HWYNN_EXPORT hwynn {

/// A rectangle of pixels.
struct ImageWindow {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
};

/// The whole image in another size, with the bits that Pillow's Image.resize gives (kernels/resize.h). Throws
/// std::invalid_argument as ResizeImage does.
DecodedImage Resize(const DecodedImage& image, int64_t height, int64_t width,
                    Interpolation interpolation = Interpolation::kBilinear);

/// What torchvision's resized_crop gives: the window cut out, and that resized. Nothing outside the window is looked
/// at. Throws std::invalid_argument for a window that isn't inside the image, and as ResizeImage does.
DecodedImage ResizedCrop(const DecodedImage& image, const ImageWindow& window, int64_t height, int64_t width,
                         Interpolation interpolation = Interpolation::kBilinear);

/// [image_size, image_size, channels]: what torchvision's Resize(resize), CenterCrop(image_size) give. The longer side
/// becomes ⌊resize·longer/shorter⌋ pixels; the crop begins at half of what is cut off, halves rounded to even. Only
/// what the crop shows is computed. `transform` is one that CheckEvaluationTransform takes, not the default; throws
/// std::invalid_argument for another, and for an image so long that its longer side would have more than 2³¹ pixels.
DecodedImage ApplyTransform(const DecodedImage& image, const EvaluationTransform& transform);

/// What a model takes: (b/255 − mean)·(1/stddev) of each byte, with the bits that Standardize has. Writes
/// height·width·channels floats. Throws std::invalid_argument for another size of `hwc` or a standardisation that
/// doesn't fit the channels.
void ToInput(const DecodedImage& image, const Standardization& standardization, std::span<float> hwc);

}  // namespace hwynn

#endif  // HWYNN_IMAGES_TRANSFORM_H_
