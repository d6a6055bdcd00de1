#include "hwynn/data/mixup.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "hwynn/core/check.h"
#include "hwynn/core/math.h"
#include "hwynn/core/random.h"

namespace hwynn {
namespace {

constexpr uint32_t kMixupDomain = 0x6d697875;  // keeps these keys apart from the other ones of the seed

// In (0, 1).
double UniformFrom(uint32_t bits) { return (static_cast<double>(bits) + 0.5) * 0x1p-32; }

// The logarithm of a number from the gamma distribution of shape `alpha`: Marsaglia and Tsang, "A simple method for
// generating gamma variables" (2000), with their step from alpha + 1 down, which serves above 1 too.
double DrawLogGamma(double alpha, Key key) {
  const double d = alpha + 1.0 - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (uint32_t attempt = 0;; ++attempt) {  // at least 95 of 100 are taken
    std::array<float, 1> normal;
    Normal(FoldIn(key, 2 * attempt), normal);
    std::array<uint32_t, 2> bits;
    RandomBits(FoldIn(key, 2 * attempt + 1), bits);
    const double x = normal[0];
    const double root = 1.0 + c * x;
    if (root <= 0.0) continue;
    const double v = root * root * root;
    if (Log(UniformFrom(bits[0])) < 0.5 * x * x + d - d * v + d * Log(v)) {
      return Log(d * v) + Log(UniformFrom(bits[1])) / alpha;
    }
  }
}

}  // namespace

float DrawMixupShare(double alpha, int64_t seed, int64_t epoch, int64_t batch) {
  Check(std::isfinite(alpha) && alpha > 0.0, "mixup's alpha (", alpha, ") must be positive");
  const Key epoch_key = FoldIn(FoldIn(KeyFromSeed(seed), kMixupDomain), static_cast<uint32_t>(epoch));
  const Key key = FoldIn(epoch_key, static_cast<uint32_t>(batch));
  const double first = DrawLogGamma(alpha, FoldIn(key, 0)), second = DrawLogGamma(alpha, FoldIn(key, 1));
  return static_cast<float>(1.0 / (1.0 + Exp(-std::abs(first - second))));  // the larger one's share of their sum
}

void MixImages(float share, TensorView images) {
  const Shape& shape = images.shape();
  Check(shape.rank() >= 1 && shape.num_elements() > 0, "MixImages: ", shape, " is no batch");
  const int64_t count = shape[0], size = images.size() / count;
  for (int64_t n = 0; 2 * n + 1 < count; ++n) {
    float* const a = images.data() + n * size;
    float* const b = images.data() + (count - 1 - n) * size;
    for (int64_t i = 0; i < size; ++i) {
      const float first = a[i], second = b[i];
      a[i] = share * first + (1.0f - share) * second;
      b[i] = share * second + (1.0f - share) * first;
    }
  }
}

}  // namespace hwynn
