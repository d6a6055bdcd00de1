#include "hwynn/data/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/core/math.h"
#include "hwynn/core/parallel.h"
#include "hwynn/core/random.h"

namespace hwynn {
namespace {

// Wavelengths in pixels of the wide and the narrow stripes: apart by more than their jitter, and above the 2 pixels
// below which stripes can't be seen.
constexpr std::array<double, 2> kWavelengths{7.0, 3.8};
constexpr double kWavelengthJitter = 0.1;
// Angles jitter by this part of the distance between two classes.
constexpr double kAngleJitter = 0.2;
constexpr float kNoise = 0.15f;

// Everything that is random about one image but its noise, from uniform numbers in [0, 1).
struct Grating {
  double wave_x, wave_y, phase;            // the stripes: sin(wave_x·x + wave_y·y + phase)
  double center_x, center_y, inv_radius2;  // the patch in which they are seen: exp(−distance²·inv_radius2)
  double contrast;
};

Grating MakeGrating(int64_t label, int64_t num_classes, const Shape& shape, std::span<const float, 9> u) {
  const auto between = [](double low, double high, float uniform) { return low + (high - low) * uniform; };
  const int64_t num_angles = (num_classes + 1) / 2;
  const double spacing = num_angles > 1 ? 0.5 * std::numbers::pi / static_cast<double>(num_angles - 1) : 0.0;
  const int64_t direction = label / 2;  // two classes share one
  const double angle = spacing * (static_cast<double>(direction) + between(-kAngleJitter, kAngleJitter, u[0]));
  const double wavelength =
      kWavelengths[static_cast<size_t>(label % 2)] * between(1.0 - kWavelengthJitter, 1.0 + kWavelengthJitter, u[1]);
  const double slant = u[2] < 0.5f ? -1.0 : 1.0;
  const double wave = 2.0 * std::numbers::pi / wavelength;
  const auto height = static_cast<double>(shape[0]);
  const auto width = static_cast<double>(shape[1]);
  const double radius = between(0.25, 0.5, u[6]) * std::min(height, width);
  return {.wave_x = slant * wave * Sin(angle),
          .wave_y = wave * Cos(angle),
          .phase = between(0.0, 2.0 * std::numbers::pi, u[3]),
          .center_x = between(0.3, 0.7, u[4]) * width,
          .center_y = between(0.3, 0.7, u[5]) * height,
          .inv_radius2 = 1.0 / (radius * radius),
          .contrast = between(0.2, 0.45, u[7])};
}

void DrawImage(Key key, int64_t label, int64_t num_classes, const Shape& shape, std::span<uint8_t> hwc) {
  std::array<float, 9> uniforms;
  Uniform(FoldIn(key, 0), uniforms);
  const Grating grating = MakeGrating(label, num_classes, shape, uniforms);
  const int64_t channels = shape[2];
  std::vector<float> tint(static_cast<size_t>(channels));  // how strongly each channel shows the stripes
  Uniform(FoldIn(key, 1), tint, 0.5f, 1.0f);
  std::vector<float> noise(hwc.size());
  Normal(FoldIn(key, 2), noise);

  const double background = 0.4 + 0.2 * uniforms[8];
  size_t i = 0;
  for (int64_t y = 0; y < shape[0]; ++y) {
    for (int64_t x = 0; x < shape[1]; ++x) {
      const double dx = static_cast<double>(x) - grating.center_x;
      const double dy = static_cast<double>(y) - grating.center_y;
      const double window = Exp(-(dx * dx + dy * dy) * grating.inv_radius2);
      const double stripes = Sin(grating.wave_x * dx + grating.wave_y * dy + grating.phase);
      for (int64_t c = 0; c < channels; ++c, ++i) {
        const double value =
            background + grating.contrast * window * stripes * tint[static_cast<size_t>(c)] + kNoise * noise[i];
        hwc[i] = static_cast<uint8_t>(std::lround(255.0 * std::clamp(value, 0.0, 1.0)));
      }
    }
  }
}

std::unique_ptr<Dataset> MakeSplit(Key key, int64_t size, const SyntheticOptions& options) {
  const auto image_size = static_cast<size_t>(options.image_shape.num_elements());
  std::vector<uint8_t> images(static_cast<size_t>(size) * image_size);
  std::vector<int32_t> labels(static_cast<size_t>(size));
  constexpr int64_t kBlock = 64;
  ParallelFor((size + kBlock - 1) / kBlock, [&](int64_t block) {
    for (int64_t index = block * kBlock; index < std::min(size, (block + 1) * kBlock); ++index) {
      const int64_t label = index % options.num_classes;
      labels[static_cast<size_t>(index)] = static_cast<int32_t>(label);
      DrawImage(FoldIn(key, static_cast<uint32_t>(index)), label, options.num_classes, options.image_shape,
                std::span(images).subspan(static_cast<size_t>(index) * image_size, image_size));
    }
  });

  std::vector<std::string> names;
  for (int64_t label = 0; label < options.num_classes; ++label) {
    names.push_back(StrCat(label % 2 == 0 ? "wide-" : "narrow-", label / 2));
  }
  return OwningDataset(options.image_shape, std::move(images), std::move(labels), std::move(names));
}

}  // namespace

DatasetSplits MakeSynthetic(const SyntheticOptions& options, int64_t seed) {
  const Shape& shape = options.image_shape;
  Check(options.train_size > 0 && options.test_size > 0, "MakeSynthetic: ", options.train_size, " training and ",
        options.test_size, " test images");
  Check(shape.rank() == 3 && shape[0] >= 8 && shape[1] >= 8 && shape[2] >= 1, "MakeSynthetic: image shape ", shape,
        " is not [H,W,C] of at least [8,8,1]");
  Check(options.num_classes >= 2, "MakeSynthetic: ", options.num_classes, " classes are too few");
  Check(Shape{options.train_size, shape[0], shape[1], shape[2]}.num_elements() <= int64_t{1} << 40 &&
            Shape{options.test_size, shape[0], shape[1], shape[2]}.num_elements() <= int64_t{1} << 40,
        "MakeSynthetic: more than 2^40 values");
  const Key key = KeyFromSeed(seed);
  return {MakeSplit(FoldIn(key, 0), options.train_size, options),
          MakeSplit(FoldIn(key, 1), options.test_size, options)};
}

}  // namespace hwynn
