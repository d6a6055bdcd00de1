#ifndef HWYNN_LAYERS_MODULE_H_
#define HWYNN_LAYERS_MODULE_H_

// What a layer is. A Module is an immutable description: it holds options, no arrays and no mode. Everything a
// call needs comes with the call, in a Scope: the variables at the module's path, train or eval, the memory, and
// the Tape on which Forward leaves what Backward will need. So one const model serves many threads, and a training
// step is Forward followed by Backward with the same Tape. There is no autodiff: a module writes both.

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwynn/core/random.h"
#include "hwynn/core/tensor.h"
#include "hwynn/core/workspace.h"
#include "hwynn/layers/initializers.h"
#include "hwynn/layers/rngs.h"
#include "hwynn/layers/variables.h"

namespace hwynn {

class Module;
class PackedFilters;

enum class Mode { kTrain, kEval };

/// A value that flows between modules. Shared, because a layer's output is the next one's input and both may need
/// it in Backward; the memory goes back to the Workspace with the last holder. Never written after it was made.
using Activation = std::shared_ptr<const Tensor>;

inline Activation MakeActivation(Tensor tensor) { return std::make_shared<const Tensor>(std::move(tensor)); }

/// An activation over memory of somebody else's, without a copy. `keeper` holds that memory; without one the caller
/// sees to it that the memory outlives the activation.
Activation BorrowActivation(ConstTensorView values, std::shared_ptr<const void> keeper = nullptr);

/// What Forward leaves for Backward: a stack. Backward runs in the reverse order of Forward, so each module pops
/// exactly what it pushed; a mismatch is an error that names both modules.
class Tape {
 public:
  void Push(const Module* owner, Activation value);
  Activation Pop(const Module* owner);
  bool empty() const { return entries_.empty(); }
  void Clear() { entries_.clear(); }

 private:
  struct Entry {
    const Module* owner;
    Activation value;
  };
  std::vector<Entry> entries_;
};

/// What one call may see and touch. All pointers are borrowed.
struct CallContext {
  const Workspace* workspace = nullptr;  // required: outputs and temporaries come from here
  const Variables* variables = nullptr;  // required
  Variables* updates = nullptr;     // the collections that this call may write, e.g. batch_stats; may be *variables
  Collection* gradients = nullptr;  // Backward overwrites the gradients of params here; needed by Backward only
  Tape* tape = nullptr;             // null: nothing is kept, and Backward can't follow
  Mode mode = Mode::kEval;
  std::optional<Key> dropout_key = std::nullopt;     // needed by Dropout in training mode only, or
  const nnx::RngStreams* dropout_streams = nullptr;  // one stream for each Dropout, by path, as in NNX
  PackedFilters* packed_filters = nullptr;           // of these params, for evaluation; null: packed in every call
  // What an argument counts that is given to a constructor and in the call: false: an error, as in Linen; true: the
  // call's, as in NNX.
  bool call_wins = false;
};

/// A CallContext seen from one module's path. Cheap to copy.
class Scope {
 public:
  /// The root. `context` is borrowed and has workspace and variables.
  explicit Scope(const CallContext& context);
  explicit Scope(const CallContext&& context) = delete;

  /// The scope of a child module: path + "/" + name.
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

  /// An array this call may write. Throws std::invalid_argument as Flax does: `Cannot update variable "mean" in
  /// "/BatchNorm_0" because collection "batch_stats" is immutable.`
  TensorView MutableVariable(std::string_view collection, std::string_view name) const;

  /// Where Backward writes the gradient of a param.
  TensorView Gradient(std::string_view name) const;

  /// Tape access; Save does nothing without a tape, Saved throws without one.
  void Save(const Module* owner, Activation value) const;
  /// Saves a shape alone: Saved gives a tensor of that shape without memory.
  void SaveShape(const Module* owner, const Shape& shape) const;
  Activation Saved(const Module* owner) const;
  PackedFilters* packed_filters() const { return context_->packed_filters; }
  bool has_tape() const { return context_->tape != nullptr; }
  bool call_wins() const { return context_->call_wins; }

