// Decoding without memory, at every place where some is asked for: std::bad_alloc, nothing lost, and the image when
// there is memory again. What libspng, zlib and libjpeg-turbo ask of malloc isn't among these places.

#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>

#include "hwynn/formats/file_io.h"
#include "hwynn/images/decoded_image.h"
#include "hwynn/tests/support/failing_new.h"

namespace hwynn {
namespace {

TEST(DecodeWithoutMemoryTest, EachAllocationFailsInTurn) {
  const std::filesystem::path corpus = std::filesystem::path(HWYNN_GOLDEN_DIR) / "../../fuzz/corpus";
  for (const char* name : {"png/rgba_16_interlaced", "png/palette", "jpeg/420", "jpeg/444"}) {
    SCOPED_TRACE(name);
    const std::vector<std::byte> file = ReadFile((corpus / name).string());
    const auto decode = [&] { return DecodeImage(file, "FILE").pixels; };
    const std::vector<uint8_t> expected = decode();
    for (const bool and_later_ones : {false, true}) {
      const int64_t count = testing::FailEachAllocation(expected, decode, decode, and_later_ones);
      EXPECT_GT(count, 0);
      std::cout << name << ": " << count << " allocations\n";
    }
  }
}

}  // namespace
}  // namespace hwynn
