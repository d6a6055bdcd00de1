#include "hwynn/core/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/core/random_distributions.h"
#include "hwynn/tests/support/sha1_hex.h"

// Golden values: JAX 0.10.2 on x86-64, printed by tests/golden/random_golden.py unless said otherwise. Large arrays
// are given as the SHA-1 of their bytes.

namespace hwynn {
namespace {

using testing::Sha1HexOfBytes;

constexpr ThreefryMode kLegacy = ThreefryMode::kLegacy;

template <class T>
std::string Sha1Of(const std::vector<T>& values) {
  return Sha1HexOfBytes(std::span<const T>(values));
}

std::vector<uint32_t> Bits(Key key, size_t count, ThreefryMode mode = ThreefryMode::kPartitionable) {
  std::vector<uint32_t> bits(count);
  RandomBits(key, bits, mode);
  return bits;
}

// map(bits) for all 2²³ values of the bits that count, in ascending order; the others are filled with noise.
std::vector<float> AllResults(float (*map)(uint32_t)) {
  std::vector<float> values(size_t{1} << 23);
  constexpr uint32_t kChunk = 1 << 16;
  ParallelFor(static_cast<int64_t>(values.size() / kChunk), [&](int64_t chunk) {
    for (uint32_t i = 0; i < kChunk; ++i) {
      const uint32_t mantissa = static_cast<uint32_t>(chunk) * kChunk + i;
      values[mantissa] = map((mantissa << 9) | (mantissa * 2654435761u >> 23));
    }
  });
  return values;
}

// Of the published vectors of the block function, the one whose counter FoldIn can reach.
TEST(ThreefryTest, KnownAnswer) { EXPECT_EQ(FoldIn({0, 0}, 0), (Key{0x6b200159, 0x99ba4efe})); }

TEST(KeyTest, FromSeed) {
  EXPECT_EQ(KeyFromSeed(42), (Key{0, 42}));
  EXPECT_EQ(KeyFromSeed(-1), (Key{0, 4294967295}));
  EXPECT_EQ(KeyFromSeed(-3), (Key{0, 4294967293}));
  EXPECT_EQ(KeyFromSeed((int64_t{7} << 32) + 5), (Key{0, 5}));
}

TEST(KeyTest, FoldIn) {
  EXPECT_EQ(FoldIn(KeyFromSeed(0), 4), (Key{2285895361, 433833334}));
  EXPECT_EQ(FoldIn(KeyFromSeed(0), 3213575472), (Key{1428664606, 3351135085}));
}

TEST(KeyTest, Split) {
  EXPECT_EQ(Split(KeyFromSeed(42), 3),
            (std::vector<Key>{{1832780943, 270669613}, {64467757, 2916123636}, {2465931498, 255383827}}));
  EXPECT_EQ(Split(KeyFromSeed(0), 4, kLegacy),
            (std::vector<Key>{
                {2285895361, 1501764800}, {1518642379, 4090693311}, {433833334, 4221794875}, {839183663, 3740430601}}));
  EXPECT_EQ(Split(KeyFromSeed(1)).size(), 2u);
  EXPECT_TRUE(Split(KeyFromSeed(1), 0).empty());
  EXPECT_THROW(Split(KeyFromSeed(1), -1), std::invalid_argument);
}

TEST(RandomBitsTest, PublishedValues) {
  EXPECT_EQ(Bits(KeyFromSeed(42), 5),
            (std::vector<uint32_t>{2098992034, 2919706841, 2646866425, 2409546199, 1935504149}));
  EXPECT_EQ(Bits(KeyFromSeed(1701), 3, kLegacy), (std::vector<uint32_t>{56197195, 4200222568, 961309823}));
  EXPECT_TRUE(Bits(KeyFromSeed(42), 0).empty());
}

// jax.random.bits(key(42), (100003,)): several chunks and a piece of one.
TEST(RandomBitsTest, ManyValues) {
  EXPECT_EQ(Sha1Of(Bits(KeyFromSeed(42), 100003)), "6a564c363e2969e1c421171eec6a0ed55290682a");
}

TEST(RandomBitsTest, AnElementDependsOnKeyAndIndexAlone) {
  const std::vector<uint32_t> many = Bits(KeyFromSeed(9), 40000);
  const std::vector<uint32_t> few = Bits(KeyFromSeed(9), 17001);
  EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin()));
}

