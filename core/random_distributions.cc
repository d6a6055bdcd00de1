#include "hwynn/core/random_distributions.h"

#include <array>
#include <cstddef>

namespace hwynn {
namespace {

constexpr float kSqrt2 = 0x1.6a09e6p+0f;

// coefficients[0]·x^(n−1) + … + coefficients[n−1], a fused multiply-add a step.
template <size_t n>
float Horner(const std::array<float, n>& coefficients, float x) {
  float sum = coefficients[0];
  for (size_t i = 1; i < n; ++i) sum = FusedMultiplyAdd(sum, x, coefficients[i]);
  return sum;
}

// log(x) for normal x > 0. With x = 2^e·(1 + m), √½ ≤ 1 + m < √2: m − m²/2 + m³·P(m) + e·log 2; P is evaluated in
// three interleaved parts and log 2 is the sum of a short and a small number.
float Log(float x) {
  constexpr float kLog2Small = -2.12194440e-4f;
  constexpr float kLog2Short = 0.693359375f;
  const auto bits = std::bit_cast<uint32_t>(std::max(x, std::numeric_limits<float>::min()));
  auto e = static_cast<float>(static_cast<int>(bits >> 23) - 126);
  float m = std::bit_cast<float>((bits & 0x007FFFFFu) | 0x3F000000u);  // in [½, 1)
  if (m < 0.70710678118f) {
    e -= 1.0f;
    m = (m - 1.0f) + m;
  } else {
    m -= 1.0f;
  }
  const float m2 = m * m;
  const float m3 = m2 * m;
  float sum = Horner<3>({7.0376836292e-2f, -1.1514610310e-1f, 1.1676998740e-1f}, m);
  sum = FusedMultiplyAdd(sum, m3, Horner<3>({-1.2420140846e-1f, 1.4249322787e-1f, -1.6668057665e-1f}, m));
  sum = FusedMultiplyAdd(sum, m3, Horner<3>({2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f}, m));
  sum = FusedMultiplyAdd(sum, m3, kLog2Small * e);
  return FusedMultiplyAdd(kLog2Short, e, FusedMultiplyAdd(-0.5f, m2, m) + sum);
}

// log(1 + x): near 0 a quotient of polynomials, x − x²/2 + x³·N(x)/D(x).
float Log1p(float x) {
  constexpr std::array kN = {4.5270000862445199635215e-5f, 0.49854102823193375972212f, 6.5787325942061044846969f,
                             29.911919328553073277375f,    60.949667980987787057556f,  57.112963590585538103336f,
                             20.039553499201281259648f};
  constexpr std::array kD = {1.0f,
                             15.062909083469192043167f,
                             83.047565967967209469434f,
                             221.76239823732856465394f,
                             309.09872225312059774938f,
                             216.42788614495947685003f,
                             60.118660497603843919306f};
  if (std::fabs(x) >= 0.41421356237309504880f) return Log(x + 1.0f);
  const float x2 = x * x;
  const float tail = (x * x2) * (Horner(kN, x) / Horner(kD, x));
  return x + FusedMultiplyAdd(-0.5f, x2, tail);
}

}  // namespace

float ErfInv(float x) {
  constexpr std::array kCentre = {2.81022636e-08f, 3.43273939e-07f, -3.5233877e-06f, -4.39150654e-06f, 0.00021858087f,
                                  -0.00125372503f, -0.00417768164f, 0.246640727f,    1.50140941f};
  constexpr std::array kTails = {-0.000200214257f, 0.000100950558f, 0.00134934322f, -0.00367342844f, 0.00573950773f,
                                 -0.0076224613f,   0.00943887047f,  1.00167406f,    2.83297682f};
  if (std::fabs(x) == 1.0f) return x * std::numeric_limits<float>::infinity();
  const float w = -Log1p(x * -x);
  return x * (w < 5.0f ? Horner(kCentre, w - 2.5f) : Horner(kTails, std::sqrt(w) - 3.0f));
}

float NormalFromBits(uint32_t bits) {
  constexpr float kMin = -0x1.fffffep-1f;  // the float above −1; 1 − kMin rounds to 2
  return kSqrt2 * ErfInv(UniformFromBits(bits, kMin, 2.0f));
}

float TruncatedNormalFromBits(uint32_t bits) {
  constexpr float kErfOfSqrt2 = 0x1.e8b43p-1f;
  constexpr float kLimit = 0x1.fffffep+0f;  // the float below 2
  const float value = kSqrt2 * ErfInv(UniformFromBits(bits, -kErfOfSqrt2, 2.0f * kErfOfSqrt2));
  return std::clamp(value, -kLimit, kLimit);
}

}  // namespace hwynn
