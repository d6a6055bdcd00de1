#ifndef HWYNN_FORMATS_NPY_H_
#define HWYNN_FORMATS_NPY_H_

// NumPy's format of one array: a header, a dictionary as Python writes it, then the elements. Versions 1.0 to 3.0, of
// either byte order, by rows or by columns. Source: numpy/lib/format.py.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/core/shape.h"

namespace HWYNN_EXPORT hwynn {

class NpyArray {
 public:
  /// Reads the header and holds it against the size of `file`, which must outlive the object. `where` begins the texts
  /// of errors: a path, and of an archive the array's name. Throws std::runtime_error with it and the offset.
  NpyArray(std::string where, std::span<const std::byte> file);

  const Shape& shape() const { return shape_; }
  /// NumPy's name: "uint8", "float32"; "" for types that this reader doesn't take, as texts and objects.
  const std::string& type() const { return type_; }

  /// The elements, by rows, of an array of uint8; of float16, float32 or float64; of integers. Throws
  /// std::runtime_error for any other type, or an integer above 2⁶³ − 1.
  std::vector<uint8_t> Bytes() const;
  std::vector<float> Floats() const;
  std::vector<int64_t> Integers() const;

 private:
  void ReadHeader(std::string_view header, size_t offset);
  void CheckType(bool ok, const char* wanted) const;
  std::vector<std::byte> Rows() const;

  std::string where_;
  std::string descr_;  // as it stands in the file, "<f4"
  std::string type_;
  size_t element_bytes_ = 0;
  bool is_swapped_ = false;
  bool is_fortran_ = false;
  Shape shape_;
  std::span<const std::byte> elements_;
};

}  // namespace hwynn

#endif  // HWYNN_FORMATS_NPY_H_
