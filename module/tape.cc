#include "hwynn/module/tape.h"

#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/module/module.h"

namespace hwynn {

void Tape::Push(const Module* owner, Activation value) { entries_.push_back({owner, std::move(value)}); }
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

Activation Tape::Pop(const Module* owner) { return PopAs<Activation>(owner); }
Key Tape::PopKey(const Module* owner) { return PopAs<Key>(owner); }

}  // namespace hwynn
