#include "hwynn/fuzz/repair.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>

namespace hwynn::fuzz {
namespace {

// Writes `value` in `count` bytes at `offset`, the lowest one first or last; true when that changes them.
bool Store(std::vector<std::byte>& file, size_t offset, uint64_t value, size_t count, bool lowest_first) {
  bool changed = false;
  for (size_t i = 0; i < count; ++i) {
    const auto byte = static_cast<std::byte>(value >> (8 * (lowest_first ? i : count - 1 - i)));
    changed |= file[offset + i] != byte;
    file[offset + i] = byte;
  }
  return changed;
}

}  // namespace

bool RepairSafetensors(std::vector<std::byte>& file) {
  constexpr size_t kLengthBytes = 8;
  const auto last = std::find(file.rbegin(), file.rend(), static_cast<std::byte>('}'));
  const auto end = static_cast<size_t>(file.rend() - last);
  if (end <= kLengthBytes) return false;
  return Store(file, 0, end - kLengthBytes, kLengthBytes, /*lowest_first=*/true);
}

bool RepairPng(std::vector<std::byte>& file) {
  constexpr size_t kSignatureBytes = 8, kWordBytes = 4;
  bool changed = false;
  size_t chunk = kSignatureBytes;  // length, type, data, checksum of type and data
  while (chunk + 3 * kWordBytes <= file.size()) {
    size_t length = 0;
    for (size_t i = 0; i < kWordBytes; ++i) length = length << 8 | static_cast<size_t>(file[chunk + i]);
    if (length > file.size() - chunk - 3 * kWordBytes) break;
    const size_t checked = chunk + kWordBytes, checksum = checked + kWordBytes + length;
    const uint64_t crc =
        crc32(0, reinterpret_cast<const Bytef*>(file.data() + checked), static_cast<uInt>(kWordBytes + length));
    changed |= Store(file, checksum, crc, kWordBytes, /*lowest_first=*/false);
    chunk = checksum + kWordBytes;
  }
  return changed;
}

}  // namespace hwynn::fuzz
