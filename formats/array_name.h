#ifndef HWYNN_FORMATS_ARRAY_NAME_H_
#define HWYNN_FORMATS_ARRAY_NAME_H_

// What arrays are called in flat files. Flax nests dictionaries, params → Dense_0 → kernel; a collection has that array
// at the path "Dense_0/kernel", a safetensors file calls it "params.Dense_0.kernel".

#include <string>
#include <string_view>
#include <vector>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

inline constexpr char kPathSeparator = '/';
inline constexpr char kNameSeparator = '.';

/// "a/b/c" → "a", "b", "c". An empty text has one part, which is empty.
std::vector<std::string> SplitPath(std::string_view path, char separator);

/// params, Dense_0/kernel → params.Dense_0.kernel.
std::string ArrayName(std::string_view collection, std::string_view path);

struct ArrayPlace {
  std::string collection;
  std::string path;
};
/// The inverse, for keys without a "." of their own: params.Dense_0.kernel → params, Dense_0/kernel. What follows the
/// first "." is the path; a name without one is a collection's.
ArrayPlace ParseArrayName(std::string_view name);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_ARRAY_NAME_H_
