#include "hwynn/core/math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

#include "hwynn/tests/support/sha1_hex.h"

namespace hwynn {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// |got − want| in units of the last place of a double near `want`.
double Units(double got, long double want) {
  const int exponent = want == 0.0L ? -1022 : std::max(std::ilogb(static_cast<double>(want)), -1022);
  return static_cast<double>(std::abs(static_cast<long double>(got) - want) / std::ldexp(1.0L, exponent - 52));
}

// Compares with the C library's long double over `arguments`. Where that is no wider than double, it may be off itself.
template <class Theirs>
void ExpectAccurate(const std::vector<double>& arguments, double (*ours)(double), const Theirs& theirs) {
  constexpr bool kWide = std::numeric_limits<long double>::digits > std::numeric_limits<double>::digits;
  double worst = 0.0;
  for (const double x : arguments) {
    const double units = Units(ours(x), theirs(static_cast<long double>(x)));
    ASSERT_LE(units, kWide ? 1.5 : 2.5) << std::hexfloat << x;
    worst = std::max(worst, units);
  }
  EXPECT_GT(worst, 0.45);  // no function rounds better than that
}

std::vector<double> Between(double low, double high, int count) {
  std::mt19937_64 engine(1);
  std::vector<double> values;
  for (int i = 0; i < count; ++i) {
    values.push_back(low + (high - low) * (static_cast<double>(engine() >> 11) * 0x1p-53));
  }
  return values;
}

// Magnitudes from 2^low to 2^high.
std::vector<double> Magnitudes(int low, int high, int count) {
  std::vector<double> values = Between(1.0, 2.0, count);
  for (int i = 0; i < count; ++i) values[static_cast<size_t>(i)] = std::ldexp(values[i], low + i % (high - low));
  return values;
}

std::vector<double> Negated(std::vector<double> values) {
  for (double& x : values) x = -x;
  return values;
}

TEST(MathTest, Exp) {
  const auto check = [](const std::vector<double>& x) {
    ExpectAccurate(x, Exp, [](long double t) { return std::exp(t); });
  };
  check(Between(-1.0, 1.0, 100000));
  check(Between(-708.0, 709.7, 100000));
  check(Between(-745.0, -708.0, 10000));  // subnormal results
  check(Magnitudes(-60, 0, 10000));
  EXPECT_EQ(Exp(0.0), 1.0);
  EXPECT_EQ(Exp(-0.0), 1.0);
  EXPECT_EQ(Exp(709.8), kInfinity);
  EXPECT_EQ(Exp(1e300), kInfinity);
  EXPECT_EQ(Exp(kInfinity), kInfinity);
  EXPECT_LT(Exp(709.78), kInfinity);
  EXPECT_EQ(Exp(-745.0), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(Exp(-745.2), 0.0);
  EXPECT_EQ(Exp(-1e300), 0.0);
  EXPECT_EQ(Exp(-kInfinity), 0.0);
  EXPECT_TRUE(std::isnan(Exp(kNaN)));
}

TEST(MathTest, ExpOfManyIsThatOfEach) {
  std::vector<double> values = Between(-800.0, 800.0, 1001);
  values.insert(values.end(), {kNaN, kInfinity, -kInfinity});
  std::vector<double> want;
  for (const double x : values) want.push_back(Exp(x));
  Exp(values);
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_TRUE(values[i] == want[i] || (std::isnan(values[i]) && std::isnan(want[i]))) << i;
  }
  EXPECT_TRUE(std::isnan(values[1001]));
  EXPECT_EQ(values[1002], kInfinity);
}

TEST(MathTest, Log) {
  const auto check = [](const std::vector<double>& x) {
    ExpectAccurate(x, Log, [](long double t) { return std::log(t); });
  };
  check(Between(0.5, 2.0, 100000));
  check(Between(1.0 - 0x1p-20, 1.0 + 0x1p-20, 10000));
  check(Magnitudes(-1022, 1024, 100000));
  check(Magnitudes(-1070, -1022, 1000));  // subnormal
  EXPECT_EQ(Log(1.0), 0.0);
  EXPECT_EQ(Log(0.0), -kInfinity);
  EXPECT_EQ(Log(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(Log(-1.0)));
  EXPECT_TRUE(std::isnan(Log(-kInfinity)));
  EXPECT_TRUE(std::isnan(Log(kNaN)));
}

TEST(MathTest, SinAndCos) {
  // The doubles nearest to multiples of π/2, where all of the leading digits cancel.
  std::vector<double> near_zeros;
  for (int n = 1; n < 600000; n = n * 3 / 2 + 1)
    near_zeros.push_back(static_cast<double>(n * std::numbers::pi_v<long double> / 2));
  const auto check = [](const std::vector<double>& x) {
    ExpectAccurate(x, Sin, [](long double t) { return std::sin(t); });
    ExpectAccurate(x, Cos, [](long double t) { return std::cos(t); });
  };
  check(Between(-4.0, 4.0, 200000));
  check(Between(-1000.0, 1000.0, 100000));
  check(Between(-0x1p20, 0x1p20, 100000));
  if (std::numeric_limits<long double>::digits >= 64) check(near_zeros);
  check(Negated(Magnitudes(-40, 3, 10000)));
  EXPECT_EQ(Sin(0.0), 0.0);
  EXPECT_EQ(Cos(0.0), 1.0);
  EXPECT_EQ(Cos(std::numbers::pi), -1.0);
  for (const double x : {1e7, 1e12, -1e15}) {
    EXPECT_NEAR(Sin(x), std::sin(x), 4e-17 * std::abs(x) + 1e-15) << x;
    EXPECT_NEAR(Cos(x), std::cos(x), 4e-17 * std::abs(x) + 1e-15) << x;
  }
  for (const double x : {kInfinity, -kInfinity, kNaN}) {
    EXPECT_TRUE(std::isnan(Sin(x)));
    EXPECT_TRUE(std::isnan(Cos(x)));
  }
}

// Bases with few bits, whose powers a long double holds exactly for a while; and the base and exponents of Adam.
TEST(MathTest, Pow) {
  EXPECT_EQ(Pow(0.9, 0), 1.0);
  EXPECT_EQ(Pow(0.0, 0), 1.0);
  EXPECT_EQ(Pow(0.0, 5), 0.0);
  EXPECT_EQ(Pow(1.0, 1000000007), 1.0);
  EXPECT_EQ(Pow(0.75, 33), 0x1.3bfefa65abb83p-14);  // 3³³ = 5559060566555523 has 53 bits
  EXPECT_EQ(Pow(0.9, 1 << 30), 0.0);
  for (const float base : {0.5f, 0.8f, 0.9f, 0.99f, 0.999f, 0.9999f}) {
    const auto b = static_cast<double>(base);
    for (const int64_t n : {1, 2, 3, 10, 100, 999, 10000, 65537, 3000000}) {
      const long double want = std::pow(static_cast<long double>(b), static_cast<long double>(n));
      if (want < 0x1p-900L) continue;
      // A correctly rounded result is half a unit off at most; the long double's own error comes on top.
      EXPECT_LE(Units(Pow(b, n), want), std::numeric_limits<long double>::digits >= 64 ? 0.502 : 1.5) << b << '^' << n;
    }
  }
}

// A few bits of every function over many arguments: the same on every machine and with every compiler.
TEST(MathTest, SameBitsEverywhere) {
  std::vector<double> results;
  for (const double x : Between(-40.0, 40.0, 4096)) {
    results.insert(results.end(), {Exp(x), Log(std::abs(x)), Sin(x), Cos(x), Pow(std::abs(x) / 40.0, 1000)});
  }
  EXPECT_EQ(testing::Sha1HexOfBytes(std::span<const double>(results)), "ea25ea0bcd5d99ed0446f95a4fd4ac81d92a1b15");
}

}  // namespace
}  // namespace hwynn
