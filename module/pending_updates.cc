#include "hwynn/module/pending_updates.h"

#include <algorithm>

namespace hwynn {
namespace {

bool SameArrays(const Collection& a, const Collection& b) {
  return std::ranges::equal(
      a, b, [](const auto& x, const auto& y) { return x.first == y.first && x.second.shape() == y.second.shape(); });
}

// Of collections with the same arrays.
void CopyValues(const Collection& from, Collection& to) {
  auto target = to.begin();
  for (const auto& [path, values] : from) {
    std::copy_n(values.data(), values.size(), target->second.data());
    ++target;
  }
}

}  // namespace

Variables& PendingUpdates::Begin(const Variables& variables) {
  std::erase_if(copies_, [&](const auto& copy) { return !variables.contains(copy.first); });
  for (const auto& [name, collection] : variables) {
    if (name == kParams) continue;
    Collection& copy = copies_[name];
    if (SameArrays(collection, copy)) {
      CopyValues(collection, copy);
    } else {
      copy = Clone(collection);
    }
  }
  return copies_;
}

void PendingUpdates::Commit(Variables& variables) const {
  for (const auto& [name, copy] : copies_) CopyValues(copy, variables.find(name)->second);
}

}  // namespace hwynn
