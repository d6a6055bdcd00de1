#include "hwynn/module/initializers.h"

#include <algorithm>
#include <cmath>

#include "hwynn/core/check.h"

namespace hwynn::initializers {
namespace {

// The n of variance scale/n. The last two extents are in and out; the ones before them are the receptive field.
double Fan(const Shape& shape, FanMode mode) {
  Check(shape.rank() >= 2, "VarianceScaling: the fans of shape ", shape, " need a rank of 2 or more");
  double receptive_field = 1.0;
  for (int axis = 0; axis < shape.rank() - 2; ++axis) receptive_field *= static_cast<double>(shape[axis]);
  const double fan_in = static_cast<double>(shape[shape.rank() - 2]) * receptive_field;
  const double fan_out = static_cast<double>(shape.back()) * receptive_field;
  switch (mode) {
    case FanMode::kFanIn:
      return fan_in;
    case FanMode::kFanOut:
      return fan_out;
    case FanMode::kFanAvg:
      break;
  }
  return (fan_in + fan_out) / 2.0;
}

void Scale(TensorView values, float factor) {
  for (float& value : values.span()) value *= factor;
}

}  // namespace

Initializer Constant(float value) {
  return [value](Key, TensorView values) { std::fill_n(values.data(), values.size(), value); };
}

Initializer Zeros() { return Constant(0.0f); }
Initializer Ones() { return Constant(1.0f); }

Initializer VarianceScaling(double scale, FanMode mode, Distribution distribution) {
  Check(scale > 0.0, "VarianceScaling: scale (", scale, ") must be positive");
  return [=](Key key, TensorView values) {
    // Each step is rounded to float where JAX does.
    const auto variance = static_cast<float>(scale / Fan(values.shape(), mode));
    switch (distribution) {
      case Distribution::kTruncatedNormal: {
        constexpr float kTruncatedStddev = 0.87962566103423978f;  // of the normal distribution cut off at ±2
        TruncatedNormal(key, values.span());
        Scale(values, std::sqrt(variance) / kTruncatedStddev);
        break;
      }
      case Distribution::kNormal:
        Normal(key, values.span());
        Scale(values, std::sqrt(variance));
        break;
      case Distribution::kUniform:
        Uniform(key, values.span(), -1.0f, 1.0f);
        Scale(values, std::sqrt(3.0f * variance));
        break;
    }
  };
}

Initializer LecunNormal() { return VarianceScaling(1.0, FanMode::kFanIn, Distribution::kTruncatedNormal); }
Initializer LecunUniform() { return VarianceScaling(1.0, FanMode::kFanIn, Distribution::kUniform); }
Initializer HeNormal() { return VarianceScaling(2.0, FanMode::kFanIn, Distribution::kTruncatedNormal); }
Initializer HeUniform() { return VarianceScaling(2.0, FanMode::kFanIn, Distribution::kUniform); }
Initializer GlorotNormal() { return VarianceScaling(1.0, FanMode::kFanAvg, Distribution::kTruncatedNormal); }
Initializer GlorotUniform() { return VarianceScaling(1.0, FanMode::kFanAvg, Distribution::kUniform); }

Initializer NormalInitializer(float stddev) {
  return [stddev](Key key, TensorView values) {
    Normal(key, values.span());
    Scale(values, stddev);
  };
}

}  // namespace hwynn::initializers
