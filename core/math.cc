// Reduction to a small interval, where a Taylor series of a few terms is exact enough. Only additions, multiplications
// and divisions in a written order, which every IEEE machine rounds alike: no fused multiply-add but in Pow, where
// std::fma gives the rounding error of a product.

#include "hwynn/core/math.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>

namespace hwynn {
namespace {

// coefficients[0] + coefficients[1]·x + …
template <size_t n>
double Polynomial(const std::array<double, n>& coefficients, double x) {
  double sum = coefficients[n - 1];
  for (size_t i = n - 1; i-- > 0;) sum = sum * x + coefficients[i];
  return sum;
}

// The nearest integer to |x| < 2³¹, as a double and, modulo 2⁶⁴, in the last bits of the sum.
struct Nearest {
  explicit Nearest(double x) : sum(x + kShift), value(sum - kShift) {}
  uint64_t bits() const { return std::bit_cast<uint64_t>(sum) - std::bit_cast<uint64_t>(kShift); }

  static constexpr double kShift = 0x1.8p52;
  double sum, value;
};

// log 2, in 32 bits so that small multiples are exact, and the rest.
constexpr double kLog2High = 0x1.62e42feep-1;
constexpr double kLog2Low = 0x1.a39ef35793c76p-33;

// x − n·π/2 of least magnitude as the sum of two numbers, the second below the last bit of the first, and n's last
// bits.
struct QuarterTurns {
  explicit QuarterTurns(double x) {
    // π/2 in two pieces of 33 bits and the rest: n < 2²⁰ times the first two is exact.
    constexpr double kHigh = 0x1.921fb544p+0, kMiddle = 0x1.0b4611a6p-34, kLow = 0x1.3198a2e037073p-69;
    constexpr double kExactLimit = 0x1p20;
    if (std::fabs(x) > kExactLimit) x = std::fmod(x, 2.0 * std::numbers::pi);
    const Nearest n(x * (2.0 / std::numbers::pi));
    const double rest = x - n.value * kHigh;
    const double high = rest - n.value * kMiddle;
    const double low = n.value * kLow - ((rest - high) - n.value * kMiddle);
    angle = high - low;
    angle_low = (high - angle) - low;
    quarter = static_cast<int>(n.bits() & 3);
  }

