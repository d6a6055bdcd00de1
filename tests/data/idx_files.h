#ifndef HWYNN_TESTS_DATA_IDX_FILES_H_
#define HWYNN_TESTS_DATA_IDX_FILES_H_

// Files of the format IDX, and compression, for tests.

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdint>
#include <vector>

#include "hwynn/tests/support/files.h"

namespace hwynn::testing {

inline void AppendBigEndian(Bytes& bytes, uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<uint8_t>(value >> shift));
}

inline Bytes Idx(uint32_t magic, const std::vector<uint32_t>& extents, const Bytes& values) {
  Bytes bytes;
  AppendBigEndian(bytes, magic);
  for (const uint32_t extent : extents) AppendBigEndian(bytes, extent);
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

inline Bytes Gzip(const Bytes& bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes out(deflateBound(&stream, bytes.size()));
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_DATA_IDX_FILES_H_
