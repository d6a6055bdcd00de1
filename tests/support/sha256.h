#ifndef HWYNN_TESTS_SUPPORT_SHA256_H_
#define HWYNN_TESTS_SUPPORT_SHA256_H_

#include <cstdint>
#include <span>
#include <string>

namespace hwynn::testing {

/// SHA-256 (FIPS 180-4) in hexadecimal, as sha256sum prints it.
std::string Sha256Hex(std::span<const uint8_t> message);

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_SHA256_H_
