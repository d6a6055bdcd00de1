#ifndef HWYNN_MODULE_TAPE_H_
#define HWYNN_MODULE_TAPE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/core/random.h"
#include "hwynn/module/activation.h"

namespace HWYNN_EXPORT hwynn {

class Module;

/// What Forward leaves for Backward: a stack of values and of random keys. Backward runs in the reverse order of
/// Forward, so each module pops exactly what it pushed; a mismatch is an error that names both modules.
class Tape {
 public:
  /// `path`, the owner's, is for Kept alone.
  void Push(const Module* owner, Activation value, std::string path = {});
  Activation Pop(const Module* owner);
  void PushKey(const Module* owner, Key key);
  Key PopKey(const Module* owner);

  bool empty() const { return entries_.empty(); }
  /// How often something was popped in all: it tells one call of Backward from the next.
  uint64_t pops() const { return pops_; }
  void Clear() { entries_.clear(); }

  /// Bytes of the arrays that are kept, by the path that they were pushed with; each counts for the first who kept it.
  std::vector<std::pair<std::string, int64_t>> Kept() const;

 private:
  struct Entry {
    const Module* owner;
    std::variant<Activation, Key> kept;
    std::string path = {};
  };
  template <class T>
  T PopAs(const Module* owner);

  std::vector<Entry> entries_;
  uint64_t pops_ = 0;
};

}  // namespace hwynn

#endif  // HWYNN_MODULE_TAPE_H_
