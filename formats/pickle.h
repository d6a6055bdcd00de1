#ifndef HWYNN_FORMATS_PICKLE_H_
#define HWYNN_FORMATS_PICKLE_H_

// Python's pickles, as far as data sets need them: a dictionary of texts, whole numbers, lists of these, and arrays of
// bytes. A pickle is a program; this reader runs none. It knows the opcodes that such a dictionary is made of, in
// protocols 2 to 5, and what NumPy's arrays and Python 3's bytes are called in them; whatever else a pickle names is
// refused before anything is made of it.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// A matrix of bytes, row by row.
struct ByteMatrix {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<uint8_t> values;
};

/// The dictionary that a pickle holds. Its keys may be texts or, as of Python 2, bytes.
class PickledDictionary {
 public:
  /// A pickle of more values is refused.
  static constexpr size_t kMaxValues = size_t{1} << 19;

  /// `file` must outlive the object; `path` is for errors. Throws std::runtime_error with path and offset. Memory:
  /// less than 256 bytes a value, so 128 MiB; of texts and arrays the object holds views.
  PickledDictionary(std::string path, std::span<const std::byte> file);
  ~PickledDictionary();
  PickledDictionary(const PickledDictionary&) = delete;
  PickledDictionary& operator=(const PickledDictionary&) = delete;

  bool Has(std::string_view key) const;

  /// The value of a key that is a list of whole numbers; of `count` UTF-8 texts of at most 255 bytes; a NumPy array of
  /// type uint8 with two dimensions. Throws std::runtime_error with path and key when there is no such value.
  std::vector<int64_t> Integers(std::string_view key) const;
  std::vector<std::string> Texts(std::string_view key, size_t count) const;
  ByteMatrix Matrix(std::string_view key) const;

 private:
  struct Content;
  std::unique_ptr<const Content> content_;
};

}  // namespace hwynn

#endif  // HWYNN_FORMATS_PICKLE_H_
