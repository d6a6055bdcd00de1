#ifndef HWYNN_CORE_RANDOM_H_
#define HWYNN_CORE_RANDOM_H_

// JAX's random numbers, bit for bit: threefry2x32 keys, bits and distributions (jax.random, JAX 0.10,
// partitionable mode; the legacy mode of JAX < 0.5 is an option). Source: Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3" (SC11), and JAX's jax/_src/random.
//
// Large arrays are filled on several threads, with the same bits for any number of them. Arguments out of range
// (minval > maxval, p outside [0, 1], a negative count) throw std::invalid_argument.

#include <cstdint>
#include <span>
#include <vector>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// A key of jax.random: two 32-bit words.
struct Key {
  uint32_t k0 = 0;
  uint32_t k1 = 0;
  friend bool operator==(const Key&, const Key&) = default;
};

/// How counters are laid out: JAX's default since 0.5, or the one before.
enum class ThreefryMode { kPartitionable, kLegacy };

/// jax.random.key(seed): (0, seed mod 2³²).
Key KeyFromSeed(int64_t seed);

/// jax.random.fold_in(key, data).
Key FoldIn(Key key, uint32_t data);

/// jax.random.split(key, count).
std::vector<Key> Split(Key key, int64_t count = 2, ThreefryMode mode = ThreefryMode::kPartitionable);

/// jax.random.bits(key, (n,)): element i depends on (key, i) alone in the partitionable mode.
void RandomBits(Key key, std::span<uint32_t> bits, ThreefryMode mode = ThreefryMode::kPartitionable);

/// jax.random.uniform(key, (n,), minval, maxval): [minval, maxval).
void Uniform(Key key, std::span<float> values, float minval = 0.0f, float maxval = 1.0f,
             ThreefryMode mode = ThreefryMode::kPartitionable);

/// jax.random.normal(key, (n,)).
void Normal(Key key, std::span<float> values, ThreefryMode mode = ThreefryMode::kPartitionable);

/// jax.random.truncated_normal(key, -2, 2, (n,)).
void TruncatedNormal(Key key, std::span<float> values, ThreefryMode mode = ThreefryMode::kPartitionable);

/// jax.random.bernoulli(key, p, (n,)): 1 with probability p, else 0.
void Bernoulli(Key key, float p, std::span<uint8_t> values, ThreefryMode mode = ThreefryMode::kPartitionable);

/// jax.random.permutation(key, n): a shuffle of 0 … n − 1.
std::vector<int64_t> Permutation(Key key, int64_t n, ThreefryMode mode = ThreefryMode::kPartitionable);

}  // namespace hwynn

#endif  // HWYNN_CORE_RANDOM_H_
