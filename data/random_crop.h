#ifndef HWYNN_DATA_RANDOM_CROP_H_
#define HWYNN_DATA_RANDOM_CROP_H_

// Random parts of training images, resized to the size of the whole.

#include <cstdint>
#include <span>

#include "hwynn/core/export.h"
#include "hwynn/core/random.h"
#include "hwynn/data/dataset.h"

namespace HWYNN_EXPORT hwynn {

/// The key of an image's random changes; FoldIn with a number of its own for each of them.
Key ImageKey(const ImageDraw& draw);

/// A part of an image, in pixels.
struct CropRectangle {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
  friend bool operator==(const CropRectangle&, const CropRectangle&) = default;
};

/// Draws a part of an image of `height` × `width` pixels: `draw.smallest_crop` … 1 of its area (uniform), width ÷
/// height 3/4 … 4/3 (log-uniform), anywhere. A part that doesn't fit is drawn again; after ten it is the largest in the
/// middle whose sides have one of those ratios.
///
/// Source: Szegedy et al., "Going deeper with convolutions" (CVPR 2015), section 6, with 0.08 for `smallest_crop`; what
/// follows ten misfits is torchvision's RandomResizedCrop. Determinism: depends on the arguments alone.
CropRectangle DrawCrop(const ImageDraw& draw, int64_t height, int64_t width);

/// Replaces an image by the part of it that DrawCrop draws, enlarged to the image's size: bilinear, between the centres
/// of pixels. Shapes: `hwc` [H,W,C] = `image_shape`.
void CropAtRandom(const ImageDraw& draw, const Shape& image_shape, std::span<float> hwc);

}  // namespace hwynn

#endif  // HWYNN_DATA_RANDOM_CROP_H_
