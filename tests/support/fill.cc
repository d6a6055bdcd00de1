#include "hwynn/tests/support/fill.h"

#include <random>

namespace hwynn::testing {

void FillIntegers(TensorView values, uint32_t seed, int limit) {
  std::mt19937 engine(seed);
  const auto span = static_cast<uint32_t>(2 * limit + 1);
  for (float& value : values.span()) value = static_cast<float>(static_cast<int>(engine() % span) - limit);
}

void FillNormal(TensorView values, uint32_t seed, float mean, float stddev) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(mean, stddev);
  for (float& value : values.span()) value = normal(engine);
}

Tensor Integers(const Shape& shape, uint32_t seed, int limit) {
  Tensor tensor(shape);
  FillIntegers(tensor, seed, limit);
  return tensor;
}

Tensor Normals(const Shape& shape, uint32_t seed, float mean, float stddev) {
  Tensor tensor(shape);
  FillNormal(tensor, seed, mean, stddev);
  return tensor;
}

}  // namespace hwynn::testing
