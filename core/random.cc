#include "hwynn/core/random.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/core/random_distributions.h"

namespace hwynn {
namespace {

struct Block {
  uint32_t y0;
  uint32_t y1;
};

// The block function: 20 rounds over the counter (x0, x1), a piece of the key injected after every fourth.
inline Block Threefry(Key key, uint32_t x0, uint32_t x1) {
  constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const uint32_t schedule[3] = {key.k0, key.k1, key.k0 ^ key.k1 ^ 0x1BD11BDAu};
  x0 += schedule[0];
  x1 += schedule[1];
  for (uint32_t group = 0; group < 5; ++group) {
    for (const int rotation : kRotations[group % 2]) {
      x0 += x1;
      x1 = std::rotl(x1, rotation) ^ x0;
    }
    x0 += schedule[(group + 1) % 3];
    x1 += schedule[(group + 2) % 3] + group + 1;
  }
  return {x0, x1};
}

inline Block ThreefryAt(Key key, uint64_t index) {
  return Threefry(key, static_cast<uint32_t>(index >> 32), static_cast<uint32_t>(index));
}

// Element `index` of `count` 32-bit numbers. Legacy: the counters 0 … count − 1, padded with one 0 to an even
// number, are cut into two halves; block j takes element j of both and yields elements j and j + half.
inline uint32_t BitsAt(Key key, uint64_t index, uint64_t count, ThreefryMode mode) {
  if (mode == ThreefryMode::kPartitionable) {
    const Block block = ThreefryAt(key, index);
    return block.y0 ^ block.y1;
  }
  const uint64_t half = (count + 1) / 2;
  const uint64_t j = index < half ? index : index - half;
  const uint64_t second = half + j < count ? half + j : 0;
  const Block block = Threefry(key, static_cast<uint32_t>(j), static_cast<uint32_t>(second));
  return index < half ? block.y0 : block.y1;
}

void CheckCount(uint64_t count, ThreefryMode mode) {
  Check(mode == ThreefryMode::kPartitionable || count <= std::numeric_limits<uint32_t>::max(),
        "threefry's legacy mode counts to 2^32 - 1 only, not ", count);
}

// values[i] = map(bits of element i), for all i.
template <class T, class Map>
void Generate(Key key, std::span<T> values, ThreefryMode mode, const Map& map) {
  constexpr size_t kChunk = 16384;
  const size_t count = values.size();
  CheckCount(count, mode);
  ParallelFor(static_cast<int64_t>((count + kChunk - 1) / kChunk), [&](int64_t task) {
    const size_t begin = static_cast<size_t>(task) * kChunk;
    const size_t end = std::min(begin + kChunk, count);
    for (size_t i = begin; i < end; ++i) values[i] = map(BitsAt(key, i, count, mode));
  });
}

}  // namespace

Key KeyFromSeed(int64_t seed) { return {0, static_cast<uint32_t>(seed)}; }

Key FoldIn(Key key, uint32_t data) {
  const auto [k0, k1] = Threefry(key, 0, data);
  return {k0, k1};
}

std::vector<Key> Split(Key key, int64_t count, ThreefryMode mode) {
  Check(count >= 0, "Split: negative count ", count);
  const auto words = 2 * static_cast<uint64_t>(count);
  CheckCount(words, mode);
  std::vector<Key> keys(static_cast<size_t>(count));
  for (uint64_t i = 0; i < keys.size(); ++i) {
    if (mode == ThreefryMode::kPartitionable) {
      const auto [k0, k1] = ThreefryAt(key, i);
      keys[i] = {k0, k1};
    } else {
      keys[i] = {BitsAt(key, 2 * i, words, mode), BitsAt(key, 2 * i + 1, words, mode)};
    }
  }
  return keys;
}

void RandomBits(Key key, std::span<uint32_t> bits, ThreefryMode mode) {
  Generate(key, bits, mode, [](uint32_t b) { return b; });
}

void Uniform(Key key, std::span<float> values, float minval, float maxval, ThreefryMode mode) {
  Check(minval <= maxval, "Uniform: minval (", minval, ") must not exceed maxval (", maxval, ")");
  const float span = maxval - minval;
  Generate(key, values, mode, [=](uint32_t b) { return UniformFromBits(b, minval, span); });
}

void Normal(Key key, std::span<float> values, ThreefryMode mode) { Generate(key, values, mode, NormalFromBits); }

void TruncatedNormal(Key key, std::span<float> values, ThreefryMode mode) {
  Generate(key, values, mode, TruncatedNormalFromBits);
}

void Bernoulli(Key key, float p, std::span<uint8_t> values, ThreefryMode mode) {
  Check(p >= 0.0f && p <= 1.0f, "Bernoulli: p (", p, ") must be in [0, 1]");
  Generate(key, values, mode, [=](uint32_t b) { return static_cast<uint8_t>(UniformFromBits(b, 0.0f, 1.0f) < p); });
}

std::vector<int64_t> Permutation(Key key, int64_t n, ThreefryMode mode) {
  Check(n >= 0 && n <= std::numeric_limits<uint32_t>::max(), "Permutation: n (", n, ") must be in [0, 2^32)");
  const auto count = static_cast<size_t>(n);
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), int64_t{0});
  // Equal sort keys keep their order, so one round favours some shuffles; JAX repeats until that is negligible.
  // Its ⌈3·log n/log(2³² − 1)⌉ rounds in integers: the most that one and two rounds take are the roots of (2³² − 1)¹
  // and ².
  const int rounds = n <= 1 ? 0 : n <= 1625 ? 1 : n <= 2642245 ? 2 : 3;
  std::vector<uint32_t> bits(count);
  std::vector<uint64_t> sorted(count);  // sort key, then position: unique, so that any sort is a stable one
  std::vector<int64_t> previous(count);
  for (int round = 0; round < rounds; ++round) {
    const std::vector<Key> keys = Split(key, 2, mode);
    key = keys[0];
    RandomBits(keys[1], bits, mode);
    for (size_t i = 0; i < count; ++i) sorted[i] = (uint64_t{bits[i]} << 32) | i;
    std::sort(sorted.begin(), sorted.end());
    order.swap(previous);
    for (size_t i = 0; i < count; ++i) order[i] = previous[static_cast<uint32_t>(sorted[i])];
  }
  return order;
}

}  // namespace hwynn
