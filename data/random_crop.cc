#include "hwynn/data/random_crop.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/math.h"

namespace hwynn {
namespace {

// Keeps these keys apart from the loader's, which folds the epoch into the same seed.
constexpr uint32_t kAugmentationDomain = 0x61756721;
constexpr uint32_t kCropStream = 2;  // of an image's key; Augment has 0 and 1

constexpr uint32_t kAttempts = 10;
constexpr double kLargestRatio = 4.0 / 3.0;  // and the smallest is its inverse

// 0 … count − 1 from a uniform number in [0, 1).
int64_t Pick(float uniform, int64_t count) {
  return std::min(static_cast<int64_t>(static_cast<double>(uniform) * static_cast<double>(count)), count - 1);
}

// The largest part in the middle that isn't longer than kLargestRatio says.
CropRectangle Middle(int64_t height, int64_t width) {
  const int64_t most_height = std::lround(static_cast<double>(width) * kLargestRatio);
  const int64_t most_width = std::lround(static_cast<double>(height) * kLargestRatio);
  const int64_t crop_height = std::min(height, most_height);
  const int64_t crop_width = std::min(width, most_width);
  return {(height - crop_height) / 2, (width - crop_width) / 2, crop_height, crop_width};
}

// Where along a line of `size` pixels, `target` pixels wide when enlarged, pixel t takes its two values, and how much
// of the second.
struct Tap {
  int64_t first, second;
  float share;
};

std::vector<Tap> Taps(int64_t size, int64_t target) {
  std::vector<Tap> taps;
  const double scale = static_cast<double>(size) / static_cast<double>(target);
  for (int64_t t = 0; t < target; ++t) {
    const double at = std::clamp((static_cast<double>(t) + 0.5) * scale - 0.5, 0.0, static_cast<double>(size - 1));
    const auto first = static_cast<int64_t>(at);
    taps.push_back({first, std::min(first + 1, size - 1), static_cast<float>(at - static_cast<double>(first))});
  }
  return taps;
}

float Between(float a, float b, float share) { return a + (b - a) * share; }

}  // namespace

Key ImageKey(const ImageDraw& draw) {
  const Key run = FoldIn(KeyFromSeed(draw.seed), kAugmentationDomain);
  return FoldIn(FoldIn(run, static_cast<uint32_t>(draw.epoch)), static_cast<uint32_t>(draw.index));
}

CropRectangle DrawCrop(const ImageDraw& draw, int64_t height, int64_t width) {
  Check(height > 0 && width > 0, "DrawCrop: an image of ", height, "x", width, " pixels");
  Check(draw.smallest_crop > 0.0 && draw.smallest_crop <= 1.0, "DrawCrop: smallest_crop ", draw.smallest_crop,
        " is not in (0, 1]");
  const Key key = FoldIn(ImageKey(draw), kCropStream);
  const double image_area = static_cast<double>(height) * static_cast<double>(width);
  for (uint32_t attempt = 0; attempt < kAttempts; ++attempt) {
    std::array<float, 4> uniforms;  // area, ratio, top, left
    Uniform(FoldIn(key, attempt), uniforms);
    const double area = image_area * (draw.smallest_crop + (1.0 - draw.smallest_crop) * uniforms[0]);
    const double ratio = Exp(Log(kLargestRatio) * (2.0 * uniforms[1] - 1.0));
    const int64_t crop_height = std::lround(std::sqrt(area / ratio));
    const int64_t crop_width = std::lround(std::sqrt(area * ratio));
    if (crop_height < 1 || crop_width < 1 || crop_height > height || crop_width > width) continue;
    return {Pick(uniforms[2], height - crop_height + 1), Pick(uniforms[3], width - crop_width + 1), crop_height,
            crop_width};
  }
  return Middle(height, width);
}

void CropAtRandom(const ImageDraw& draw, const Shape& image_shape, std::span<float> hwc) {
  const int64_t height = image_shape[0], width = image_shape[1], channels = image_shape[2];
  const CropRectangle part = DrawCrop(draw, height, width);
  const std::vector<float> whole(hwc.begin(), hwc.end());
  const std::vector<Tap> columns = Taps(part.width, width);
  float* out = hwc.data();
  for (const Tap& row : Taps(part.height, height)) {
    const float* const upper = whole.data() + ((part.top + row.first) * width + part.left) * channels;
    const float* const lower = whole.data() + ((part.top + row.second) * width + part.left) * channels;
    for (const Tap& column : columns) {
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t left = column.first * channels + c, right = column.second * channels + c;
        *out++ = Between(Between(upper[left], upper[right], column.share),
                         Between(lower[left], lower[right], column.share), row.share);
      }
    }
  }
}

}  // namespace hwynn
