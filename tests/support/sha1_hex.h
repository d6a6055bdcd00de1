#ifndef HWYNN_TESTS_SUPPORT_SHA1_HEX_H_
#define HWYNN_TESTS_SUPPORT_SHA1_HEX_H_

// Large golden arrays as one line: the SHA-1 of their bytes, which Python gives as
// hashlib.sha1(numpy_array.tobytes()).hexdigest().

#include <span>
#include <string>
#include <string_view>

#include "hwynn/core/sha1.h"

namespace hwynn::testing {

inline std::string Sha1Hex(std::string_view message) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const uint8_t byte : Sha1(message)) hex.append({kDigits[byte >> 4], kDigits[byte & 15]});
  return hex;
}

template <class T>
std::string Sha1HexOfBytes(std::span<const T> values) {
  return Sha1Hex({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_SHA1_HEX_H_