TEST(RandomBitsTest, SameBitsForAnyNumberOfThreads) {
  for (const ThreefryMode mode : {ThreefryMode::kPartitionable, kLegacy}) {
    std::vector<float> one(150001);
    RunWithThreads(1, [&] { Normal(KeyFromSeed(5), one, mode); });
    for (const int threads : {2, 3}) {
      std::vector<float> more(one.size());
      RunWithThreads(threads, [&] { Normal(KeyFromSeed(5), more, mode); });
      EXPECT_EQ(std::memcmp(one.data(), more.data(), one.size() * sizeof(float)), 0) << threads;
    }
  }
}

TEST(UniformTest, MatchesJax) {
  std::vector<float> values(100003);
  Uniform(KeyFromSeed(42), values, -0.3f, 0.7f);
  EXPECT_EQ(Sha1Of(values), "7e865521c85fa2918cbd7ca33991d6a760c958d7");
  EXPECT_LT(*std::max_element(values.begin(), values.end()), 0.7f);
  EXPECT_GE(*std::min_element(values.begin(), values.end()), -0.3f);
}

TEST(UniformTest, DefaultIsTheUnitInterval) {
  std::vector<float> values(1000);
  Uniform(KeyFromSeed(3), values);
  const std::vector<uint32_t> bits = Bits(KeyFromSeed(3), values.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], static_cast<float>(bits[i] >> 9) * 0x1p-23f);
}

TEST(UniformTest, RejectsAnIntervalUpsideDown) {
  std::vector<float> values(1, 7.0f);
  EXPECT_THROW(Uniform(KeyFromSeed(3), values, 1.0f, 0.0f), std::invalid_argument);
  EXPECT_THROW(Uniform(KeyFromSeed(3), values, std::nanf(""), 0.0f), std::invalid_argument);
  EXPECT_EQ(values[0], 7.0f);
}

TEST(NormalTest, MatchesJax) {
  std::vector<float> values(100003);
  Normal(KeyFromSeed(42), values);
  EXPECT_EQ(values[0], -0.028304616f);
  EXPECT_EQ(Sha1Of(values), "74d4e7c1ecd3f8ce9671179527e56d7b3e0489cb");
  Normal(KeyFromSeed(42), values, kLegacy);
  EXPECT_EQ(Sha1Of(values), "9c523ae1a41da9a6d6bce3ebbf7b3abe77941d8a");
}

TEST(NormalTest, AllResultsMatchJax) {
  const std::vector<float> all = AllResults(NormalFromBits);
  EXPECT_EQ(Sha1Of(all), "12b87761643fee3fcede5129680961efce36c4d1");
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
}

TEST(TruncatedNormalTest, MatchesJax) {
  std::vector<float> values(100003);
  TruncatedNormal(KeyFromSeed(42), values);
  EXPECT_EQ(Sha1Of(values), "a2d5d978c1015fad365449813d32cecb0997433e");
}

TEST(TruncatedNormalTest, AllResultsMatchJax) {
  const std::vector<float> all = AllResults(TruncatedNormalFromBits);
  EXPECT_EQ(Sha1Of(all), "5746fcbffd1735050b46074d8031f195a80de675");
  EXPECT_GT(all.front(), -2.0f);
  EXPECT_LT(all.back(), 2.0f);
}

// XLA's values (by a reference that agrees with JAX over all uniforms).
TEST(ErfInvTest, SpotValues) {
  const std::vector<std::pair<float, uint32_t>> golden = {
      {0.1f, 0x3db5fa21},   {0.5f, 0x3ef430fe},     {0.9f, 0x3f94e009},      {0.99f, 0x3fe92333},
      {0.999f, 0x4014e999}, {0.99999f, 0x4047e297}, {0.9999999f, 0x406f9c68}};
  for (const auto& [x, bits] : golden) {
    EXPECT_EQ(std::bit_cast<uint32_t>(ErfInv(x)), bits) << x;
    EXPECT_EQ(ErfInv(-x), -ErfInv(x));
  }
  EXPECT_EQ(ErfInv(0.0f), 0.0f);
  EXPECT_EQ(ErfInv(1.0f), std::numeric_limits<float>::infinity());
  EXPECT_EQ(ErfInv(-1.0f), -std::numeric_limits<float>::infinity());
}

