#ifndef HWYNN_DATA_ZIP_H_
#define HWYNN_DATA_ZIP_H_

// Zip archives, as far as .npz needs them: stored and deflated entries, zip64 where an archive has it, checksums.
// Source: PKWARE's APPNOTE.TXT, version 6.3.10.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

class ZipArchive {
 public:
  /// No entry may hold more, whatever it is compressed to; and none more than kMaxInflation (formats/file_io.h) for
  /// each byte that it has in the archive.
  static constexpr uint64_t kMaxEntryBytes = uint64_t{1} << 33;

  struct Entry {
    std::string_view name;  // in the archive's bytes
    uint32_t method = 0;    // 0 stored, 8 deflated
    uint32_t checksum = 0;  // CRC-32
    uint64_t compressed_bytes = 0;
    uint64_t bytes = 0;
    uint64_t offset = 0;  // of its local header
  };

  /// Reads the directory of the archive `file`, which must outlive the object. `path` is for errors. Throws
  /// std::runtime_error with path and offset.
  ZipArchive(std::string path, std::span<const std::byte> file);

  const std::vector<Entry>& entries() const { return entries_; }
  /// Null when there is none. Throws std::runtime_error when there are two.
  const Entry* Find(std::string_view name) const;

  /// The content of an entry, with the checksum that the archive says. Memory grows with what is there. Throws
  /// std::runtime_error with path and name: encrypted or compressed in another way, sizes that don't fit, a wrong
  /// checksum.
  std::vector<std::byte> Read(const Entry& entry) const;

 private:
  struct Directory {
    uint64_t num_entries, offset, end;
  };
  Directory FindDirectory() const;
  Directory FindDirectory64(size_t end) const;
  void ReadDirectory(const Directory& directory);
  std::span<const std::byte> DataOf(const Entry& entry) const;
  uint64_t Number(uint64_t offset, size_t size, std::string_view what) const;

  std::string path_;
  std::span<const std::byte> file_;
  uint64_t directory_offset_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace hwynn

#endif  // HWYNN_DATA_ZIP_H_
