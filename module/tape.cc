#include "hwynn/module/tape.h"

#include <set>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/module/module.h"

namespace hwynn {

void Tape::Push(const Module* owner, Activation value, std::string path) {
  entries_.push_back({owner, std::move(value), std::move(path)});
}
void Tape::PushKey(const Module* owner, Key key) { entries_.push_back({owner, key}); }

template <class T>
T Tape::PopAs(const Module* owner) {
  Check(!entries_.empty(), "Tape: Backward of ", owner->TypeName(),
        " found the tape empty; a Forward with this tape comes first");
  Entry& last = entries_.back();
  Check(last.owner == owner, "Tape: Backward of ", owner->TypeName(), " found an entry of ", last.owner->TypeName(),
        "; Backward runs in the reverse order of Forward");
  Check(std::holds_alternative<T>(last.kept), "Tape: Backward of ", owner->TypeName(),
        " takes values and keys in another order than Forward left them, reversed");
  T kept = std::get<T>(std::move(last.kept));
  entries_.pop_back();
  ++pops_;
  return kept;
}

std::vector<std::pair<std::string, int64_t>> Tape::Kept() const {
  std::vector<std::pair<std::string, int64_t>> kept;
  std::set<const float*> seen;
  for (const Entry& entry : entries_) {
    const auto* value = std::get_if<Activation>(&entry.kept);
    if (value == nullptr || *value == nullptr || !value->has_values()) continue;
    const ConstTensorView values = **value;
    if (values.size() == 0 || !seen.insert(values.data()).second) continue;
    if (kept.empty() || kept.back().first != entry.path) kept.emplace_back(entry.path, 0);
    kept.back().second += values.size() * static_cast<int64_t>(sizeof(float));
  }
  return kept;
}

Activation Tape::Pop(const Module* owner) { return PopAs<Activation>(owner); }
Key Tape::PopKey(const Module* owner) { return PopAs<Key>(owner); }

}  // namespace hwynn
