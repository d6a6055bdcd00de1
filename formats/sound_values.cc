#include "hwynn/formats/sound_values.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "hwynn/core/check.h"

namespace hwynn {

std::optional<std::string> FindUnsoundValue(std::string_view name, std::span<const std::byte> floats) {
  const bool is_variance = name.substr(name.find_last_of("/.") + 1) == "var";
  const size_t count = floats.size() / sizeof(float);
  const auto value = [&](size_t i) {
    float x;
    std::memcpy(&x, floats.data() + i * sizeof(float), sizeof(float));
    return x;
  };
  const auto is_sound = [&](float x) {
    return std::abs(x) <= std::numeric_limits<float>::max() && !(is_variance && x < 0);
  };
  bool sound = true;
  for (size_t i = 0; i < count; ++i) sound &= is_sound(value(i));  // without a branch, for the compiler to vectorise
  if (sound) return std::nullopt;
  size_t i = 0;
  while (is_sound(value(i))) ++i;
  return StrCat("holds ", value(i), " at element ", i,
                std::isfinite(value(i)) ? ", which no variance can be" : ", which is not finite");
}

}  // namespace hwynn
