#include "hwynn/formats/checksum.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/core/split.h"

namespace hwynn {
namespace {

// Multiplying by an odd number loses nothing modulo 2^64, so each word changes all that follows; the shift brings high
// bits down to where the next multiplication spreads them. (The constant: 2^64 over the golden ratio.)
constexpr uint64_t Mix(uint64_t state, uint64_t word) {
  state = (state ^ word) * 0x9E3779B97F4A7C15u;
  return state ^ (state >> 32);
}

// Little-endian, the bytes that are missing 0.
uint64_t Word(std::span<const std::byte> bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes.data(), std::min<size_t>(bytes.size(), sizeof(word)));
  return word;
}

constexpr size_t kLanes = 4;  // chains side by side, as each waits for its multiplications
constexpr size_t kLineBytes = kLanes * sizeof(uint64_t);

uint64_t ChecksumOfBlock(std::span<const std::byte> bytes) {
  std::array<uint64_t, kLanes> lanes{1, 2, 3, 4};
  size_t i = 0;
  for (; i + kLineBytes <= bytes.size(); i += kLineBytes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = Mix(lanes[lane], Word(bytes.subspan(i + lane * sizeof(uint64_t), sizeof(uint64_t))));
    }
  }
  uint64_t sum = Mix(0, bytes.size());
  for (; i < bytes.size(); i += sizeof(uint64_t)) sum = Mix(sum, Word(bytes.subspan(i)));
  for (const uint64_t lane : lanes) sum = Mix(sum, lane);
  return sum;
}

}  // namespace

uint64_t Checksum(std::span<const std::byte> bytes) {
  constexpr int64_t kBlockBytes = 1 << 20;
  std::vector<uint64_t> blocks(static_cast<size_t>(CeilDiv(static_cast<int64_t>(bytes.size()), kBlockBytes)));
  ParallelFor(static_cast<int64_t>(blocks.size()), [&](int64_t block) {
    const auto begin = static_cast<size_t>(block * kBlockBytes);
    blocks[static_cast<size_t>(block)] =
        ChecksumOfBlock(bytes.subspan(begin, std::min<size_t>(kBlockBytes, bytes.size() - begin)));
  });
  return ChecksumOfBlock(std::as_bytes(std::span(blocks)));
}

}  // namespace hwynn
