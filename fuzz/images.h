#ifndef HWYNN_FUZZ_IMAGES_H_
#define HWYNN_FUZZ_IMAGES_H_

// What becomes of an image that a target's decoder takes.

#include <algorithm>
#include <vector>

#include "hwynn/fuzz/target.h"
#include "hwynn/images/decoded_image.h"
#include "hwynn/images/transform.h"

namespace hwynn::fuzz {

/// Of larger images no more is made: a few hundred bytes of PNG are millions of pixels, and runs should be many.
inline constexpr int64_t kMostPixels = 1 << 16;

/// Decodes the file grey and in colour and makes a model's inputs of it.
inline void DecodeAndTransform(Bytes file) {
  for (const int64_t channels : {3, 1}) {
    const DecodedImage image = DecodeImage(file, "input", {.channels = channels});
    Require(image.height > 0 && image.width > 0 && image.channels == channels, "an image has pixels");
    Require(image.height * image.width * channels == std::ssize(image.pixels), "all of its pixels are there");
    if (image.height * image.width > kMostPixels) return;
    const DecodedImage as_in_file = DecodeImage(file, "input", {.channels = channels, .apply_orientation = false});
    Require(as_in_file.pixels.size() == image.pixels.size(), "turning an image loses nothing");
    for (const DecodedImage& made :
         {Resize(image, 3, 5),
          ApplyTransform(image, {.image_size = 5, .resize = 6, .interpolation = Interpolation::kBicubic})}) {
      std::vector<float> input(made.pixels.size());
      ToInput(made, {}, input);
      Require(std::ranges::all_of(input, [](float x) { return x >= 0.0f && x <= 1.0f; }), "pixels are in 0 … 1");
    }
  }
}

}  // namespace hwynn::fuzz

#endif  // HWYNN_FUZZ_IMAGES_H_
