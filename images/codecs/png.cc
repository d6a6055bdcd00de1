#include <spng.h>

#include <memory>
#include <new>

#include "hwynn/core/check.h"
#include "hwynn/formats/file_io.h"
#include "hwynn/images/codecs/codec.h"
#include "hwynn/images/codecs/exif.h"

namespace hwynn {
namespace {

// Decoded comments and colour profiles of a file; nobody looks at them.
constexpr size_t kMaxAncillaryBytes = size_t{16} << 20;

}  // namespace

CodecImage DecodePng(std::span<const std::byte> file, const std::string& path, int64_t max_pixels) {
  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> png(spng_ctx_new(0), spng_ctx_free);
  if (png == nullptr) throw std::bad_alloc();
  const auto check = [&](int status) {
    if (status == SPNG_EMEM) throw std::bad_alloc();
    CheckData(status == 0, path, ": ", spng_strerror(status));
  };
  check(spng_set_image_limits(png.get(), kMaxImageSide, kMaxImageSide));
  check(spng_set_chunk_limits(png.get(), kMaxAncillaryBytes, kMaxAncillaryBytes));
  check(spng_set_png_buffer(png.get(), file.data(), file.size()));
  spng_ihdr header;
  check(spng_get_ihdr(png.get(), &header));
  CheckImageSize(path, header.height, header.width, max_pixels);
  const uint64_t pixels = uint64_t{header.width} * header.height;
  CheckData(pixels * header.bit_depth / 8 <= kMaxInflation * file.size(), path, ": ", header.width, "x", header.height,
            " pixels are more than a file of ", file.size(), " bytes can hold");

  CodecImage result = {.image = {.height = header.height, .width = header.width, .channels = 3}};
  spng_exif exif;
  // Reads all chunks before the pixels, so it finds what is wrong with them too.
  const int exif_status = spng_get_exif(png.get(), &exif);
  if (exif_status != SPNG_ECHUNKAVAIL) {
    check(exif_status);
    result.orientation = ExifOrientation(std::as_bytes(std::span(exif.data, exif.length)));
  }
  size_t size = 0;
  check(spng_decoded_image_size(png.get(), SPNG_FMT_RGB8, &size));
  result.image.pixels.resize(size);
  check(spng_decode_image(png.get(), result.image.pixels.data(), size, SPNG_FMT_RGB8, 0));
  return result;
}

}  // namespace hwynn
