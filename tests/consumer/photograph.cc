// The component images as another project uses it: a photograph's bytes to a model's input.
#include <cstddef>
#include <cstdlib>
#include <span>
#include <vector>

#include "hwynn/images/decoded_image.h"
#include "hwynn/images/transform.h"

int main() {
  // A grey PNG of 3 × 2 pixels.
  const unsigned char kPng[] = {137, 80,  78, 71,  13,  10, 26, 10,  0,  0,   0,   13, 73,  72,  68, 82, 0,  0,  0,
                                3,   0,   0,  0,   2,   8,  0,  0,   0,  0,   184, 31, 57,  198, 0,  0,  0,  16, 73,
                                68,  65,  84, 120, 218, 99, 96, 100, 98, 102, 98,  97, 101, 3,   0,  0,  78, 0,  24,
                                88,  169, 51, 201, 0,   0,  0,  0,   73, 69,  78,  68, 174, 66,  96, 130};
  const hwynn::DecodedImage image = hwynn::DecodeImage(std::as_bytes(std::span(kPng)), "grey.png");
  const hwynn::DecodedImage crop = hwynn::ApplyTransform(image, {.image_size = 4, .resize = 4});
  std::vector<float> input(crop.pixels.size());
  hwynn::ToInput(crop, {.mean = {0.5f, 0.5f, 0.5f}, .stddev = {0.5f, 0.5f, 0.5f}}, input);
  return image.width == 3 && input.size() == 48 ? EXIT_SUCCESS : EXIT_FAILURE;
}
