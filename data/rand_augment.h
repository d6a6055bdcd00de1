#ifndef HWYNN_DATA_RAND_AUGMENT_H_
#define HWYNN_DATA_RAND_AUGMENT_H_

// RandAugment: a few changes of a training image, drawn from a fixed set, all of one strength.

#include <cstdint>

#include "hwynn/core/export.h"
#include "hwynn/data/color.h"
#include "hwynn/data/dataset.h"

namespace HWYNN_EXPORT hwynn {

struct RandAugmentOptions {
  int64_t operations = 0;  // how many an image gets; 0: none
  int64_t magnitude = 9;   // 0 … 30
  friend bool operator==(const RandAugmentOptions&, const RandAugmentOptions&) = default;
};

/// Throws std::invalid_argument unless operations are 0 … 14 and the magnitude 0 … 30.
void CheckRandAugment(const RandAugmentOptions& options);

/// The 14 operations; the strength of each at magnitude M, with m = M/30:
enum class AugmentOperation {
  kIdentity,
  kShearX,        // in(x, y) is taken at x ± 0.3m·y
  kShearY,        // at y ± 0.3m·x
  kTranslateX,    // by ⌊150/331·m·width⌋ pixels
  kTranslateY,    // by ⌊150/331·m·height⌋ pixels
  kRotate,        // by ±30m degrees about the centre
  kBrightness,    // factor 1 ± 0.9m, as the three that follow
  kSaturation,    //
  kContrast,      //
  kSharpness,     //
  kPosterize,     // to 8 − round(4m) bits
  kSolarize,      // values from 255·(1 − m) on are inverted
  kAutoContrast,  // each channel is stretched to 0 … 255
  kEqualize,      // the histogram of each channel is made even
};
inline constexpr int64_t kNumAugmentOperations = 14;

/// Applies one operation, its sign reversed where it has one and `negative` says so. What comes from outside of the
/// image is black; positions are rounded to the nearest pixel. Throws std::invalid_argument for other than 1 or 3
/// channels.
void Apply(AugmentOperation operation, int64_t magnitude, bool negative, const ByteImage& image);

/// Applies options.operations of them, each drawn uniformly, with random signs, one after another.
///
/// Source: Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space" (NeurIPS
/// 2020); the operations' strengths are those of torchvision's RandAugment with 31 bins. Determinism: depends on the
/// arguments alone.
void RandAugment(const RandAugmentOptions& options, const ImageDraw& draw, const ByteImage& image);

}  // namespace hwynn

#endif  // HWYNN_DATA_RAND_AUGMENT_H_
