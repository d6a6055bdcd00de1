// What images.py calls: from a file's bytes to a model's input, on the calling thread. As a shared library, so that all
// contenders are measured in one process.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/images/decoded_image.h"
#include "hwynn/images/transform.h"

namespace {

// Runs `work`; an error's text goes to standard error.
template <class Work>
int Try(const Work& work) try {
  hwynn::RunWithThreads(1, work);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

}  // namespace

extern "C" {

/// Decodes, resizes, crops, and standardises with ImageNet's means into `input`, 3·size² floats [H,W,C].
int hwynn_prepare(const char* file, size_t file_bytes, int64_t size, int64_t resize, int bicubic, float* input) {
  return Try([&] {
    const hwynn::DecodedImage image =
        hwynn::DecodeImage(std::as_bytes(std::span(file, file_bytes)), "the image", {.apply_orientation = false});
    const hwynn::EvaluationTransform transform = {
        .image_size = size,
        .resize = resize,
        .interpolation = bicubic != 0 ? hwynn::Interpolation::kBicubic : hwynn::Interpolation::kBilinear};
    const hwynn::DecodedImage crop = hwynn::ApplyTransform(image, transform);
    const hwynn::Standardization imagenet = {.mean = {0.485f, 0.456f, 0.406f}, .stddev = {0.229f, 0.224f, 0.225f}};
    hwynn::ToInput(crop, imagenet, std::span(input, crop.pixels.size()));
  });
}

/// The decoded image alone: height·width·3 bytes.
int hwynn_decode(const char* file, size_t file_bytes, uint8_t* pixels, size_t size) {
  return Try([&] {
    const hwynn::DecodedImage image =
        hwynn::DecodeImage(std::as_bytes(std::span(file, file_bytes)), "the image", {.apply_orientation = false});
    if (image.pixels.size() == size) std::copy(image.pixels.begin(), image.pixels.end(), pixels);
  });
}

/// [height,width,3] bytes resized and cropped: 3·size² bytes.
int hwynn_resize(const uint8_t* pixels, int64_t height, int64_t width, int64_t size, int64_t resize, int bicubic,
                 uint8_t* crop) {
  return Try([&] {
    const int64_t shorter = height < width ? height : width;
    hwynn::ResizeParams params = {
        .interpolation = bicubic != 0 ? hwynn::Interpolation::kBicubic : hwynn::Interpolation::kBilinear,
        .height = resize * height / shorter,
        .width = resize * width / shorter,
        .window_height = size,
        .window_width = size};
    // Halves to even, as ApplyTransform has it.
    const auto half = [](int64_t cut_off) { return cut_off / 2 + (cut_off % 4 == 3 ? 1 : 0); };
    params.window_top = half(params.height - size);
    params.window_left = half(params.width - size);
    hwynn::ResizeImage(params, {pixels, height, width, 3, 3 * width},
                       std::span(crop, static_cast<size_t>(3 * size * size)));
  });
}

}  // extern "C"
