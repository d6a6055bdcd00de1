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

bool RepairZip(std::vector<std::byte>& file) {
  constexpr size_t kEntryBytes = 46, kLocalBytes = 30;
  const auto number = [&](size_t offset, size_t count) {
    size_t value = 0;
    for (size_t i = 0; i < count; ++i) value |= static_cast<size_t>(file[offset + i]) << (8 * i);
    return value;
  };
  bool changed = false;
  for (size_t at = 0; at + kEntryBytes <= file.size(); ++at) {
    if (number(at, 4) != 0x02014b50) continue;
    const size_t method = number(at + 10, 2), size = number(at + 20, 4), local = number(at + 42, 4);
    if (local + kLocalBytes > file.size()) continue;
    const size_t data = local + kLocalBytes + number(local + 26, 2) + number(local + 28, 2);
    if (data > file.size() || size > file.size() - data) continue;
    const auto* bytes = reinterpret_cast<const Bytef*>(file.data() + data);
    uLong crc = crc32(0, bytes, static_cast<uInt>(size));
    if (method == 8) {
      std::vector<Bytef> content(std::min(size * 1032 + 1, size_t{1} << 20));
      z_stream stream{};
      if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) continue;
      stream.next_in = const_cast<Bytef*>(bytes);
      stream.avail_in = static_cast<uInt>(size);
      stream.next_out = content.data();
      stream.avail_out = static_cast<uInt>(content.size());
      inflate(&stream, Z_FINISH);
      crc = crc32(0, content.data(), static_cast<uInt>(stream.total_out));
      inflateEnd(&stream);
    }
    changed |= Store(file, at + 16, crc, 4, /*lowest_first=*/true);
  }
  return changed;
}

}  // namespace hwynn::fuzz
