#ifndef HWYNN_FUZZ_REPAIR_H_
#define HWYNN_FUZZ_REPAIR_H_

// Random changes break lengths and checksums first. Targets read an input as it is and, so that what stands behind
// those is reached too, repaired.

#include <cstddef>
#include <vector>

namespace hwynn::fuzz {

/// Makes the length of a safetensors header end at the last '}'. False when it is so already, or there is none.
bool RepairSafetensors(std::vector<std::byte>& file);

/// Gives the chunks of a PNG file the checksums of their bytes. False when they have them already.
bool RepairPng(std::vector<std::byte>& file);

/// Gives the stored and deflated entries of a zip archive the checksums of their content. False when they have them
/// already.
bool RepairZip(std::vector<std::byte>& file);

}  // namespace hwynn::fuzz

#endif  // HWYNN_FUZZ_REPAIR_H_
