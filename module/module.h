#ifndef HWYNN_MODULE_MODULE_H_
#define HWYNN_MODULE_MODULE_H_

// What a layer is. A Module is an immutable description: it holds options, no arrays and no mode. Everything a
// call needs comes with the call, in a Scope: the variables at the module's path, train or eval, the memory, and
// the Tape on which Forward leaves what Backward will need. So one const model serves many threads, and a training
// step is Forward followed by Backward with the same Tape. There is no autodiff: a module writes both.
//
// Who writes a module needs this header alone.

#include <cstdint>
#include <limits>
#include <string_view>

#include "hwynn/core/export.h"
#include "hwynn/core/random.h"
#include "hwynn/core/tensor.h"
#include "hwynn/core/workspace.h"
#include "hwynn/module/activation.h"
#include "hwynn/module/fusion.h"
#include "hwynn/module/gradients.h"
#include "hwynn/module/graph.h"
#include "hwynn/module/init_scope.h"
#include "hwynn/module/scope.h"
#include "hwynn/module/tape.h"
#include "hwynn/module/variables.h"

namespace HWYNN_EXPORT hwynn {

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
  /// `scope` is that of Forward: same context, same path. Called by the module around it; the outermost by
  /// Differentiate.
  virtual Tensor Backward(const Scope& scope, Tensor grad_output) const = 0;

  /// Backward where the gradients of several paths meet: returns grad_input + d loss / d input, in grad_input's memory.
  /// The same, as an addition afterwards, where a module has no cheaper way.
  virtual Tensor BackwardAccumulate(const Scope& scope, Tensor grad_output, Tensor grad_input) const;

  // The same as the library's containers call them, with activations and gradients that need not have been computed
  // (module/fusion.h). The default computes them and calls the functions above. Modules that override these derive from
  // FusingModule.

  virtual Activation ForwardFused(const Scope& scope, Activation input) const;
  /// `grad_input`: empty, or what the gradient is added to, as in BackwardAccumulate.
  virtual ActivationGradient BackwardFused(const Scope& scope, ActivationGradient grad_output, Tensor grad_input) const;

  /// Appends to `graph` what Forward computes in evaluation, and returns the value that is its output. The default
  /// appends a call of Forward.
  virtual GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const;
};

/// A module that takes and gives activations and gradients that haven't been computed.
class FusingModule : public Module {
 public:
  Activation Forward(const Scope& scope, Activation input) const final;
  Tensor Backward(const Scope& scope, Tensor grad_output) const final;
  Tensor BackwardAccumulate(const Scope& scope, Tensor grad_output, Tensor grad_input) const final;
  Activation ForwardFused(const Scope& scope, Activation input) const override = 0;
  ActivationGradient BackwardFused(const Scope& scope, ActivationGradient grad_output,
                                   Tensor grad_input) const override = 0;

 protected:
  /// A child's functions, as the call wants them: CallContext::fusion.
  static Activation ChildForward(const Module& child, const Scope& scope, Activation input);
  static ActivationGradient ChildBackward(const Module& child, const Scope& scope, ActivationGradient grad_output,
                                          Tensor grad_input = {});
  /// For BackwardFused where there is no cheaper way: `gradient`, added to `grad_input` unless that is empty.
  static Tensor Accumulated(Tensor gradient, Tensor grad_input);
};

/// Creates all variables of `module` for inputs of `input` (Flax: model.init(key, x)). Throws std::invalid_argument,
/// before it takes their memory, when they would have more than `max_elements`.
Variables Init(const Module& module, Key key, const Shape& input,
               int64_t max_elements = std::numeric_limits<int64_t>::max());

/// The same variables with params of 0, without the time that drawing takes: for who reads them from a file.
Variables InitZeros(const Module& module, const Shape& input,
                    int64_t max_elements = std::numeric_limits<int64_t>::max());

/// Inference (Flax: model.apply(variables, x, train=False)): thread-safe for a const model and variables, given a
/// workspace of the caller's. With `packed_filters` (module/packed_filters.h) convolutions pack their filters in the
/// first call only.
Activation Predict(const Module& module, const Variables& variables, ConstTensorView input, const Workspace& workspace,
                   PackedFilters* packed_filters = nullptr);

/// Backward of a whole model: takes d loss / d output of the Forward that `context` had, returns d loss / d input.
/// context.gradients are then the sums of what all calls of its modules wrote; of params that none wrote they are 0.
Tensor Differentiate(const Module& module, const CallContext& context, Tensor grad_output);

}  // namespace hwynn

#endif  // HWYNN_MODULE_MODULE_H_
