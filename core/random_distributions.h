#ifndef HWYNN_CORE_RANDOM_DISTRIBUTIONS_H_
#define HWYNN_CORE_RANDOM_DISTRIBUTIONS_H_

// Not for users: the maps of core/random.h from 32 random bits to one value. They take 23 of the bits, so tests
// compare all 2²³ results with JAX.
//
// Every fused multiply-add that XLA makes on CPUs is one here and nothing else is fused: without the one in
// UniformFromBits half of the truncated-normal values differ from JAX's, near zero by 6·10⁵ ULP.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// a·b + c with one rounding: std::fma, but fast on processors without that instruction too (where the C library
/// takes 100 ns). The product is exact in double, so the sum rounded to double and then to float is the sum rounded
/// once, unless the first rounding may have ended halfway between two floats or the result is a subnormal float.
inline float FusedMultiplyAdd(float a, float b, float c) {
  constexpr uint64_t kBelowFloat = (uint64_t{1} << 29) - 1;  // the bits of a double that a float lacks
  constexpr uint64_t kHalfway = uint64_t{1} << 28;
  const double sum = static_cast<double>(a) * b + c;
  const bool halfway = (std::bit_cast<uint64_t>(sum) & kBelowFloat) == kHalfway;
  if (halfway || std::fabs(sum) < std::numeric_limits<float>::min()) [[unlikely]]
    return std::fma(a, b, c);
  return static_cast<float>(sum);
}

/// max(minval, f·span + minval) with f = the upper 23 bits as a fraction in [0, 1); `span` is maxval − minval.
inline float UniformFromBits(uint32_t bits, float minval, float span) {
  const float fraction = std::bit_cast<float>((bits >> 9) | 0x3F800000u) - 1.0f;
  return std::max(minval, FusedMultiplyAdd(fraction, span, minval));
}

/// √2·erf⁻¹(u), u uniform in (−1, 1).
float NormalFromBits(uint32_t bits);

/// √2·erf⁻¹(u), u uniform in [erf(−√2), erf(√2)), kept within (−2, 2).
float TruncatedNormalFromBits(uint32_t bits);

/// erf⁻¹(x) for |x| ≤ 1: M. Giles's single-precision polynomials ("Approximating the erfinv function", GPU Computing
/// Gems, 2011) in −log(1 − x²), with XLA's log1p and log of 2023–2026 (after Cephes).
float ErfInv(float x);

}  // namespace hwynn

#endif  // HWYNN_CORE_RANDOM_DISTRIBUTIONS_H_
