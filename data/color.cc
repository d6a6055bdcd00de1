#include "hwynn/data/color.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/random.h"
#include "hwynn/data/random_crop.h"

namespace hwynn {
namespace {

constexpr uint32_t kJitterStream = 3;  // of an image's key

void CheckImage(const ByteImage& image) {
  Check(image.channels == 1 || image.channels == 3, "colours are changed in images of 1 or 3 channels, not of ",
        image.channels);
  Check(std::ssize(image.hwc) == image.height * image.width * image.channels, "an image of ", image.height, "x",
        image.width, "x", image.channels, " has no ", image.hwc.size(), " bytes");
}

uint8_t Blend(int other, int value, double factor) {
  return static_cast<uint8_t>(std::clamp(static_cast<double>(other) + factor * (value - other), 0.0, 255.0));
}

// Rec. 601's luma in units of 1/65536, rounded.
int Luma(const uint8_t* rgb) { return (19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 32768) >> 16; }

int Grey(const ByteImage& image, size_t pixel) {
  return image.channels == 1 ? image.hwc[pixel] : Luma(image.hwc.data() + 3 * pixel);
}

size_t NumPixels(const ByteImage& image) { return static_cast<size_t>(image.height * image.width); }

uint8_t ToByte(double value) { return static_cast<uint8_t>(std::lround(std::clamp(value, 0.0, 255.0))); }

// The pixel of this hue (in sixths of the circle), highest and lowest value.
void WriteHue(double hue, double highest, double lowest, uint8_t* rgb) {
  const double sector = std::floor(hue);
  const double rise = lowest + (highest - lowest) * (hue - sector);
  const double fall = lowest + highest - rise;
  const std::array<std::array<double, 3>, 6> colors = {{{highest, rise, lowest},
                                                        {fall, highest, lowest},
                                                        {lowest, highest, rise},
                                                        {lowest, fall, highest},
                                                        {rise, lowest, highest},
                                                        {highest, lowest, fall}}};
  const std::array<double, 3>& color = colors[static_cast<size_t>(sector) % 6];
  for (size_t c = 0; c < 3; ++c) rgb[c] = ToByte(color[c]);
}

}  // namespace

void AdjustBrightness(const ByteImage& image, double factor) {
  CheckImage(image);
  for (uint8_t& value : image.hwc) value = Blend(0, value, factor);
}

void AdjustContrast(const ByteImage& image, double factor) {
  CheckImage(image);
  int64_t sum = 0;
  for (size_t pixel = 0; pixel < NumPixels(image); ++pixel) sum += Grey(image, pixel);
  const auto mean = static_cast<int>(std::lround(static_cast<double>(sum) / static_cast<double>(NumPixels(image))));
  for (uint8_t& value : image.hwc) value = Blend(mean, value, factor);
}

void AdjustSaturation(const ByteImage& image, double factor) {
  CheckImage(image);
  if (image.channels == 1) return;
  for (size_t pixel = 0; pixel < NumPixels(image); ++pixel) {
    const int grey = Grey(image, pixel);
    for (uint8_t& value : image.hwc.subspan(3 * pixel, 3)) value = Blend(grey, value, factor);
  }
}

void AdjustSharpness(const ByteImage& image, double factor) {
  CheckImage(image);
  const std::vector<uint8_t> source(image.hwc.begin(), image.hwc.end());
  const int64_t row = image.width * image.channels;
  for (int64_t y = 1; y + 1 < image.height; ++y) {
    for (int64_t i = image.channels; i + image.channels < row; ++i) {
      const uint8_t* const center = source.data() + y * row + i;
      int sum = 4 * center[0];
      for (const int64_t dy : {-row, int64_t{0}, row}) {
        for (const int64_t dx : {-image.channels, int64_t{0}, image.channels}) sum += center[dy + dx];
      }
      const int smooth = (2 * sum + 13) / 26;  // sum ÷ 13, rounded
      image.hwc[static_cast<size_t>(y * row + i)] = Blend(smooth, center[0], factor);
    }
  }
}

void TurnHue(const ByteImage& image, double turn) {
  CheckImage(image);
  if (image.channels == 1) return;
  for (size_t pixel = 0; pixel < NumPixels(image); ++pixel) {
    uint8_t* const rgb = image.hwc.data() + 3 * pixel;
    const double red = rgb[0], green = rgb[1], blue = rgb[2];
    const double highest = std::max({red, green, blue}), lowest = std::min({red, green, blue});
    if (highest == lowest) continue;
    double hue = 0.0;  // in sixths of the circle
    if (highest == red) {
      hue = (green - blue) / (highest - lowest);
    } else if (highest == green) {
      hue = 2.0 + (blue - red) / (highest - lowest);
    } else {
      hue = 4.0 + (red - green) / (highest - lowest);
    }
    hue += 6.0 * turn;
    WriteHue(hue - 6.0 * std::floor(hue / 6.0), highest, lowest, rgb);
  }
}

void CheckColorJitter(const ColorJitterOptions& options) {
  for (const double amount : {options.brightness, options.contrast, options.saturation, options.hue}) {
    Check(std::isfinite(amount) && amount >= 0.0, "Augmentation: color_jitter ", amount, " is negative or no number");
  }
  Check(options.hue <= 0.5, "Augmentation: color_jitter's hue ", options.hue, " is more than 0.5");
}

void JitterColors(const ColorJitterOptions& options, const ImageDraw& draw, const ByteImage& image) {
  const Key key = FoldIn(ImageKey(draw), kJitterStream);
  std::array<float, 4> uniforms;
  Uniform(FoldIn(key, 0), uniforms);
  const auto factor = [&](double amount, size_t number) {
    const double least = std::max(0.0, 1.0 - amount);
    return least + (1.0 + amount - least) * static_cast<double>(uniforms[number]);
  };
  for (const int64_t change : Permutation(FoldIn(key, 1), 4)) {
    if (change == 0 && options.brightness > 0.0) AdjustBrightness(image, factor(options.brightness, 0));
    if (change == 1 && options.contrast > 0.0) AdjustContrast(image, factor(options.contrast, 1));
    if (change == 2 && options.saturation > 0.0) AdjustSaturation(image, factor(options.saturation, 2));
    if (change == 3 && options.hue > 0.0) TurnHue(image, options.hue * (2.0 * static_cast<double>(uniforms[3]) - 1.0));
  }
}

}  // namespace hwynn
