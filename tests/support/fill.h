#ifndef HWYNN_TESTS_SUPPORT_FILL_H_
#define HWYNN_TESTS_SUPPORT_FILL_H_

// Test data. Values differ from element to element: constant fills hide transpositions.

#include <cstdint>

#include "hwynn/core/tensor.h"

namespace hwynn::testing {

/// Pseudo-random integers −limit … limit: sums of their products are exact in float, so results compare with ==.
void FillIntegers(TensorView values, uint32_t seed, int limit = 3);
/// Normal deviates, mean + stddev·z.
void FillNormal(TensorView values, uint32_t seed, float mean = 0.0f, float stddev = 1.0f);

Tensor Integers(const Shape& shape, uint32_t seed, int limit = 3);
Tensor Normals(const Shape& shape, uint32_t seed, float mean = 0.0f, float stddev = 1.0f);

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_FILL_H_
