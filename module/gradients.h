#ifndef HWYNN_MODULE_GRADIENTS_H_
#define HWYNN_MODULE_GRADIENTS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"
#include "hwynn/module/variables.h"

namespace HWYNN_EXPORT hwynn {

/// d loss / d params: one flat array, with a view of the param's shape for each path.
///
/// Layout: the paths in their order, as in a Collection; each starts at a multiple of 64 bytes, and what lies between
/// is 0. So one sum, one norm or one message between machines takes all of them.
class Gradients {
 public:
  using Views = std::map<std::string, ConstTensorView, std::less<>>;

  /// Of no params.
  Gradients() = default;
  /// Zeros, one for each param.
  explicit Gradients(const Collection& params);
  /// The values of `gradients`.
  static Gradients CopyOf(const Collection& gradients);

  /// Whether they are laid out for these params.
  bool Fit(const Collection& params) const;

  /// All of them: [elements].
  TensorView flat() { return flat_; }
  ConstTensorView flat() const { return flat_; }

  /// Throws std::invalid_argument when there is none at `path`.
  TensorView at(std::string_view path);
  ConstTensorView at(std::string_view path) const;
  bool contains(std::string_view path) const { return views_.contains(path); }
  size_t size() const { return views_.size(); }
  bool empty() const { return views_.empty(); }
  /// (path, view), in the order of the paths.
  Views::const_iterator begin() const { return views_.begin(); }
  Views::const_iterator end() const { return views_.end(); }

  // What follows is for Scope and Differentiate (module/module.h).

  /// Which call of a module's Backward writes: its scope's number, and what the tape had given out by then. A module
  /// may ask for one gradient several times within a call; the same module called again at its path is another call.
  struct Writer {
    uint64_t scope = 0;
    uint64_t pops = 0;
    bool operator==(const Writer&) const = default;
  };
  /// Another number for each scope.
  uint64_t NumberScope() { return ++scopes_; }

  /// Before a Backward: nothing is written yet.
  void Start();
  /// Memory for the gradient at `path`. The first writer's values are the gradient, whatever was there before; other
  /// writers' values, in memory that starts as 0, are added to it in their order: params that are shared.
  TensorView Write(const std::string& path, const Writer& writer);
  /// After it: adds what is left to be added; params that nobody wrote have the gradient 0.
  void Finish();

 private:
  struct Slot {
    TensorView view;
    std::optional<Writer> writer = std::nullopt;  // the last one of this Backward
    Tensor addend{};                              // of the second writer and those after it
    bool adds = false;
  };
  const Slot& Find(std::string_view path) const;

  Tensor flat_;
  Views views_;
  std::map<std::string, Slot, std::less<>> slots_;
  uint64_t scopes_ = 0;
  bool started_ = false;
};

}  // namespace hwynn

#endif  // HWYNN_MODULE_GRADIENTS_H_