  double angle, angle_low;
  int quarter;
};

// sin(a + a_low) for |a| ≤ π/4.
double SinOfSmall(double a, double a_low) {
  constexpr std::array<double, 8> kTerms = {-1.0 / 6,
                                            1.0 / 120,
                                            -1.0 / 5040,
                                            1.0 / 362880,
                                            -1.0 / 39916800.0,
                                            1.0 / 6227020800.0,
                                            -1.0 / 1307674368000.0,
                                            1.0 / 355687428096000.0};
  const double a2 = a * a;
  return a + (a * a2 * Polynomial(kTerms, a2) + a_low * (1.0 - 0.5 * a2));
}

// cos(a + a_low) for |a| ≤ π/4. 1 − a²/2 is rounded; what that lost is added again.
double CosOfSmall(double a, double a_low) {
  constexpr std::array<double, 7> kTerms = {
      1.0 / 24,          -1.0 / 720,           1.0 / 40320,           -1.0 / 3628800,
      1.0 / 479001600.0, -1.0 / 87178291200.0, 1.0 / 20922789888000.0};
  const double a2 = a * a;
  const double half = 0.5 * a2;
  const double first = 1.0 - half;
  return first + (((1.0 - first) - half) + (a2 * a2 * Polynomial(kTerms, a2) - a * a_low));
}

// A number as the sum of two, the second below the last bit of the first.
struct Two {
  double high, low;
};

Two Product(const Two& a, const Two& b) {
  const double product = a.high * b.high;
  const double rest = std::fma(a.high, b.high, -product) + (a.high * b.low + a.low * b.high);
  const double sum = product + rest;
  return {sum, rest - (sum - product)};
}

// x = n·log 2 + r with |r| ≤ ½ log 2; eˣ = 2ⁿ·(1 + r + r²·Σ rᵏ/(k+2)!). Without a branch or a call, so that compilers
// make vectors of it.
inline double ExpOf(double x) {
  constexpr double kHighest = 710.0, kLowest = -746.0;  // beyond them infinity and 0
  x = x < kLowest ? kLowest : x;
  x = x > kHighest ? kHighest : x;
  const Nearest n(x * std::numbers::log2e);
  const double r = (x - n.value * kLog2High) - n.value * kLog2Low;
  const double r2 = r * r;
  // Even and odd powers apart: two short chains of dependent operations in place of a long one.
  const double even = Polynomial<6>({1.0 / 2, 1.0 / 24, 1.0 / 720, 1.0 / 40320, 1.0 / 3628800, 1.0 / 479001600.0}, r2);
  const double odd =
      Polynomial<6>({1.0 / 6, 1.0 / 120, 1.0 / 5040, 1.0 / 362880, 1.0 / 39916800.0, 1.0 / 6227020800.0}, r2);
  const double power = 1.0 + (r + r2 * (even + r * odd));
  // 2ⁿ itself may overflow or be subnormal: as two factors, their exponents biased by 1023.
  const uint64_t both = n.bits() + 2 * 1023;
  const uint64_t half = both >> 1;
  return power * std::bit_cast<double>(half << 52) * std::bit_cast<double>((both - half) << 52);
}

}  // namespace

double Exp(double x) { return ExpOf(x); }

void Exp(std::span<double> values) {
  for (double& x : values) x = ExpOf(x);
}

// x = 2ⁿ·(1 + f) with √½ ≤ 1 + f < √2. With s = f/(2 + f), log(1 + f) = 2·artanh s = 2s + s·R for R = Σ 2·s²ᵏ/(2k + 1),
// and 2s = f − s·f, so that f, which is exact, is the largest term.
double Log(double x) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (!(x > 0.0)) return x == 0.0 ? -kInfinity : std::numeric_limits<double>::quiet_NaN();
  if (x == kInfinity) return x;
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // in [½, 1)
  if (mantissa < std::numbers::sqrt2 / 2.0) {
    mantissa *= 2.0;
    --exponent;
  }
  const auto n = static_cast<double>(exponent);
  const double f = mantissa - 1.0;
  const double s = f / (2.0 + f);
  const double s2 = s * s;
  const double rest =
      s2 * Polynomial<10>(
               {2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21}, s2);
  const double half_square = 0.5 * f * f;  // s·f = f²/2 − s·f²/2
  return n * kLog2High - ((half_square - (s * (half_square + rest) + n * kLog2Low)) - f);
}

double Sin(double x) {
  if (!std::isfinite(x)) return std::numeric_limits<double>::quiet_NaN();
  const QuarterTurns turns(x);
  const double magnitude =
      turns.quarter % 2 == 0 ? SinOfSmall(turns.angle, turns.angle_low) : CosOfSmall(turns.angle, turns.angle_low);
  return turns.quarter < 2 ? magnitude : -magnitude;
}

double Cos(double x) {
  if (!std::isfinite(x)) return std::numeric_limits<double>::quiet_NaN();
  const QuarterTurns turns(x);
  const double magnitude =
      turns.quarter % 2 == 0 ? CosOfSmall(turns.angle, turns.angle_low) : SinOfSmall(turns.angle, turns.angle_low);
  return turns.quarter == 0 || turns.quarter == 3 ? magnitude : -magnitude;
}

// By squaring, in twice the digits.
double Pow(double x, int64_t n) {
  Two result = {1.0, 0.0};
  for (Two square = {x, 0.0}; n > 0; n /= 2, square = Product(square, square)) {
    if (n % 2 == 1) result = Product(result, square);
  }
  return result.high;
}

}  // namespace hwynn