TEST(ErfInvTest, InvertsErf) {
  for (float x = -0.999f; x < 1.0f; x += 0.0137f) {
    EXPECT_NEAR(std::erf(static_cast<double>(ErfInv(x))), static_cast<double>(x), 2e-7);
  }
}

// Against std::fma, which rounds once by definition: random bits for all magnitudes, and sums made to end halfway
// between two floats up to a remainder that only a single rounding sees.
TEST(FusedMultiplyAddTest, RoundsOnce) {
  std::mt19937 engine(1);
  const auto same = [](float a, float b, float c) {
    const float ours = FusedMultiplyAdd(a, b, c);
    const float libm = std::fma(a, b, c);
    return std::bit_cast<uint32_t>(ours) == std::bit_cast<uint32_t>(libm) || (std::isnan(ours) && std::isnan(libm));
  };
  int rounded_twice_differs = 0;
  for (int i = 0; i < 300000; ++i) {
    const auto a = std::bit_cast<float>(static_cast<uint32_t>(engine()));
    const auto b = std::bit_cast<float>(static_cast<uint32_t>(engine()));
    const auto c = std::bit_cast<float>(static_cast<uint32_t>(engine()));
    ASSERT_TRUE(same(a, b, c)) << a << ' ' << b << ' ' << c;

    // kHalf² = 1 + 2⁻¹¹ + 2⁻²⁴ is a tie, which `tiny` breaks by less than a double keeps.
    constexpr float kHalf = 1.0f + 0x1p-12f;
    const float tiny = static_cast<float>(static_cast<int>(engine() % 201) - 100) * 0x1p-60f;
    ASSERT_TRUE(same(kHalf, kHalf, tiny)) << tiny;
    rounded_twice_differs +=
        static_cast<float>(static_cast<double>(kHalf) * kHalf + tiny) != std::fma(kHalf, kHalf, tiny);
  }
  EXPECT_GT(rounded_twice_differs, 1000);  // else the test shows nothing
}

TEST(BernoulliTest, MatchesJax) {
  std::vector<uint8_t> values(100003);
  Bernoulli(KeyFromSeed(42), 0.3f, values);
  EXPECT_EQ(Sha1Of(values), "a69bcc8e34f84f57399b228661af6aa1860b6fef");
  Bernoulli(KeyFromSeed(42), 0.0f, values);
  EXPECT_EQ(std::count(values.begin(), values.end(), 0), 100003);
  Bernoulli(KeyFromSeed(42), 1.0f, values);
  EXPECT_EQ(std::count(values.begin(), values.end(), 1), 100003);
  EXPECT_THROW(Bernoulli(KeyFromSeed(42), 1.5f, values), std::invalid_argument);
  EXPECT_THROW(Bernoulli(KeyFromSeed(42), std::nanf(""), values), std::invalid_argument);
}

TEST(PermutationTest, MatchesJax) {
  EXPECT_EQ(Permutation(KeyFromSeed(42), 10), (std::vector<int64_t>{7, 4, 2, 5, 3, 6, 8, 9, 0, 1}));
  EXPECT_EQ(Permutation(KeyFromSeed(42), 10, kLegacy), (std::vector<int64_t>{9, 0, 2, 6, 1, 4, 5, 8, 3, 7}));
  const auto sha1_as_int32 = [](const std::vector<int64_t>& order) {
    return Sha1Of(std::vector<int32_t>(order.begin(), order.end()));
  };
  // 60,000 takes two rounds.
  EXPECT_EQ(sha1_as_int32(Permutation(KeyFromSeed(42), 60000)), "96d1247b8aa4749cda95112b8391c2afabcc8ea1");
  EXPECT_EQ(sha1_as_int32(Permutation(KeyFromSeed(42), 60000, kLegacy)), "20e4932d8919cf4e7c72abf578c8005c1e0963c2");
}

TEST(PermutationTest, EveryNumberOnce) {
  for (const int64_t n : {0, 1, 2, 3, 1000}) {
    const std::vector<int64_t> order = Permutation(KeyFromSeed(8), n);
    std::vector<int64_t> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    std::vector<int64_t> numbers(static_cast<size_t>(n));
    std::iota(numbers.begin(), numbers.end(), int64_t{0});
    EXPECT_EQ(sorted, numbers);
  }
  EXPECT_THROW(Permutation(KeyFromSeed(8), -1), std::invalid_argument);
}

}  // namespace
}  // namespace hwynn
