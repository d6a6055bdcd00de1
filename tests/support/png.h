#ifndef HWYNN_TESTS_SUPPORT_PNG_H_
#define HWYNN_TESTS_SUPPORT_PNG_H_

// PNG files for tests.

#include <zlib.h>

#include <cstdint>
#include <string>

#include "hwynn/tests/support/files.h"

namespace hwynn::testing {

/// A PNG file of `height` rows of `width` pixels, grey (1 byte each) or RGB (3).
inline Bytes MakePng(uint32_t height, uint32_t width, uint32_t channels, const Bytes& pixels) {
  const auto word = [](uint32_t value) {
    return std::string{static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
                       static_cast<char>(value)};
  };
  const auto chunk = [&](const std::string& body) {
    const auto crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
    return word(static_cast<uint32_t>(body.size() - 4)) + body + word(static_cast<uint32_t>(crc));
  };
  std::string rows;
  for (uint32_t y = 0; y < height; ++y) {
    rows += '\0';  // no filter
    rows.append(pixels.begin() + y * width * channels, pixels.begin() + (y + 1) * width * channels);
  }
  uLongf size = compressBound(rows.size());
  std::string packed(size, '\0');
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(rows.data()), rows.size());
  packed.resize(size);
  const char kind = channels == 1 ? '\0' : '\2';
  const std::string file = "\x89PNG\r\n\x1a\n" +
                           chunk("IHDR" + word(width) + word(height) + '\x08' + kind + std::string(3, '\0')) +
                           chunk("IDAT" + packed) + chunk("IEND");
  return {file.begin(), file.end()};
}

/// RGB pixels that differ from file to file: stripes along x for even numbers, along y for odd ones, in a colour of
/// `number`.
inline Bytes MakeStripes(uint32_t height, uint32_t width, uint32_t number) {
  Bytes pixels;
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      const uint32_t along = number % 2 == 0 ? x : y;
      pixels.push_back(static_cast<uint8_t>((along / 3) % 2 * 200 + number % 40));
      pixels.push_back(static_cast<uint8_t>((along + number * 7) * 5));
      pixels.push_back(static_cast<uint8_t>(x * 3 + y * 2 + number));
    }
  }
  return MakePng(height, width, 3, pixels);
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_PNG_H_
