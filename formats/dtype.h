#ifndef HWYNN_FORMATS_DTYPE_H_
#define HWYNN_FORMATS_DTYPE_H_

// What arrays in files are made of: element types by their names in safetensors and in numpy, and shapes from numbers
// that may be anything. All bytes are little-endian.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "hwynn/core/export.h"
#include "hwynn/core/shape.h"

namespace HWYNN_EXPORT hwynn {

/// One row of the table of types. Rows are in the order of safetensors' own writer, which puts the last one first.
struct Dtype {
  std::string_view safetensors;  // "F32"; "" when that format has none
  std::string_view numpy;        // "float32"; "" when numpy and ml_dtypes have none of these bits
  uint64_t bits;
};

/// By the name in safetensors, or nullptr.
const Dtype* FindSafetensorsDtype(std::string_view name);
/// By numpy's name, or nullptr.
const Dtype* FindNumpyDtype(std::string_view name);

/// The shape of these extents, or what is wrong with them: too many, or more elements than an int64_t's bytes count.
std::variant<Shape, std::string> ParseShape(std::span<const uint64_t> extents);

/// Whether an array has so many bytes; false also when that can't be: a part of a byte, more than 64 bits count.
bool HasBytes(const Dtype& dtype, const Shape& shape, uint64_t num_bytes);

/// Whether ToFloats takes the type: float32, and float64, float16 and bfloat16, which are converted.
bool ConvertsToFloat(const Dtype& dtype);

/// The elements as float32, of a type that converts. `bytes` may be unaligned; `floats` has as many elements.
void ToFloats(const Dtype& dtype, std::span<const std::byte> bytes, std::span<float> floats);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_DTYPE_H_
