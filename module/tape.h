#ifndef HWYNN_MODULE_TAPE_H_
#define HWYNN_MODULE_TAPE_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "hwynn/core/random.h"
#include "hwynn/module/activation.h"

namespace hwynn {

class Module;

/// What Forward leaves for Backward: a stack of values and of random keys. Backward runs in the reverse order of
/// Forward, so each module pops exactly what it pushed; a mismatch is an error that names both modules.
class Tape {
 public:
  void Push(const Module* owner, Activation value);
  Activation Pop(const Module* owner);
  void PushKey(const Module* owner, Key key);
  Key PopKey(const Module* owner);

  bool empty() const { return entries_.empty(); }
  /// How often something was popped in all: it tells one call of Backward from the next.
  uint64_t pops() const { return pops_; }
  void Clear() { entries_.clear(); }

 private:
  struct Entry {
    const Module* owner;
    std::variant<Activation, Key> kept;
  };
  template <class T>
  T PopAs(const Module* owner);

  std::vector<Entry> entries_;
  uint64_t pops_ = 0;
};

}  // namespace hwynn

#endif  // HWYNN_MODULE_TAPE_H_
