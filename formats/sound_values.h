#ifndef HWYNN_FORMATS_SOUND_VALUES_H_
#define HWYNN_FORMATS_SOUND_VALUES_H_

// What no array of a model may hold when it is read from a file: it would show much later, as NaN.

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// What is wrong with the first element of an array that is NaN or infinite or, if `name` is a BatchNorm's "var"
/// (itself, or after the last '/' or '.'), negative: "holds -1 at element 3, which no variance can be". `floats` is
/// float32 and may be unaligned.
std::optional<std::string> FindUnsoundValue(std::string_view name, std::span<const std::byte> floats);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_SOUND_VALUES_H_
