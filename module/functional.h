#ifndef HWYNN_MODULE_FUNCTIONAL_H_
#define HWYNN_MODULE_FUNCTIONAL_H_

// Modules as flax.linen has them: pure functions of variables. Nothing that goes in is changed; the collections that
// a call may write are listed by name, and what it wrote comes back. Init is in module/module.h.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/kernels/loss.h"
#include "hwynn/module/module.h"

namespace HWYNN_EXPORT hwynn {

/// The arguments of module.apply besides variables and input.
struct ApplyOptions {
  Mode mode = Mode::kEval;                            // Flax: the module's own argument `train`
  std::vector<std::string> mutable_collections = {};  // mutable=[…]
  std::optional<Key> dropout_key = std::nullopt;      // rngs={'dropout': …}
  bool fusion = true;                                 // CallContext::fusion
  BatchStatistics statistics = BatchStatistics::kUpdate;
  int64_t ghost_batch_size = 0;  // CallContext::ghost_batch_size
};

struct ApplyResult {
  Activation output;
  Variables updates;  // the mutable collections, whole, as the call left them
};

/// output, updates = module.apply(variables, input, train, mutable=[…]). A mutable collection that `variables` lacks
/// starts as Init makes it.
/// Throws std::invalid_argument when the call would write a collection that isn't mutable: `Cannot update variable
/// "mean" in "/BatchNorm_0" because collection "batch_stats" is immutable.`
ApplyResult Apply(const Module& module, const Variables& variables, ConstTensorView input,
                  const ApplyOptions& options = {}, const Workspace& workspace = Workspace());

/// A loss of a module's output and its derivative.
struct Loss {
  double value = 0;
  Tensor gradient{};    // d value / d output, of the output's shape
  int64_t correct = 0;  // rows whose arg max is the label, for losses with labels
};

/// Mean squared error; formulas in kernels/loss.h.
Loss MeanSquaredError(ConstTensorView predictions, ConstTensorView targets);
/// Softmax cross-entropy with integer labels; formulas in kernels/loss.h.
Loss SoftmaxCrossEntropy(ConstTensorView logits, std::span<const int32_t> labels,
                         const CrossEntropyOptions& options = {});

using LossFunction = std::function<Loss(ConstTensorView output)>;

struct ValueAndGradResult {
  double value = 0;  // the loss
  int64_t correct = 0;
  Activation output;
  Variables updates;    // as in ApplyResult
  Gradients gradients;  // d value / d params, at the params' paths
};

/// (value, (output, updates)), gradients = jax.value_and_grad(loss of module.apply, has_aux=True)(params).
ValueAndGradResult ValueAndGrad(const Module& module, const Variables& variables, ConstTensorView input,
                                const LossFunction& loss, const ApplyOptions& options,
                                const Workspace& workspace = Workspace());

/// What every training step does, in a context of the caller's with tape and gradients: Forward, the loss, Backward.
/// The result holds the value, not the gradient, which Backward used up. What `loss` throws passes through.
Loss ForwardBackward(const Module& module, const CallContext& context, Activation input, const LossFunction& loss,
                     Activation* output = nullptr);

/// Puts `updates` in the place of the collections of the same names: variables = {**variables, **updates}.
void Replace(Variables& variables, Variables updates);

}  // namespace hwynn

#endif  // HWYNN_MODULE_FUNCTIONAL_H_
