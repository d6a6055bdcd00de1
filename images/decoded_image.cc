#include "hwynn/images/decoded_image.h"

#include <cstring>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/formats/container.h"
#include "hwynn/images/codecs/codec.h"

namespace hwynn {
namespace {

// Rec. 601's luma in sixteenths of bits, as Pillow's convert("L") has it; grey stays what it is.
uint8_t Luma(const uint8_t* rgb) {
  return static_cast<uint8_t>((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
}

DecodedImage WithChannels(DecodedImage image, int64_t channels) {
  if (image.channels == channels) return image;
  DecodedImage result = {.height = image.height, .width = image.width, .channels = channels};
  const auto pixels = static_cast<size_t>(image.height * image.width);
  result.pixels.resize(pixels * static_cast<size_t>(channels));
  for (size_t i = 0; i < pixels; ++i) {
    if (channels == 1) {
      result.pixels[i] = Luma(image.pixels.data() + 3 * i);
    } else {
      std::memset(result.pixels.data() + 3 * i, image.pixels[i], 3);
    }
  }
  return result;
}

// Where EXIF's orientation puts pixels: rows and columns of the result are those of the source, or change places, and
// each may run backwards.
struct Orientation {
  bool transposed;
  bool rows_backwards;  // of the source, as the result's rows or columns go forward
  bool columns_backwards;
};
constexpr Orientation kOrientations[] = {
    {false, false, false},  // 1, upright
    {false, false, true},   // 2, mirrored
    {false, true, true},    // 3, turned by 180°
    {false, true, false},   // 4, upside down and mirrored
    {true, false, false},   // 5, mirrored along the diagonal
    {true, true, false},    // 6, turned by 90° to the right as it is put right
    {true, true, true},     // 7, mirrored along the other diagonal
    {true, false, true},    // 8, turned to the left
};

DecodedImage Upright(DecodedImage image, int orientation) {
  if (orientation == 1) return image;
  const Orientation how = kOrientations[orientation - 1];
  DecodedImage result = {.height = how.transposed ? image.width : image.height,
                         .width = how.transposed ? image.height : image.width,
                         .channels = image.channels};
  result.pixels.resize(image.pixels.size());
  const int64_t channels = image.channels, row = image.width * channels;
  const int64_t down = how.rows_backwards ? -row : row, right = how.columns_backwards ? -channels : channels;
  const uint8_t* first = image.pixels.data();
  if (how.rows_backwards) first += (image.height - 1) * row;
  if (how.columns_backwards) first += (image.width - 1) * channels;
  uint8_t* to = result.pixels.data();
  for (int64_t y = 0; y < result.height; ++y) {
    const uint8_t* from = first + y * (how.transposed ? right : down);
    for (int64_t x = 0; x < result.width; ++x, from += how.transposed ? down : right) {
      for (int64_t c = 0; c < channels; ++c) *to++ = from[c];
    }
  }
  return result;
}

CodecImage Decode(std::span<const std::byte> file, const std::string& path, int64_t max_pixels) {
  CheckContainer(path, file, {Container::kPng, Container::kJpeg});
  switch (RecogniseFile(file)) {
    case Container::kPng:
      return DecodePng(file, path, max_pixels);
    case Container::kJpeg:
      return DecodeJpeg(file, path, max_pixels);
    default:
      throw std::runtime_error(StrCat(path, ": is neither a PNG nor a JPEG image"));
  }
}

}  // namespace

void CheckImageSize(const std::string& path, int64_t height, int64_t width, int64_t max_pixels) {
  CheckData(height > 0 && width > 0, path, ": the image has no pixels");
  CheckData(height <= kMaxImageSide && width <= kMaxImageSide && height * width <= max_pixels, path, ": ", width, "x",
            height, " pixels are more than ", max_pixels, ", or a side longer than ", kMaxImageSide);
}

DecodedImage DecodeImage(std::span<const std::byte> file, const std::string& path, const DecodeOptions& options) {
  Check(options.channels == 1 || options.channels == 3,
        "DecodeImage: an image is made grey or RGB, 1 or 3 channels, not ", options.channels);
  CodecImage decoded = Decode(file, path, options.max_pixels);
  DecodedImage image = WithChannels(std::move(decoded.image), options.channels);
  return options.apply_orientation ? Upright(std::move(image), decoded.orientation) : image;
}

DecodedImage ReadImage(const std::string& path, const DecodeOptions& options) {
  return DecodeImage(ReadContainer(path), path, options);
}

}  // namespace hwynn
