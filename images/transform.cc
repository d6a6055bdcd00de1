#include "hwynn/images/transform.h"

#include <algorithm>
#include <vector>

#include "hwynn/core/check.h"

namespace hwynn {
namespace {

ByteImageView View(const DecodedImage& image) {
  return {.data = image.pixels.data(),
          .height = image.height,
          .width = image.width,
          .channels = image.channels,
          .row_stride = image.width * image.channels};
}

DecodedImage Resized(const ResizeParams& params, const ByteImageView& input) {
  DecodedImage result = {.height = params.window_height, .width = params.window_width, .channels = input.channels};
  result.pixels.resize(static_cast<size_t>(result.height * result.width * result.channels));
  ResizeImage(params, input, result.pixels);
  return result;
}

void CheckResult(const char* function, int64_t height, int64_t width) {
  constexpr int64_t kMostPixels = int64_t{1} << 30;  // of a result: its memory is asked for before the kernel looks
  Check(height > 0 && width > 0 && height <= kMostPixels / width, function, ": the result's size ", height, "x", width,
        " must have 1 … ", kMostPixels, " pixels");
}

// Half of an even or odd number, as Python's round() has it.
int64_t RoundedHalf(int64_t x) { return x / 2 + (x % 4 == 3 ? 1 : 0); }

}  // namespace

DecodedImage Resize(const DecodedImage& image, int64_t height, int64_t width, Interpolation interpolation) {
  CheckResult("Resize", height, width);
  return Resized(ResizeParams::Whole(height, width, interpolation), View(image));
}

DecodedImage ResizedCrop(const DecodedImage& image, const ImageWindow& window, int64_t height, int64_t width,
                         Interpolation interpolation) {
  const auto inside = [](int64_t begin, int64_t size, int64_t extent) {
    return begin >= 0 && size > 0 && size <= extent && begin <= extent - size;
  };
  Check(inside(window.top, window.height, image.height) && inside(window.left, window.width, image.width),
        "ResizedCrop: the window of ", window.height, "x", window.width, " at (", window.top, ",", window.left,
        ") isn't inside the image of ", image.height, "x", image.width);
  CheckResult("ResizedCrop", height, width);
  ByteImageView part = View(image);
  part.data += window.top * part.row_stride + window.left * part.channels;
  part.height = window.height;
  part.width = window.width;
  return Resized(ResizeParams::Whole(height, width, interpolation), part);
}

DecodedImage ApplyTransform(const DecodedImage& image, const EvaluationTransform& transform) {
  const int64_t size = transform.image_size;
  Check(size > 0, "ApplyTransform: there is no transform: image_size is ", size);
  CheckEvaluationTransform(transform, {size, size, 1});
  const int64_t shorter = std::min(image.height, image.width);
  Check(shorter > 0, "ApplyTransform: the image is empty");
  ResizeParams params = {.interpolation = transform.interpolation,
                         .height = transform.resize * image.height / shorter,
                         .width = transform.resize * image.width / shorter,
                         .window_height = size,
                         .window_width = size};
  params.window_top = RoundedHalf(params.height - size);
  params.window_left = RoundedHalf(params.width - size);
  return Resized(params, View(image));
}

void ToInput(const DecodedImage& image, const Standardization& standardization, std::span<float> hwc) {
  Check(hwc.size() == image.pixels.size(), "ToInput: ", hwc.size(), " floats for an image of ", image.pixels.size(),
        " bytes");
  const auto channels = static_cast<size_t>(image.channels);
  const std::vector<float> values = StandardizedBytes(standardization, image.channels);
  const uint8_t* const bytes = image.pixels.data();
  if (channels == 3) {
    const float *const red = values.data(), *const green = red + 256, *const blue = green + 256;
    for (size_t i = 0; i < hwc.size(); i += 3) {
      hwc[i] = red[bytes[i]];
      hwc[i + 1] = green[bytes[i + 1]];
      hwc[i + 2] = blue[bytes[i + 2]];
    }
    return;
  }
  for (size_t i = 0; i < hwc.size(); i += channels) {
    for (size_t c = 0; c < channels; ++c) hwc[i + c] = values[c * 256 + bytes[i + c]];
  }
}

}  // namespace hwynn
