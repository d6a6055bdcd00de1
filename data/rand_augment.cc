#include "hwynn/data/rand_augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/math.h"
#include "hwynn/core/random.h"
#include "hwynn/data/random_crop.h"

namespace hwynn {
namespace {

constexpr uint32_t kRandAugmentStream = 4;  // of an image's key
constexpr int64_t kMostMagnitude = 30;

constexpr double kMostShear = 0.3;
constexpr double kMostTranslation = 150.0 / 331.0;  // of the side
constexpr double kMostRotation = 30.0 / 180.0 * std::numbers::pi;
constexpr double kMostFactor = 0.9;  // away from 1

// Where the pixel at (x, y) of the result comes from: (xx·x + xy·y + x0, yx·x + yy·y + y0), between pixels' corners.
struct Affine {
  double xx = 1.0, xy = 0.0, x0 = 0.0;
  double yx = 0.0, yy = 1.0, y0 = 0.0;
};

void Transform(const Affine& from, const ByteImage& image) {
  const std::vector<uint8_t> source(image.hwc.begin(), image.hwc.end());
  uint8_t* out = image.hwc.data();
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x, out += image.channels) {
      const double center_x = static_cast<double>(x) + 0.5, center_y = static_cast<double>(y) + 0.5;
      const double from_x = std::floor(from.xx * center_x + from.xy * center_y + from.x0);
      const double from_y = std::floor(from.yx * center_x + from.yy * center_y + from.y0);
      const bool inside = from_x >= 0.0 && from_x < static_cast<double>(image.width) && from_y >= 0.0 &&
                          from_y < static_cast<double>(image.height);
      if (inside) {
        const int64_t pixel = static_cast<int64_t>(from_y) * image.width + static_cast<int64_t>(from_x);
        std::copy_n(source.data() + pixel * image.channels, image.channels, out);
      } else {
        std::fill_n(out, image.channels, uint8_t{0});
      }
    }
  }
}

Affine Rotation(double angle, const ByteImage& image) {
  const double cos = Cos(angle), sin = Sin(angle);
  const double x = 0.5 * static_cast<double>(image.width), y = 0.5 * static_cast<double>(image.height);
  return {.xx = cos, .xy = -sin, .x0 = x - cos * x + sin * y, .yx = sin, .yy = cos, .y0 = y - sin * x - cos * y};
}

using Table = std::array<uint8_t, 256>;

// Replaces each value of channel c by what the table says of it.
void Map(const Table& table, int64_t c, const ByteImage& image) {
  for (size_t i = static_cast<size_t>(c); i < image.hwc.size(); i += static_cast<size_t>(image.channels)) {
    image.hwc[i] = table[image.hwc[i]];
  }
}

template <class Function>
void MapAll(const ByteImage& image, const Function& function) {
  for (uint8_t& value : image.hwc) value = static_cast<uint8_t>(function(static_cast<int>(value)));
}

std::array<int64_t, 256> Histogram(const ByteImage& image, int64_t c) {
  std::array<int64_t, 256> counts{};
  for (size_t i = static_cast<size_t>(c); i < image.hwc.size(); i += static_cast<size_t>(image.channels)) {
    ++counts[image.hwc[i]];
  }
  return counts;
}

void AutoContrast(const ByteImage& image, int64_t c) {
  const std::array<int64_t, 256> counts = Histogram(image, c);
  int lowest = 0, highest = 255;
  while (lowest < 255 && counts[static_cast<size_t>(lowest)] == 0) ++lowest;
  while (highest > 0 && counts[static_cast<size_t>(highest)] == 0) --highest;
  if (highest <= lowest) return;
  Table table;
  for (int value = 0; value < 256; ++value) {
    const double stretched = (value - lowest) * 255.0 / (highest - lowest);
    table[static_cast<size_t>(value)] = static_cast<uint8_t>(std::clamp(stretched, 0.0, 255.0));
  }
  Map(table, c, image);
}

