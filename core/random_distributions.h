#ifndef HWYNN_CORE_RANDOM_DISTRIBUTIONS_H_
#define HWYNN_CORE_RANDOM_DISTRIBUTIONS_H_

// Not for users: the maps of core/random.h from 32 random bits to one value. They take 23 of the bits, so tests
// compare all 2²³ results with JAX.
//
// Every fused multiply-add that XLA makes on CPUs is a std::fma here and nothing else is fused: without the one in
// UniformFromBits half of the truncated-normal values differ from JAX's, near zero by 6·10⁵ ULP.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace hwynn {

/// max(minval, f·span + minval) with f = the upper 23 bits as a fraction in [0, 1); `span` is maxval − minval.
inline float UniformFromBits(uint32_t bits, float minval, float span) {
  const float fraction = std::bit_cast<float>((bits >> 9) | 0x3F800000u) - 1.0f;
  return std::max(minval, std::fma(fraction, span, minval));
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
