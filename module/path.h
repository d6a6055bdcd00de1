#ifndef HWYNN_MODULE_PATH_H_
#define HWYNN_MODULE_PATH_H_

// Not for users: what InitScope and Scope share.

#include <cstdint>
#include <string>
#include <string_view>

#include "hwynn/core/export.h"
#include "hwynn/core/random.h"

namespace HWYNN_EXPORT hwynn {

/// path + "/" + name; the name alone at the root.
std::string JoinPath(const std::string& path, std::string_view name);

/// flax.linen's make_rng: the key of draw number `count` ≥ 1 in the scope `path`.
Key LinenKey(Key root, const std::string& path, uint32_t count);

}  // namespace hwynn

#endif  // HWYNN_MODULE_PATH_H_