// A value becomes 255 times the share of pixels below it; the pixels of the highest value don't count.
void Equalize(const ByteImage& image, int64_t c) {
  const std::array<int64_t, 256> counts = Histogram(image, c);
  const auto last = std::find_if(counts.rbegin(), counts.rend(), [](int64_t count) { return count > 0; });
  const int64_t step = (image.height * image.width - *last) / 255;
  if (step == 0) return;
  Table table;
  int64_t below = step / 2;
  for (size_t value = 0; value < 256; ++value) {
    table[value] = static_cast<uint8_t>(std::min<int64_t>(below / step, 255));
    below += counts[value];
  }
  Map(table, c, image);
}

}  // namespace

void CheckRandAugment(const RandAugmentOptions& options) {
  Check(options.operations >= 0 && options.operations <= kNumAugmentOperations, "Augmentation: randaugment with ",
        options.operations, " operations, not 0 … ", kNumAugmentOperations);
  Check(options.magnitude >= 0 && options.magnitude <= kMostMagnitude, "Augmentation: randaugment of magnitude ",
        options.magnitude, ", not 0 … ", kMostMagnitude);
}

void Apply(AugmentOperation operation, int64_t magnitude, bool negative, const ByteImage& image) {
  Check(image.channels == 1 || image.channels == 3, "RandAugment changes images of 1 or 3 channels, not of ",
        image.channels);
  const double strength = static_cast<double>(magnitude) / static_cast<double>(kMostMagnitude);
  const double sign = negative ? -1.0 : 1.0;
  const double factor = 1.0 + sign * kMostFactor * strength;
  const auto translation = [&](int64_t size) {
    return sign * std::floor(kMostTranslation * strength * static_cast<double>(size));
  };
  switch (operation) {
    case AugmentOperation::kIdentity:
      break;
    case AugmentOperation::kShearX:
      return Transform({.xy = sign * kMostShear * strength}, image);
    case AugmentOperation::kShearY:
      return Transform({.yx = sign * kMostShear * strength}, image);
    case AugmentOperation::kTranslateX:
      return Transform({.x0 = -translation(image.width)}, image);
    case AugmentOperation::kTranslateY:
      return Transform({.y0 = -translation(image.height)}, image);
    case AugmentOperation::kRotate:
      return Transform(Rotation(sign * kMostRotation * strength, image), image);
    case AugmentOperation::kBrightness:
      return AdjustBrightness(image, factor);
    case AugmentOperation::kSaturation:
      return AdjustSaturation(image, factor);
    case AugmentOperation::kContrast:
      return AdjustContrast(image, factor);
    case AugmentOperation::kSharpness:
      return AdjustSharpness(image, factor);
    case AugmentOperation::kPosterize: {
      const int dropped_bits = static_cast<int>(std::lround(4.0 * strength));
      return MapAll(image, [&](int value) { return value >> dropped_bits << dropped_bits; });
    }
    case AugmentOperation::kSolarize: {
      const double threshold = 255.0 * (1.0 - strength);
      return MapAll(image, [&](int value) { return value < threshold ? value : 255 - value; });
    }
    case AugmentOperation::kAutoContrast:
      for (int64_t c = 0; c < image.channels; ++c) AutoContrast(image, c);
      break;
    case AugmentOperation::kEqualize:
      for (int64_t c = 0; c < image.channels; ++c) Equalize(image, c);
      break;
  }
}

void RandAugment(const RandAugmentOptions& options, const ImageDraw& draw, const ByteImage& image) {
  const Key key = FoldIn(ImageKey(draw), kRandAugmentStream);
  std::vector<float> uniforms(static_cast<size_t>(2 * options.operations));  // which one, and its sign
  Uniform(key, uniforms);
  for (size_t i = 0; i < uniforms.size(); i += 2) {
    const auto number = static_cast<int>(uniforms[i] * static_cast<float>(kNumAugmentOperations));
    Apply(static_cast<AugmentOperation>(number), options.magnitude, uniforms[i + 1] < 0.5f, image);
  }
}

}  // namespace hwynn
