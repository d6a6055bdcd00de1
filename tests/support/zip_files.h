#ifndef HWYNN_TESTS_SUPPORT_ZIP_FILES_H_
#define HWYNN_TESTS_SUPPORT_ZIP_FILES_H_

// Zip archives and NumPy's arrays in them, for tests that need sound and damaged ones.

#include <zlib.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/tests/support/files.h"

namespace hwynn::testing {

struct ZipMember {
  std::string name;
  std::string content;
  bool deflated = false;
};

/// What the directory says in place of the truth, for a test's one member.
struct ZipLies {
  int64_t bytes = -1;  // −1: the truth
  int64_t compressed_bytes = -1;
  uint32_t flags = 0;
  int method = -1;
  uint32_t checksum_change = 0;
  bool zip64 = false;  // no lie: sizes, offset and the directory's place stand in zip64's fields
};

inline void AppendNumber(std::string& text, uint64_t number, int bytes) {
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(number >> (8 * i));
}

inline std::string Deflated(const std::string& content) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline std::string Zip(const std::vector<ZipMember>& members, const ZipLies& lies = {}) {
  std::string file, directory;
  for (const ZipMember& member : members) {
    const std::string data = member.deflated ? Deflated(member.content) : member.content;
    const uint64_t offset = file.size();
    file += "PK\3\4";
    file.append(22, '\0');  // nobody looks
    AppendNumber(file, member.name.size(), 2);
    AppendNumber(file, 4, 2);
    file += member.name + "XYZW" + data;

    const uint64_t bytes = lies.bytes < 0 ? member.content.size() : static_cast<uint64_t>(lies.bytes);
    const uint64_t compressed = lies.compressed_bytes < 0 ? data.size() : static_cast<uint64_t>(lies.compressed_bytes);
    const auto crc =
        crc32(0, reinterpret_cast<const Bytef*>(member.content.data()), static_cast<uInt>(member.content.size()));
    directory += "PK\1\2";
    AppendNumber(directory, 0, 4);
    AppendNumber(directory, lies.flags, 2);
    AppendNumber(directory, lies.method < 0 ? (member.deflated ? 8 : 0) : static_cast<uint64_t>(lies.method), 2);
    AppendNumber(directory, 0, 4);
    AppendNumber(directory, crc ^ lies.checksum_change, 4);
    AppendNumber(directory, lies.zip64 ? 0xffffffff : compressed, 4);
    AppendNumber(directory, lies.zip64 ? 0xffffffff : bytes, 4);
    AppendNumber(directory, member.name.size(), 2);
    AppendNumber(directory, lies.zip64 ? 34 : 0, 2);
    AppendNumber(directory, 0, 10);
    AppendNumber(directory, lies.zip64 ? 0xffffffff : offset, 4);
    directory += member.name;
    if (!lies.zip64) continue;
    AppendNumber(directory, 0x7075, 2);  // another field first
    AppendNumber(directory, 2, 2);
    directory += "ab";
    AppendNumber(directory, 1, 2);
    AppendNumber(directory, 24, 2);
    for (const uint64_t number : {bytes, compressed, offset}) AppendNumber(directory, number, 8);
  }
  const uint64_t offset = file.size();
  file += directory;
  if (lies.zip64) {
    const uint64_t end64 = file.size();
    file += "PK\6\6";
    AppendNumber(file, 44, 8);
    AppendNumber(file, 0, 12);
    for (const uint64_t number : {members.size(), members.size(), directory.size(), size_t{offset}}) {
      AppendNumber(file, number, 8);
    }
    file += "PK\6\7";
    AppendNumber(file, 0, 4);
    AppendNumber(file, end64, 8);
    AppendNumber(file, 1, 4);
  }
  file += "PK\5\6";
  AppendNumber(file, 0, 4);
  AppendNumber(file, lies.zip64 ? 0xffff : members.size(), 2);
  AppendNumber(file, lies.zip64 ? 0xffff : members.size(), 2);
  AppendNumber(file, lies.zip64 ? 0xffffffff : directory.size(), 4);
  AppendNumber(file, lies.zip64 ? 0xffffffff : offset, 4);
  AppendNumber(file, 0, 2);
  return file;
}

/// numpy's .npy, "<f4" with shape "(2, 3)".
inline std::string NpyFile(const std::string& descr, const std::string& shape, const std::string& elements) {
  const std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  std::string file = "\x93NUMPY\1";
  file += '\0';
  AppendNumber(file, header.size(), 2);
  return file + header + elements;
}

inline Bytes ToBytes(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_ZIP_FILES_H_
