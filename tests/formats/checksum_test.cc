#include "hwynn/formats/checksum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "hwynn/core/parallel.h"

namespace hwynn {
namespace {

std::vector<std::byte> Pattern(size_t size) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 31 + i / 256);
  return bytes;
}

TEST(ChecksumTest, EveryByteAndTheLengthCount) {
  for (const size_t size : {1, 7, 8, 9, 31, 32, 33, 100}) {
    const std::vector<std::byte> bytes = Pattern(size);
    std::set<uint64_t> sums{Checksum(bytes)};
    for (size_t i = 0; i < size; ++i) {
      for (const int bit : {0x01, 0x80}) {
        std::vector<std::byte> changed = bytes;
        changed[i] ^= static_cast<std::byte>(bit);
        sums.insert(Checksum(changed));
      }
    }
    EXPECT_EQ(sums.size(), 1 + 2 * size) << size << " bytes";
  }
  std::set<uint64_t> sums;
  for (size_t zeros = 0; zeros < 100; ++zeros) sums.insert(Checksum(std::vector<std::byte>(zeros)));
  EXPECT_EQ(sums.size(), 100U);
}

TEST(ChecksumTest, WordsThatChangePlacesCount) {
  std::vector<std::byte> bytes = Pattern(3 << 20);
  const uint64_t sum = Checksum(bytes);
  std::swap_ranges(bytes.begin(), bytes.begin() + 8, bytes.begin() + 8);
  EXPECT_NE(Checksum(bytes), sum);
  bytes = Pattern(3 << 20);
  bytes[5] ^= std::byte{1};
  EXPECT_NE(Checksum(bytes), sum);
  // Two of its blocks.
  bytes = Pattern(3 << 20);
  for (size_t i = 0; i < 1 << 20; ++i) bytes[i] ^= std::byte{1};
  const uint64_t one = Checksum(bytes);
  std::swap_ranges(bytes.begin(), bytes.begin() + (1 << 20), bytes.begin() + (1 << 20));
  EXPECT_NE(Checksum(bytes), one);
}

TEST(ChecksumTest, IsTheSameForAnyNumberOfThreads) {
  const std::vector<std::byte> bytes = Pattern(5'000'001);
  std::set<uint64_t> sums;
  for (const int threads : {1, 2, 3}) RunWithThreads(threads, [&] { sums.insert(Checksum(bytes)); });
  EXPECT_EQ(sums.size(), 1U);
  // Files that were written hold it.
  EXPECT_EQ(Checksum({}), Checksum(std::vector<std::byte>()));
  EXPECT_EQ(Checksum(Pattern(100)), 750043336388312584U);
}

}  // namespace
}  // namespace hwynn
