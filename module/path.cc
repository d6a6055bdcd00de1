#include "hwynn/module/path.h"

#include "hwynn/core/sha1.h"

namespace hwynn {

std::string JoinPath(const std::string& path, std::string_view name) {
  if (path.empty()) return std::string(name);
  std::string joined = path;  // not StrCat's stream, which without memory gives a part of the path
  joined += '/';
  joined += name;
  return joined;
}

// The names on the path without separators, then the count as big-endian bytes without leading zeros, go through
// SHA-1, and the first 32 bits of that into `root`. Paths that spell the same bytes share keys; so it is in Flax.
Key LinenKey(Key root, const std::string& path, uint32_t count) {
  std::string message;
  for (const char c : path) {
    if (c != '/') message.push_back(c);
  }
  for (int shift = 24; shift >= 0; shift -= 8) {
    if ((count >> shift) != 0) message.push_back(static_cast<char>(count >> shift));
  }
  uint32_t hash = 0;
  const auto digest = Sha1(message);
  for (size_t byte = 0; byte < 4; ++byte) hash = (hash << 8) | digest[byte];
  return FoldIn(root, hash);
}

}  // namespace hwynn
