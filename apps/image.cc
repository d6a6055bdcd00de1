#include "hwynn/apps/image.h"

#include <spng.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/formats/container.h"
#include "hwynn/formats/file_io.h"

namespace hwynn::apps {
namespace {

// Decoded comments and colour profiles of a file; nobody looks at them.
constexpr size_t kMaxAncillaryBytes = size_t{16} << 20;

/// How much of source pixel p, the interval [p, p+1), target pixel t covers; target pixels are `scale` wide.
double Overlap(int64_t t, double scale, int64_t p) {
  const double begin = std::max(static_cast<double>(t) * scale, static_cast<double>(p));
  const double end = std::min(static_cast<double>(t + 1) * scale, static_cast<double>(p + 1));
  return std::max(end - begin, 0.0);
}

}  // namespace

Tensor ReadPng(const std::string& path, int64_t channels) {
  Check(channels == 1 || channels == 3, "a PNG image gives 1 or 3 channels, the model takes ", channels);
  const std::vector<std::byte> file = ReadContainer(path);
  CheckContainer(path, file, {Container::kPng});
  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> png(spng_ctx_new(0), spng_ctx_free);
  const auto check = [&](int status) { CheckData(status == 0, path, ": ", spng_strerror(status)); };
  CheckData(png != nullptr, path, ": there is not enough memory");
  check(spng_set_image_limits(png.get(), kMaxPngPixels, kMaxPngPixels));
  check(spng_set_chunk_limits(png.get(), kMaxAncillaryBytes, kMaxAncillaryBytes));
  check(spng_set_png_buffer(png.get(), file.data(), file.size()));
  spng_ihdr header;
  check(spng_get_ihdr(png.get(), &header));
  const int64_t pixels = int64_t{header.width} * header.height;
  CheckData(pixels <= kMaxPngPixels, path, ": ", header.width, "x", header.height, " pixels at byte 16 are more than ",
            kMaxPngPixels);
  CheckData(static_cast<uint64_t>(pixels) * header.bit_depth / 8 <= kMaxInflation * file.size(), path, ": ",
            header.width, "x", header.height, " pixels at byte 16 are more than a file of ", file.size(),
            " bytes can hold");
  size_t size = 0;
  check(spng_decoded_image_size(png.get(), SPNG_FMT_RGB8, &size));
  std::vector<uint8_t> rgb(size);
  check(spng_decode_image(png.get(), rgb.data(), rgb.size(), SPNG_FMT_RGB8, 0));

  Tensor image(Shape{header.height, header.width, channels});
  for (int64_t i = 0; i < image.size() / channels; ++i) {
    const uint8_t* pixel = rgb.data() + 3 * i;
    if (channels == 3) {
      for (int64_t c = 0; c < 3; ++c) image[3 * i + c] = static_cast<float>(pixel[c]) / 255.0f;
    } else {
      image[i] = static_cast<float>((0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]) / 255.0);
    }
  }
  return image;
}

Tensor Resize(const Tensor& image, int64_t height, int64_t width) {
  const Shape& shape = image.shape();
  const int64_t channels = shape[2];
  const double scale_y = static_cast<double>(shape[0]) / static_cast<double>(height);
  const double scale_x = static_cast<double>(shape[1]) / static_cast<double>(width);
  Tensor resized({height, width, channels}, 0.0f);
  std::vector<double> sums(static_cast<size_t>(channels));
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      std::fill(sums.begin(), sums.end(), 0.0);
      const auto last_y = std::min(static_cast<int64_t>(std::ceil(static_cast<double>(y + 1) * scale_y)), shape[0]);
      const auto last_x = std::min(static_cast<int64_t>(std::ceil(static_cast<double>(x + 1) * scale_x)), shape[1]);
      for (int64_t sy = static_cast<int64_t>(static_cast<double>(y) * scale_y); sy < last_y; ++sy) {
        for (int64_t sx = static_cast<int64_t>(static_cast<double>(x) * scale_x); sx < last_x; ++sx) {
          const double weight = Overlap(y, scale_y, sy) * Overlap(x, scale_x, sx);
          for (int64_t c = 0; c < channels; ++c) {
            sums[static_cast<size_t>(c)] += weight * image[(sy * shape[1] + sx) * channels + c];
          }
        }
      }
      for (int64_t c = 0; c < channels; ++c) {
        resized[(y * width + x) * channels + c] =
            static_cast<float>(sums[static_cast<size_t>(c)] / (scale_y * scale_x));
      }
    }
  }
  return resized;
}

}  // namespace hwynn::apps
