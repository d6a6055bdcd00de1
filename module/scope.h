#ifndef HWYNN_MODULE_SCOPE_H_
#define HWYNN_MODULE_SCOPE_H_

// What a call brings along (CallContext), and what one module sees of it (Scope).

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "hwynn/core/export.h"
#include "hwynn/core/random.h"
#include "hwynn/core/tensor.h"
#include "hwynn/core/workspace.h"
#include "hwynn/module/activation.h"
#include "hwynn/module/call_rules.h"
#include "hwynn/module/gradients.h"
#include "hwynn/module/observer.h"
#include "hwynn/module/statistics_averages.h"
#include "hwynn/module/tape.h"
#include "hwynn/module/variables.h"

namespace HWYNN_EXPORT hwynn {

class Module;
class PackedFilters;

enum class Mode { kTrain, kEval };

/// Whose statistics BatchNorms take in training mode, unless their own options say.
enum class BatchStatistics {
  kUpdate,  // the batch's, which update the running ones
  kKeep,    // the batch's; the running ones stay as they are
  kFrozen,  // the running ones, which stay as they are; scale and bias still learn
};

/// What one call may see and touch. All pointers are borrowed.
struct CallContext {
  const Workspace* workspace = nullptr;  // required: outputs and temporaries come from here
  const Variables* variables = nullptr;  // required
  Variables* updates = nullptr;    // the collections that this call may write, e.g. batch_stats; may be *variables
  Gradients* gradients = nullptr;  // of all params: Differentiate makes them; needed by Backward only
  Tape* tape = nullptr;            // null: nothing is kept, and Backward can't follow
  Mode mode = Mode::kEval;
  CallRules* rules = nullptr;               // null: Linen's, without a key for random draws
  PackedFilters* packed_filters = nullptr;  // of these params, for evaluation; null: packed in every call
  bool batch_invariant = false;             // Conv2dParams::batch_invariant
  // BatchNorm is computed by the convolutions around it (module/fusion.h); false: in passes of its own. The numbers
  // differ in rounding. Backward needs what Forward had.
  bool fusion = true;
  BatchStatistics statistics = BatchStatistics::kUpdate;
  // BatchNormOptions::ghost_batch_size of the BatchNorms whose options have none.
  int64_t ghost_batch_size = 0;
  // Given, it gathers the batch statistics, and the running ones stay as they are.
  StatisticsAverages* averages = nullptr;
  CallObserver* observer = nullptr;  // null: nobody wants to know
};

/// A CallContext seen from one module's path. Cheap to copy.
class Scope {
 public:
  /// The root. `context` is borrowed and has workspace and variables.
  explicit Scope(const CallContext& context);
  explicit Scope(const CallContext&& context) = delete;

  /// The scope of a child module: path + "/" + name. Each call of a child has one of its own.
  Scope Child(std::string_view name) const;

  bool train() const { return context_->mode == Mode::kTrain; }
  const Workspace& workspace() const { return *context_->workspace; }
  Tensor NewTensor(const Shape& shape) const { return workspace().NewTensor(shape); }
  /// "" at the root, else "ResNetBlock_0/Conv_0".
  const std::string& path() const { return path_; }

  /// An array at this path, as this call left it if it wrote it. Throws std::invalid_argument as Flax does when it
  /// isn't there: `Could not find parameter named "kernel" in scope "/Dense_0".`
  ConstTensorView Variable(std::string_view collection, std::string_view name) const;
  ConstTensorView Param(std::string_view name) const { return Variable(kParams, name); }
  /// Whether it is there.
  bool HasVariable(std::string_view collection, std::string_view name) const;

  /// An array this call may write. Throws std::invalid_argument as Flax does: `Cannot update variable "mean" in
  /// "/BatchNorm_0" because collection "batch_stats" is immutable.`
  TensorView MutableVariable(std::string_view collection, std::string_view name) const;

  /// Where Backward writes the gradient of a param, whole: whatever is there is of no account. A module that is called
  /// several times at one path writes each call's gradient; they are added up.
  TensorView Gradient(std::string_view name) const;

  /// Tape access; Save does nothing without a tape, Saved throws without one.
  void Save(const Module* owner, Activation value) const;
  /// Saves a shape alone: Saved gives a tensor of that shape without memory.
  void SaveShape(const Module* owner, const Shape& shape) const;
  Activation Saved(const Module* owner) const;
  bool has_tape() const { return context_->tape != nullptr; }

  /// A key for this module's random draws in this call, another one each time, by the call's rules; Forward leaves it
  /// on the tape, and Backward takes it from there, in reverse order with what was saved.
  Key DrawKey(const Module* owner) const;
  Key SavedKey(const Module* owner) const;

  /// Tells the observer of the kernel that runs while the result lives, and the bytes of the arrays that it reads or
  /// writes.
  WorkTimer Observe(std::string_view what, WorkKind kind, std::initializer_list<ConstTensorView> arrays) const;

  /// Called when an argument is given to a module's constructor and in the call: the rules may make that an error.
  void CheckGivenTwice(std::string_view argument) const;

  PackedFilters* packed_filters() const { return context_->packed_filters; }
  bool batch_invariant() const { return context_->batch_invariant; }
  bool fusion() const { return context_->fusion; }
  BatchStatistics statistics() const { return context_->statistics; }
  int64_t ghost_batch_size() const { return context_->ghost_batch_size; }
  StatisticsAverages* averages() const { return context_->averages; }

 private:
  Tape& tape(const Module* owner) const;

  const CallContext* context_;
  std::string path_;
  uint64_t number_ = 0;  // of this scope, in calls with gradients
};

}  // namespace hwynn

#endif  // HWYNN_MODULE_SCOPE_H_
