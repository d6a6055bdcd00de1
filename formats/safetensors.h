#ifndef HWYNN_FORMATS_SAFETENSORS_H_
#define HWYNN_FORMATS_SAFETENSORS_H_

// The safetensors file format: 8 bytes N (little-endian), N bytes of JSON, then the arrays without holes.

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/core/shape.h"

namespace HWYNN_EXPORT hwynn {

/// One array: little-endian, row-major.
struct SafetensorsEntry {
  std::string dtype;  // "F32", "I64", …
  Shape shape;
  std::span<const std::byte> bytes;
};

using SafetensorsEntries = std::map<std::string, SafetensorsEntry>;
using SafetensorsMetadata = std::map<std::string, std::string>;

/// A file read into memory and checked.
class SafetensorsFile {
 public:
  /// Throws std::runtime_error with path and offset for whatever isn't a well-formed file: something else altogether
  /// (CheckContainer); a header that is longer than the file or 100,000,000 bytes, isn't JSON of the format's
  /// structure, or names something twice; an unknown dtype; a shape whose bytes overflow or aren't those of its
  /// offsets; arrays that overlap, leave holes or bytes over, or end outside the file. The format's own library takes
  /// two arrays of one name (the last one counts) and more than Shape::kMaxRank dimensions; else what it takes is taken
  /// here.
  explicit SafetensorsFile(const std::string& path);
  /// The same for a file that is in memory already; errors call it `path`.
  SafetensorsFile(std::string path, std::vector<std::byte> file);
  /// The same for a file that `keeper` keeps in memory, as a MappedFile does.
  SafetensorsFile(std::string path, std::span<const std::byte> file, std::shared_ptr<const void> keeper);

  const std::string& path() const { return path_; }
  /// The arrays by name. The bytes live as long as this object and may be unaligned: copy them out.
  const SafetensorsEntries& entries() const { return entries_; }
  const SafetensorsMetadata& metadata() const { return metadata_; }

  /// The array of that name. Throws std::runtime_error that names file and array when it isn't there.
  const SafetensorsEntry& Entry(const std::string& name) const;

  SafetensorsFile(SafetensorsFile&&) = default;
  SafetensorsFile& operator=(SafetensorsFile&&) = default;

 private:
  SafetensorsFile(std::string path, const std::shared_ptr<const std::vector<std::byte>>& file);

  std::string path_;
  std::shared_ptr<const void> keeper_;  // of what entries_ points into
  SafetensorsEntries entries_;
  SafetensorsMetadata metadata_;
};

/// Writes `entries` and `metadata` to `path` so that either the whole new file or the old one is there
/// (WriteFileAtomically). Determinism: the bytes depend on the arguments alone; arrays are in the order of the
/// format's own writer, wide dtypes first, then by name.
/// Throws std::invalid_argument for an unknown dtype, bytes that aren't the shape's, or the name "__metadata__";
/// std::runtime_error with path and the system's reason when the file can't be written.
///
/// The first array begins at a multiple of `alignment_bytes` (a multiple of 8), for files that will be mapped.
void WriteSafetensors(const std::string& path, const SafetensorsEntries& entries, const SafetensorsMetadata& metadata,
                      int64_t alignment_bytes = 8);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_SAFETENSORS_H_
