#ifndef HWYNN_TESTS_IMAGES_GOLDEN_IMAGES_H_
#define HWYNN_TESTS_IMAGES_GOLDEN_IMAGES_H_

// tests/golden/images.safetensors (images_golden.py): small image files, and what Pillow says of them.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "hwynn/formats/safetensors.h"
#include "hwynn/images/decoded_image.h"

namespace hwynn::testing {

class GoldenImages {
 public:
  GoldenImages() : file_(HWYNN_GOLDEN_DIR "/images.safetensors") {}

  /// Of all image files, or those whose names end in `ending`.
  std::vector<std::string> Names(const std::string& ending = "") const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : file_.entries()) {
      if (entry.shape.rank() == 1 && name.ends_with(ending)) names.push_back(name);
    }
    return names;
  }
  std::vector<std::byte> Bytes(const std::string& name) const {
    const auto bytes = file_.Entry(name).bytes;
    return {bytes.begin(), bytes.end()};
  }
  /// Pixels [H,W,C].
  DecodedImage Pixels(const std::string& name) const {
    const SafetensorsEntry& entry = file_.Entry(name);
    DecodedImage image = {.height = entry.shape[0], .width = entry.shape[1], .channels = entry.shape[2]};
    image.pixels.resize(entry.bytes.size());
    std::memcpy(image.pixels.data(), entry.bytes.data(), entry.bytes.size());
    return image;
  }

 private:
  SafetensorsFile file_;
};

inline void ExpectSameImage(const DecodedImage& got, const DecodedImage& want) {
  EXPECT_EQ(got.height, want.height);
  EXPECT_EQ(got.width, want.width);
  EXPECT_EQ(got.channels, want.channels);
  EXPECT_TRUE(got.pixels == want.pixels);
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_IMAGES_GOLDEN_IMAGES_H_
