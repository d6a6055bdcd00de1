#include "hwynn/formats/dtype.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "hwynn/core/check.h"

namespace hwynn {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays in files are little-endian");

// In the order of safetensors' own library. The types of 4 and 6 bits are packed there; numpy gives each a byte.
constexpr std::array<Dtype, 23> kDtypes{{{"BOOL", "bool", 8},
                                         {"F4", "", 4},
                                         {"F6_E2M3", "", 6},
                                         {"F6_E3M2", "", 6},
                                         {"U8", "uint8", 8},
                                         {"I8", "int8", 8},
                                         {"F8_E5M2", "float8_e5m2", 8},
                                         {"F8_E4M3", "float8_e4m3fn", 8},
                                         {"F8_E5M2FNUZ", "float8_e5m2fnuz", 8},
                                         {"F8_E4M3FNUZ", "float8_e4m3fnuz", 8},
                                         {"F8_E8M0", "float8_e8m0fnu", 8},
                                         {"I16", "int16", 16},
                                         {"U16", "uint16", 16},
                                         {"F16", "float16", 16},
                                         {"BF16", "bfloat16", 16},
                                         {"I32", "int32", 32},
                                         {"U32", "uint32", 32},
                                         {"F32", "float32", 32},
                                         {"C64", "complex64", 64},
                                         {"F64", "float64", 64},
                                         {"I64", "int64", 64},
                                         {"U64", "uint64", 64},
                                         {"", "complex128", 128}}};

const Dtype* Find(std::string_view Dtype::*name, std::string_view wanted) {
  const auto* found = std::ranges::find(kDtypes, wanted, name);
  return found == kDtypes.end() || wanted.empty() ? nullptr : found;
}

float HalfToFloat(uint16_t half) {
  const int exponent = (half >> 10) & 0x1f;
  const int mantissa = half & 0x3ff;
  float value = 0;
  if (exponent == 0x1f) {
    value = mantissa == 0 ? INFINITY : NAN;
  } else if (exponent == 0) {
    value = std::ldexp(static_cast<float>(mantissa), -24);
  } else {
    value = std::ldexp(static_cast<float>(mantissa + 0x400), exponent - 25);
  }
  return (half & 0x8000) != 0 ? -value : value;
}

template <class T, class Convert>
void ConvertEach(std::span<const std::byte> bytes, std::span<float> floats, const Convert& convert) {
  for (size_t i = 0; i < floats.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    floats[i] = convert(value);
  }
}

}  // namespace

const Dtype* FindSafetensorsDtype(std::string_view name) { return Find(&Dtype::safetensors, name); }
const Dtype* FindNumpyDtype(std::string_view name) { return Find(&Dtype::numpy, name); }

std::variant<Shape, std::string> ParseShape(std::span<const uint64_t> extents) {
  std::vector<int64_t> counts;
  for (const uint64_t extent : extents) {
    if (extent > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return StrCat("the extent ", extent);
    counts.push_back(static_cast<int64_t>(extent));
  }
  try {
    return Shape(counts);
  } catch (const std::invalid_argument& error) {
    return StrCat("a shape out of range: ", error.what());
  }
}

bool HasBytes(const Dtype& dtype, const Shape& shape, uint64_t num_bytes) {
  // Divided, because the product of elements and bits may overflow: F64 [2⁵⁸] has 2⁶⁴ of them.
  if (num_bytes > std::numeric_limits<uint64_t>::max() / 8) return false;
  return num_bytes * 8 % dtype.bits == 0 && num_bytes * 8 / dtype.bits == static_cast<uint64_t>(shape.num_elements());
}

bool ConvertsToFloat(const Dtype& dtype) {
  constexpr std::array<std::string_view, 4> kTypes = {"float32", "float64", "float16", "bfloat16"};
  return std::ranges::find(kTypes, dtype.numpy) != kTypes.end();
}

void ToFloats(const Dtype& dtype, std::span<const std::byte> bytes, std::span<float> floats) {
  HWYNN_DCHECK(ConvertsToFloat(dtype) && bytes.size() * 8 == floats.size() * dtype.bits);
  if (dtype.numpy == "float32") {
    if (!bytes.empty()) std::memcpy(floats.data(), bytes.data(), bytes.size());
  } else if (dtype.numpy == "float64") {
    ConvertEach<double>(bytes, floats, [](double value) { return static_cast<float>(value); });
  } else if (dtype.numpy == "bfloat16") {
    ConvertEach<uint16_t>(bytes, floats, [](uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); });
  } else {
    ConvertEach<uint16_t>(bytes, floats, HalfToFloat);
  }
}

}  // namespace hwynn
