#ifndef HWYNN_MODULE_CALL_RULES_H_
#define HWYNN_MODULE_CALL_RULES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "hwynn/core/export.h"
#include "hwynn/core/random.h"

namespace HWYNN_EXPORT hwynn {

/// What Flax's two flavours answer differently within a call. One object serves one call: it counts the draws.
class CallRules {
 public:
  virtual ~CallRules() = default;

  /// A key for random draws of the module at `path`, another one each time.
  virtual Key DrawKey(const std::string& path) = 0;

  /// Throws std::invalid_argument when an argument that is given to a module's constructor must not be given in the
  /// call too; else the call's counts.
  virtual void CheckGivenTwice(std::string_view argument, const std::string& path) const = 0;
};

/// flax.linen's: make_rng("dropout") of apply's rngs, an argument given twice is an error.
class LinenRules final : public CallRules {
 public:
  /// Without a key, draws are errors: an evaluation makes none.
  explicit LinenRules(std::optional<Key> dropout_key = std::nullopt) : dropout_key_(dropout_key) {}

  /// From the root key, the path and how many draws there were at it.
  Key DrawKey(const std::string& path) override;
  void CheckGivenTwice(std::string_view argument, const std::string& path) const override;

 private:
  std::optional<Key> dropout_key_;
  std::map<std::string, uint32_t> draws_;
};

}  // namespace hwynn

#endif  // HWYNN_MODULE_CALL_RULES_H_
