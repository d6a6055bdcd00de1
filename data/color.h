#ifndef HWYNN_DATA_COLOR_H_
#define HWYNN_DATA_COLOR_H_

// Changes of the colours of images of bytes, as Pillow's ImageEnhance and torchvision make them, and the random ones of
// training. Images are grey (1 channel) or RGB (3).

#include <cstdint>
#include <span>

#include "hwynn/core/export.h"
#include "hwynn/data/dataset.h"

namespace HWYNN_EXPORT hwynn {

/// An image somewhere in memory: rows of pixels of 1 or 3 bytes.
struct ByteImage {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 3;
  std::span<uint8_t> hwc;
};

// Each of the first four moves an image away from one that lacks what it is about, by other + factor·(image − other),
// cut at 0 and 255 and without its fraction: factor 1 leaves it as it is, 0 gives the other one. Throws
// std::invalid_argument for other than 1 or 3 channels, or a span of another size.

/// Away from black.
void AdjustBrightness(const ByteImage& image, double factor);
/// Away from the mean of its grey.
void AdjustContrast(const ByteImage& image, double factor);
/// Away from grey, Rec. 601's luma.
void AdjustSaturation(const ByteImage& image, double factor);
/// Away from a smoothed one: 5/13 of each pixel and 1/13 of its eight neighbours; the outermost pixels stay.
void AdjustSharpness(const ByteImage& image, double factor);
/// Turns the hue by `turn` of the circle of colours, −0.5 … 0.5; saturation and value in HSV stay. Grey stays grey.
void TurnHue(const ByteImage& image, double turn);

struct ColorJitterOptions {
  double brightness = 0.0;  // factors are drawn from max(0, 1 − b) … 1 + b
  double contrast = 0.0;
  double saturation = 0.0;
  double hue = 0.0;  // drawn from −hue … hue, at most 0.5

  bool any() const { return brightness > 0.0 || contrast > 0.0 || saturation > 0.0 || hue > 0.0; }
  friend bool operator==(const ColorJitterOptions&, const ColorJitterOptions&) = default;
};

/// Throws std::invalid_argument unless all are at least 0 and finite, and hue at most 0.5.
void CheckColorJitter(const ColorJitterOptions& options);

/// Brightness, contrast, saturation and hue by random amounts, in random order (torchvision's ColorJitter).
/// Determinism: depends on the arguments alone; none of the four changes what is drawn for the others.
void JitterColors(const ColorJitterOptions& options, const ImageDraw& draw, const ByteImage& image);

}  // namespace hwynn

#endif  // HWYNN_DATA_COLOR_H_
