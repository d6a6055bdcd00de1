// The part of layers/module.h that makes variables, with Linen's keys.

#include <algorithm>

#include "hwynn/core/check.h"
#include "hwynn/core/sha1.h"
#include "hwynn/layers/module.h"

namespace hwynn {
namespace {

void CheckName(std::string_view name) {
  Check(!name.empty() && name.find('/') == std::string_view::npos, "InitScope: bad name \"", name,
        "\": it must not be empty or hold a '/'");
}

std::string Join(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : StrCat(path, "/", name);
}

// The key of draw number `count` ≥ 1 in the scope `path`: the names on the path without separators, then the count
// as big-endian bytes without leading zeros, go through SHA-1, and its first 32 bits into `root`. Paths that spell
// the same bytes share keys; so it is in Flax.
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

}  // namespace

InitScope InitScope::Child(std::string_view name) const {
  CheckName(name);
  InitScope child(*variables_, root_);
  child.path_ = Join(path_, name);
  return child;
}

void InitScope::Param(std::string_view name, const Shape& shape, const Initializer& initializer) {
  Tensor& values = Create(kParams, name, shape);
  initializer(LinenKey(root_, path_, ++draws_), values);
}

void InitScope::Variable(std::string_view collection, std::string_view name, const Shape& shape, float value) {
  Tensor& values = Create(collection, name, shape);
  std::fill_n(values.data(), values.size(), value);
}

Tensor& InitScope::Create(std::string_view collection, std::string_view name, const Shape& shape) {
  CheckName(name);
  const std::string path = Join(path_, name);
  auto [found, added] = (*variables_)[std::string(collection)].try_emplace(path);
  Check(added, "InitScope: ", collection, "/", path, " exists already");
  found->second = Tensor(shape);
  return found->second;
}

}  // namespace hwynn
