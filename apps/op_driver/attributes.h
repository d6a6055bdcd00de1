#ifndef HWYNN_APPS_OP_DRIVER_ATTRIBUTES_H_
#define HWYNN_APPS_OP_DRIVER_ATTRIBUTES_H_

// The value of --attributes: a JSON object whose values are numbers, flags, words and lists of integers.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwynn/core/shape.h"
#include "hwynn/kernels/padding.h"

namespace hwynn::apps {

/// An attribute that an op takes, and what --list says about its values.
struct AttributeSpec {
  std::string_view name;
  std::string_view form;
};

/// What was given. Values are looked up by name; a getter without a default takes a required attribute. All throw
/// std::invalid_argument that names the attribute, what it must be and what it is.
class Attributes {
 public:
  /// Throws for text that isn't a JSON object, nests deeper than padding does, or names something twice, and for
  /// names that aren't in `specs`.
  Attributes(const std::string& text, const std::vector<AttributeSpec>& specs);

  /// Two positive integers.
  std::array<int64_t, 2> Pair(const char* name, std::optional<std::array<int64_t, 2>> otherwise = {}) const;
  /// "SAME", "VALID" or [[top,bottom],[left,right]].
  Padding PaddingOr(const char* name, Padding otherwise) const;
  /// Four positive integers.
  Shape Shape4(const char* name) const;
  int64_t PositiveOr(const char* name, int64_t otherwise) const;
  /// An integer of 32 bits, or nothing when it wasn't given.
  std::optional<int32_t> MaybeInteger(const char* name) const;
  /// A finite number ≥ 0.
  float FloatOr(const char* name, float otherwise) const;
  bool FlagOr(const char* name, bool otherwise) const;
  /// The place among `words` of the one that was given; 0 when none was.
  size_t WordOrFirst(const char* name, std::initializer_list<std::string_view> words) const;

 private:
  const nlohmann::json* Find(const char* name) const;
  const nlohmann::json& Required(const char* name) const;

  nlohmann::json values_;
};

}  // namespace hwynn::apps

#endif  // HWYNN_APPS_OP_DRIVER_ATTRIBUTES_H_
