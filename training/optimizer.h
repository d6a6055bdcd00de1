#ifndef HWYNN_TRAINING_OPTIMIZER_H_
#define HWYNN_TRAINING_OPTIMIZER_H_

// Optimizers over a whole collection: optax's sgd, adam and adamw, with clipping by the global norm.

#include <cstdint>
#include <span>
#include <string_view>

#include "hwynn/core/export.h"
#include "hwynn/module/gradients.h"
#include "hwynn/module/variables.h"

namespace HWYNN_EXPORT hwynn {

enum class OptimizerKind { kSgd, kAdam, kAdamW };

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kSgd;
  float momentum = 0.9f;  // SGD; 0 keeps no state
  bool nesterov = true;   // SGD
  double b1 = 0.9;        // Adam, AdamW
  double b2 = 0.999;
  float epsilon = 1e-8f;
  float weight_decay = 0.0f;  // L2 in the gradient (SGD, Adam), decoupled (AdamW)
  bool decay_all = false;     // also arrays with one dimension: biases, BatchNorm's scale and bias
  float clip_norm = 0.0f;     // the gradients' global norm is scaled down to this; 0: not clipped
};

/// An update rule. Immutable: its state is a Collection of the caller's, with the paths `trace/<path>` (SGD with
/// momentum) or `mu/<path>` and `nu/<path>` (Adam, AdamW).
class Optimizer {
 public:
  /// Throws std::invalid_argument for options out of range.
  explicit Optimizer(const OptimizerOptions& options);

  /// The state before the first step: zeros.
  Collection Init(const Collection& params) const;

  /// Changes `params` and `state` by one step. `count` is 1 in the first step (Adam's bias correction). Gradients of
  /// paths that `params` lacks are of no account, not in the global norm either.
  /// Throws, before anything is written, std::invalid_argument when a path is missing in gradients or state or the
  /// shapes differ; std::runtime_error that names step and path when a gradient is NaN or infinite.
  void Update(float learning_rate, int64_t count, const Gradients& gradients, Collection& params,
              Collection& state) const;

  /// The same for params that are no collection: some of a model's.
  struct Param {
    std::string_view path;
    TensorView values;
  };
  void Update(float learning_rate, int64_t count, const Gradients& gradients, std::span<const Param> params,
              Collection& state) const;

 private:
  OptimizerOptions options_;
};

}  // namespace hwynn

#endif  // HWYNN_TRAINING_OPTIMIZER_H_