  /// A key for this module's random draws in this call, the same in Forward and Backward: Linen's
  /// make_rng("dropout") from dropout_key and the path, or the next of the module's stream.
  Key DropoutKey() const;

 private:
  const CallContext* context_;
  std::string path_;
};

/// Creates variables at a path, with the keys of Flax, so that the same seed gives the same initial values.
class InitScope {
 public:
  /// Linen's keys: from the root key, the path's names and a count per scope (make_rng). No more than `max_elements`
  /// are created in all: for models described by a file that may lie.
  InitScope(Variables& variables, Key root, int64_t max_elements = std::numeric_limits<int64_t>::max())
      : variables_(&variables), root_(root), max_elements_(max_elements) {}
  /// NNX's keys: the draws of `rngs`, in the order of creation. Streams of Dropouts go to `dropout_streams`.
  InitScope(Variables& variables, nnx::Rngs& rngs, nnx::RngStreams& dropout_streams)
      : variables_(&variables), rngs_(&rngs), dropout_streams_(&dropout_streams) {}

  InitScope Child(std::string_view name) const;
  const std::string& path() const { return path_; }

  /// Creates params/<path>/<name>, drawing one key. Throws std::invalid_argument when it exists already.
  void Param(std::string_view name, const Shape& shape, const Initializer& initializer);
  /// Creates <collection>/<path>/<name> filled with `value`; draws no key.
  void Variable(std::string_view collection, std::string_view name, const Shape& shape, float value);
  /// What a module calls that will ask for Scope::DropoutKey: NNX gives it a stream of its own; Linen nothing.
  void DropoutStream();

 private:
  Tensor& Create(std::string_view collection, std::string_view name, const Shape& shape);

  Variables* variables_;
  Key root_;
  nnx::Rngs* rngs_ = nullptr;                   // NNX: not null
  nnx::RngStreams* dropout_streams_ = nullptr;  // NNX: not null
  int64_t max_elements_ = std::numeric_limits<int64_t>::max();
  std::string path_;    // names joined with "/"
  uint32_t draws_ = 0;  // keys drawn in this scope
};

/// A layer, a block, a model.
class Module {
 public:
  virtual ~Module() = default;

  /// Flax's class name: "Dense", "BatchNorm". Containers number their children by it: "Dense_0".
  virtual std::string_view TypeName() const = 0;

  /// Creates the variables for inputs of shape `input` and returns the output's shape; throws
  /// std::invalid_argument for shapes that don't fit. No arithmetic on data: running statistics stay 0 and 1.
  virtual Shape Init(InitScope scope, const Shape& input) const = 0;

  /// Returns the output for `input` and saves on the tape what Backward will need. Callers move the input in when
  /// they don't need it any more: its memory is then free as early as can be.
  virtual Activation Forward(const Scope& scope, Activation input) const = 0;

  /// Takes d loss / d output, writes the gradients of its params into scope.Gradient(…), returns d loss / d input.
  /// `scope` is that of Forward: same context, same path.
  virtual Tensor Backward(const Scope& scope, Tensor grad_output) const = 0;

  /// Backward where the gradients of several paths meet: returns grad_input + d loss / d input, in grad_input's memory.
  /// The same, as an addition afterwards, where a module has no cheaper way.
  virtual Tensor BackwardAccumulate(const Scope& scope, Tensor grad_output, Tensor grad_input) const;
};

/// Creates all variables of `module` for inputs of `input` (Flax: model.init(key, x)). Throws std::invalid_argument,
/// before it takes their memory, when they would have more than `max_elements`.
Variables Init(const Module& module, Key key, const Shape& input,
               int64_t max_elements = std::numeric_limits<int64_t>::max());

/// Inference (Flax: model.apply(variables, x, train=False)): thread-safe for a const model and variables, given a
/// workspace of the caller's. With `packed_filters` (layers/packed_filters.h) convolutions pack their filters in the
/// first call only.
Activation Predict(const Module& module, const Variables& variables, ConstTensorView input, const Workspace& workspace,
                   PackedFilters* packed_filters = nullptr);

}  // namespace hwynn

#endif  // HWYNN_LAYERS_MODULE_H_
