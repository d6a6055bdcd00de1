#ifndef HWYNN_FORMATS_PREPROCESSING_H_
#define HWYNN_FORMATS_PREPROCESSING_H_

// What makes a model's input of an image, as checkpoints and compiled models store it. images/transform.h carries it
// out.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/core/shape.h"
#include "hwynn/kernels/resize.h"

namespace HWYNN_EXPORT hwynn {

/// x ← (x − mean) ÷ stddev, per channel. Empty: images stay as they are.
struct Standardization {
  std::vector<float> mean{};
  std::vector<float> stddev{};

  friend bool operator==(const Standardization&, const Standardization&) = default;
};

/// Throws std::invalid_argument unless `standardization` is empty or has `channels` finite means and `channels`
/// finite standard deviations > 0.
void CheckStandardization(const Standardization& standardization, int64_t channels);

/// Standardises whole pixels in place, as (x − mean)·(1 ÷ stddev). `hwc.size()` is a multiple of the channels.
void Standardize(const Standardization& standardization, std::span<float> hwc);

/// What Standardize makes of each byte b ÷ 255: [channels·256], a channel's values together.
std::vector<float> StandardizedBytes(const Standardization& standardization, int64_t channels);

/// How a photograph of any size becomes the square image that a model is evaluated on: the shorter side is resized to
/// `resize` pixels, the longer one to match, and the middle of `image_size`² pixels is cut out. It is torchvision's
/// Resize(resize), CenterCrop(image_size). The default, image_size 0: the model's images have one size as they are.
struct EvaluationTransform {
  int64_t image_size = 0;
  int64_t resize = 0;
  Interpolation interpolation = Interpolation::kBilinear;

  friend bool operator==(const EvaluationTransform&, const EvaluationTransform&) = default;
};

/// Of photographs, where nothing else is said: the shorter side becomes ⌊image_size·256/224⌋, so that the crop shows
/// seven eighths of it. 224 gives torchvision's 256.
EvaluationTransform PhotographTransform(int64_t image_size, Interpolation interpolation = Interpolation::kBilinear);

/// Throws std::invalid_argument unless `transform` is the default, or 0 < image_size ≤ resize ≤ 16384 and
/// `image_shape`, [H,W,C], is [image_size, image_size, C].
void CheckEvaluationTransform(const EvaluationTransform& transform, const Shape& image_shape);

/// {"image_size":224,"resize":256,"interpolation":"bilinear"}, and back. ParseEvaluationTransform throws
/// std::invalid_argument for any other text; numbers are for CheckEvaluationTransform.
std::string ToText(const EvaluationTransform& transform);
EvaluationTransform ParseEvaluationTransform(const std::string& text);

/// "bilinear", "bicubic", and back: InterpolationOf throws std::invalid_argument for another name.
std::string NameOf(Interpolation interpolation);
Interpolation InterpolationOf(const std::string& name);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_PREPROCESSING_H_
