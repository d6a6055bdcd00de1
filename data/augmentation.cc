#include "hwynn/data/augmentation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/math.h"
#include "hwynn/core/random.h"
#include "hwynn/data/random_crop.h"

namespace hwynn {
namespace {

constexpr double kMinErasedArea = 0.02;
constexpr double kMaxErasedArea = 0.4;
constexpr double kMinErasedAspect = 0.3;
constexpr uint32_t kErasingAttempts = 10;

struct Image {
  int64_t height, width, channels;
  std::span<float> hwc;

  float* Pixel(int64_t y, int64_t x) const { return hwc.data() + (y * width + x) * channels; }
};

// 0 … count − 1 from a uniform number in [0, 1).
int64_t Pick(float uniform, int64_t count) {
  return std::min(static_cast<int64_t>(static_cast<double>(uniform) * static_cast<double>(count)), count - 1);
}

void FillPixels(float* begin, int64_t num_pixels, int64_t channels, std::span<const float> padding) {
  if (padding.empty()) {
    std::fill_n(begin, num_pixels * channels, 0.0f);
  } else {
    for (int64_t p = 0; p < num_pixels; ++p) std::ranges::copy(padding, begin + p * channels);
  }
}

// out(y, x) = image(y + dy, x + dx), or padding outside. In place: rows are taken in the order in which each is read
// before it is overwritten.
void Shift(const Image& image, int64_t dy, int64_t dx, std::span<const float> padding) {
  const auto [height, width, channels, hwc] = image;
  const int64_t begin = std::clamp<int64_t>(-dx, 0, width);  // the columns that come from the image
  const int64_t end = std::clamp<int64_t>(width - dx, 0, width);
  for (int64_t row = 0; row < height; ++row) {
    const int64_t y = dy >= 0 ? row : height - 1 - row;
    if (y + dy < 0 || y + dy >= height || begin >= end) {
      FillPixels(image.Pixel(y, 0), width, channels, padding);
      continue;
    }
    const float* source = image.Pixel(y + dy, begin + dx);
    const int64_t count = (end - begin) * channels;
    if (dx >= 0) {
      std::copy(source, source + count, image.Pixel(y, begin));
    } else {
      std::copy_backward(source, source + count, image.Pixel(y, begin) + count);
    }
    FillPixels(image.Pixel(y, 0), begin, channels, padding);
    FillPixels(image.Pixel(y, end), width - end, channels, padding);
  }
}

void Flip(const Image& image) {
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width / 2; ++x) {
      float* left = image.Pixel(y, x);
      std::swap_ranges(left, left + image.channels, image.Pixel(y, image.width - 1 - x));
    }
  }
}

void Erase(const Image& image, Key key, ErasingFill fill) {
  const auto image_area = static_cast<double>(image.height * image.width);
  for (uint32_t attempt = 0; attempt < kErasingAttempts; ++attempt) {
    std::array<float, 4> uniforms;  // area, aspect, top, left
    Uniform(FoldIn(key, attempt), uniforms);
    const double area = image_area * (kMinErasedArea + (kMaxErasedArea - kMinErasedArea) * uniforms[0]);
    const double aspect = Exp(Log(kMinErasedAspect) * (1.0 - 2.0 * uniforms[1]));
    const int64_t height = std::lround(std::sqrt(area * aspect));
    const int64_t width = std::lround(std::sqrt(area / aspect));
    if (height < 1 || width < 1 || height >= image.height || width >= image.width) continue;

    const int64_t top = Pick(uniforms[2], image.height - height + 1);
    const int64_t left = Pick(uniforms[3], image.width - width + 1);
    for (int64_t y = 0; y < height; ++y) {
      const std::span<float> row(image.Pixel(top + y, left), static_cast<size_t>(width * image.channels));
      if (fill == ErasingFill::kMean) {
        std::ranges::fill(row, 0.0f);
      } else {
        Normal(FoldIn(key, kErasingAttempts + static_cast<uint32_t>(y)), row);
      }
    }
    return;
  }
}

}  // namespace

void CheckAugmentation(const AugmentationOptions& options, int64_t channels) {
  constexpr int64_t kMaxPadding = 1 << 20;  // far above any image's size, and small enough for float arithmetic
  Check(options.pad_crop >= 0 && options.pad_crop <= kMaxPadding, "Augmentation: pad_crop ", options.pad_crop,
        " is not in 0 … ", kMaxPadding);
  Check(options.random_erasing >= 0.0 && options.random_erasing <= 1.0, "Augmentation: random_erasing ",
        options.random_erasing, " is not a probability");
  Check(options.random_resized_crop >= 0.0 && options.random_resized_crop <= 1.0, "Augmentation: random_resized_crop ",
        options.random_resized_crop, " is not a share of the area");
  Check(std::isfinite(options.mixup) && options.mixup >= 0.0, "Augmentation: mixup ", options.mixup,
        " is negative or no number");
  CheckColorJitter(options.color_jitter);
  CheckRandAugment(options.rand_augment);
  const bool changes_colors = options.color_jitter.any() || options.rand_augment.operations > 0;
  Check(!changes_colors || channels == 1 || channels == 3,
        "Augmentation: color_jitter and randaugment change images of 1 or 3 channels, not of ", channels);
}

void ChangeColors(const AugmentationOptions& options, const ImageDraw& draw, const Shape& image_shape,
                  std::span<float> hwc) {
  if (!options.color_jitter.any() && options.rand_augment.operations == 0) return;
  std::vector<uint8_t> bytes(hwc.size());
  for (size_t i = 0; i < hwc.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(std::lround(std::clamp(hwc[i], 0.0f, 1.0f) * 255.0f));
  }
  const ByteImage image{image_shape[0], image_shape[1], image_shape[2], bytes};
  if (options.color_jitter.any()) JitterColors(options.color_jitter, draw, image);
  RandAugment(options.rand_augment, draw, image);
  for (size_t i = 0; i < hwc.size(); ++i) hwc[i] = static_cast<float>(bytes[i]) / 255.0f;
}

void Augment(const AugmentationOptions& options, const ImageDraw& draw, const Shape& image_shape,
             std::span<const float> padding, std::span<float> hwc) {
  if (options.pad_crop == 0 && !options.horizontal_flip && options.random_erasing == 0.0) return;
  const Image image{image_shape[0], image_shape[1], image_shape[2], hwc};
  const Key key = ImageKey(draw);
  std::array<float, 4> uniforms;  // crop top, crop left, flip, erase: drawn always, so that options don't interact
  Uniform(FoldIn(key, 0), uniforms);

  if (options.pad_crop > 0) {
    const int64_t positions = 2 * options.pad_crop + 1;
    Shift(image, Pick(uniforms[0], positions) - options.pad_crop, Pick(uniforms[1], positions) - options.pad_crop,
          padding);
  }
  if (options.horizontal_flip && uniforms[2] < 0.5f) Flip(image);
  if (uniforms[3] < options.random_erasing) Erase(image, FoldIn(key, 1), options.erasing_fill);
}

}  // namespace hwynn
