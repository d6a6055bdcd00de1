#ifndef HWYNN_MODULE_INIT_SCOPE_H_
#define HWYNN_MODULE_INIT_SCOPE_H_

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "hwynn/core/export.h"
#include "hwynn/core/random.h"
#include "hwynn/module/initializers.h"
#include "hwynn/module/rngs.h"
#include "hwynn/module/variables.h"

namespace HWYNN_EXPORT hwynn {

/// Creates variables at a path, with the keys of Flax, so that the same seed gives the same initial values.
class InitScope {
 public:
  /// Linen's keys: from the root key, the path's names and a count per scope (make_rng). No more than `max_elements`
  /// are created in all: for models described by a file that may lie.
  InitScope(Variables& variables, Key root, int64_t max_elements = std::numeric_limits<int64_t>::max())
      : variables_(&variables), root_(root), max_elements_(max_elements) {}
  /// No keys: params are 0 in place of what their initializers draw. For who fills them with a file's arrays.
  static InitScope Zeros(Variables& variables, int64_t max_elements = std::numeric_limits<int64_t>::max()) {
    InitScope scope(variables, Key(), max_elements);
    scope.draws_values_ = false;
    return scope;
  }
  /// NNX's keys: the draws of `rngs`, in the order of creation. Streams of Dropouts go to `dropout_streams`.
  InitScope(Variables& variables, nnx::Rngs& rngs, nnx::RngStreams& dropout_streams)
      : variables_(&variables), rngs_(&rngs), dropout_streams_(&dropout_streams) {}

  InitScope Child(std::string_view name) const;
  const std::string& path() const { return path_; }

  /// Creates params/<path>/<name>, drawing one key. Throws std::invalid_argument when it exists already.
  void Param(std::string_view name, const Shape& shape, const Initializer& initializer);
  /// Creates <collection>/<path>/<name> filled with `value`; draws no key.
  void Variable(std::string_view collection, std::string_view name, const Shape& shape, float value);
  /// What a module calls that will ask for Scope::DrawKey: NNX gives it a stream of its own; Linen nothing.
  void DropoutStream();

 private:
  Tensor& Create(std::string_view collection, std::string_view name, const Shape& shape);

  Variables* variables_;
  Key root_;
  nnx::Rngs* rngs_ = nullptr;                   // NNX: not null
  nnx::RngStreams* dropout_streams_ = nullptr;  // NNX: not null
  int64_t max_elements_ = std::numeric_limits<int64_t>::max();
  bool draws_values_ = true;
  std::string path_;    // names joined with "/"
  uint32_t draws_ = 0;  // keys drawn in this scope
};

}  // namespace hwynn

#endif  // HWYNN_MODULE_INIT_SCOPE_H_
