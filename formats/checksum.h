#ifndef HWYNN_FORMATS_CHECKSUM_H_
#define HWYNN_FORMATS_CHECKSUM_H_

// A sum that tells whether a file is what was written: for accidents, not against forgers.

#include <cstddef>
#include <cstdint>
#include <span>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// Another number for other bytes, but for one case in 2^64. Cost: one pass, at about the memory's speed.
/// Determinism: the same for any number of threads and on every machine.
uint64_t Checksum(std::span<const std::byte> bytes);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_CHECKSUM_H_
