#include "hwynn/kernels/reference/resize.h"

#include <algorithm>
#include <cmath>

namespace hwynn::reference {
namespace {

double Filter(Interpolation interpolation, double x) {
  x = std::abs(x);
  if (interpolation == Interpolation::kBilinear) return x < 1.0 ? 1.0 - x : 0.0;
  constexpr double kA = -0.5;
  if (x < 1.0) return ((kA + 2.0) * x - (kA + 3.0)) * x * x + 1.0;
  return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * kA : 0.0;
}

// The source pixels that a pixel of the result sees.
struct Taps {
  int64_t begin;
  std::vector<int64_t> weights;  // of 2⁻²²
};

Taps FindTaps(Interpolation interpolation, int64_t source, int64_t result, int64_t i) {
  const double scale = static_cast<double>(source) / static_cast<double>(result);
  const double filter_scale = std::max(scale, 1.0);
  const double radius = (interpolation == Interpolation::kBilinear ? 1.0 : 2.0) * filter_scale;
  const double centre = (static_cast<double>(i) + 0.5) * scale;
  const int64_t begin = std::max<int64_t>(0, static_cast<int64_t>(std::floor(centre - radius + 0.5)));
  const int64_t end = std::min(source, static_cast<int64_t>(std::floor(centre + radius + 0.5)));
  std::vector<double> weights;
  double sum = 0.0;
  for (int64_t j = 0; j < end - begin; ++j) {
    // Reciprocal and order of operations as Pillow has them: they decide about the last bit.
    weights.push_back(Filter(interpolation, (static_cast<double>(j + begin) - centre + 0.5) * (1.0 / filter_scale)));
    sum += weights.back();
  }
  Taps taps = {begin, {}};
  for (const double weight : weights) {
    const double scaled = (sum != 0.0 ? weight / sum : weight) * 4194304.0;
    taps.weights.push_back(static_cast<int64_t>(scaled + (scaled < 0.0 ? -0.5 : 0.5)));
  }
  return taps;
}

uint8_t Round(int64_t sum) {
  return static_cast<uint8_t>(std::clamp<int64_t>((sum + (int64_t{1} << 21)) >> 22, 0, 255));
}

}  // namespace

std::vector<uint8_t> ResizeImage(const ResizeParams& params, const ByteImageView& input) {
  const int64_t channels = input.channels;
  std::vector<uint8_t> wide(static_cast<size_t>(input.height * params.width * channels));
  for (int64_t x = 0; x < params.width; ++x) {
    const Taps taps = FindTaps(params.interpolation, input.width, params.width, x);
    for (int64_t y = 0; y < input.height; ++y) {
      for (int64_t c = 0; c < channels; ++c) {
        int64_t sum = 0;
        for (size_t j = 0; j < taps.weights.size(); ++j) {
          const int64_t column = taps.begin + static_cast<int64_t>(j);
          sum += taps.weights[j] * input.data[y * input.row_stride + column * channels + c];
        }
        wide[static_cast<size_t>((y * params.width + x) * channels + c)] = Round(sum);
      }
    }
  }

  std::vector<uint8_t> window;
  for (int64_t y = params.window_top; y < params.window_top + params.window_height; ++y) {
    const Taps taps = FindTaps(params.interpolation, input.height, params.height, y);
    const int64_t begin = params.window_left * channels;
    for (int64_t k = begin; k < begin + params.window_width * channels; ++k) {
      int64_t sum = 0;
      for (size_t j = 0; j < taps.weights.size(); ++j) {
        const int64_t row = taps.begin + static_cast<int64_t>(j);
        sum += taps.weights[j] * wide[static_cast<size_t>(row * params.width * channels + k)];
      }
      window.push_back(Round(sum));
    }
  }
  return window;
}

}  // namespace hwynn::reference
