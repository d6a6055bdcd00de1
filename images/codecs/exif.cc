#include "hwynn/images/codecs/exif.h"

#include <cstdint>
#include <optional>

namespace hwynn {
namespace {

constexpr int kUpright = 1;
constexpr size_t kEntryBytes = 12;

// Whole numbers of either byte order, inside the bytes or not at all.
class TiffReader {
 public:
  TiffReader(std::span<const std::byte> bytes, bool big_endian) : bytes_(bytes), big_endian_(big_endian) {}

  std::optional<uint32_t> Read(size_t offset, size_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) return std::nullopt;
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value = value << 8 | std::to_integer<uint32_t>(bytes_[offset + (big_endian_ ? i : size - 1 - i)]);
    }
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
  bool big_endian_;
};

}  // namespace

int ExifOrientation(std::span<const std::byte> tiff) {
  constexpr uint32_t kLittle = 0x4949, kBig = 0x4d4d, kTiff = 42, kOrientation = 0x0112, kShort = 3;
  const auto order = TiffReader(tiff, true).Read(0, 2);
  if (order != kLittle && order != kBig) return kUpright;
  const TiffReader reader(tiff, order == kBig);
  if (reader.Read(2, 2) != kTiff) return kUpright;
  const auto directory = reader.Read(4, 4);
  if (!directory) return kUpright;
  const auto count = reader.Read(*directory, 2);
  if (!count) return kUpright;
  for (size_t entry = *directory + size_t{2}; entry < *directory + 2 + *count * kEntryBytes; entry += kEntryBytes) {
    const auto tag = reader.Read(entry, 2);
    if (!tag) return kUpright;  // the directory claims more than there is
    if (tag != kOrientation) continue;
    const auto value = reader.Read(entry + 8, 2);
    const bool one_short = reader.Read(entry + 2, 2) == kShort && reader.Read(entry + 4, 4) == uint32_t{1};
    return one_short && value && *value >= 1 && *value <= 8 ? static_cast<int>(*value) : kUpright;
  }
  return kUpright;
}

}  // namespace hwynn
