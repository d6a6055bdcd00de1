#include "hwynn/core/sha1.h"

#include <bit>
#include <cstddef>
#include <string>

namespace hwynn {
namespace {

constexpr size_t kBlockBytes = 64;

using State = std::array<uint32_t, 5>;

void AddBlock(State& state, const char* block) {
  std::array<uint32_t, 80> w;
  for (size_t t = 0; t < 16; ++t) {
    w[t] = 0;
    for (size_t byte = 0; byte < 4; ++byte) w[t] = (w[t] << 8) | static_cast<uint8_t>(block[4 * t + byte]);
  }
  for (size_t t = 16; t < 80; ++t) w[t] = std::rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);

  auto [a, b, c, d, e] = state;
  for (size_t t = 0; t < 80; ++t) {
    uint32_t f;
    if (t < 20) {
      f = ((b & c) | (~b & d)) + 0x5A827999u;
    } else if (t < 40) {
      f = (b ^ c ^ d) + 0x6ED9EBA1u;
    } else if (t < 60) {
      f = ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDCu;
    } else {
      f = (b ^ c ^ d) + 0xCA62C1D6u;
    }
    const uint32_t next = std::rotl(a, 5) + f + e + w[t];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d, state[4] + e};
}

}  // namespace

std::array<uint8_t, 20> Sha1(std::string_view message) {
  State state = {0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u};
  const uint64_t num_bits = uint64_t{message.size()} * 8;
  while (message.size() >= kBlockBytes) {
    AddBlock(state, message.data());
    message.remove_prefix(kBlockBytes);
  }

  // The rest, a 1 bit, zeros, and the length in bits, big-endian, at the end of a block.
  std::string tail(message);
  tail.push_back('\x80');
  tail.resize(tail.size() + 8 <= kBlockBytes ? kBlockBytes : 2 * kBlockBytes);
  for (size_t byte = 0; byte < 8; ++byte) tail[tail.size() - 1 - byte] = static_cast<char>(num_bits >> (8 * byte));
  for (size_t offset = 0; offset < tail.size(); offset += kBlockBytes) AddBlock(state, tail.data() + offset);

  std::array<uint8_t, 20> digest;
  for (size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

}  // namespace hwynn
