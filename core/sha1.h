#ifndef HWYNN_CORE_SHA1_H_
#define HWYNN_CORE_SHA1_H_

#include <array>
#include <cstdint>
#include <string_view>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// SHA-1 (FIPS 180-4) of the bytes of `message`. Not for security: Flax derives the keys of initial values with it.
std::array<uint8_t, 20> Sha1(std::string_view message);

}  // namespace hwynn

#endif  // HWYNN_CORE_SHA1_H_
