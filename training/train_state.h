#ifndef HWYNN_TRAINING_TRAIN_STATE_H_
#define HWYNN_TRAINING_TRAIN_STATE_H_

// All that a training run has learnt so far, and the one step that changes it.

#include <cstdint>
#include <span>

#include "hwynn/core/export.h"
#include "hwynn/formats/flax_checkpoint.h"
#include "hwynn/kernels/loss.h"
#include "hwynn/module/module.h"
#include "hwynn/module/pending_updates.h"
#include "hwynn/training/metrics.h"
#include "hwynn/training/optimizer.h"

namespace HWYNN_EXPORT hwynn {

/// Flax's TrainState with batch_stats; opt_state is Optimizer::Init's. FlaxCheckpoint reads and writes what Flax knows
/// of it, not epoch_sums.
struct TrainState : FlaxState {
  MetricSums epoch_sums;  // training metrics of the epoch in progress, or of the one just finished
};

/// The state before the first step (Flax: TrainState.create of model.init). `example_shape` is that of one input, as
/// [H,W,C] of an image or [D].
TrainState CreateTrainState(const Module& model, const OptimizerOptions& optimizer, Key key,
                            const Shape& example_shape);

/// How optax lays out the state of this optimizer, for FlaxCheckpoint::Create.
FlaxLayout OptaxLayout(const OptimizerOptions& optimizer);

/// One step of the optimizer (Flax: state.apply_gradients): changes params, opt_state and step.
/// Throws as Optimizer::Update does, before anything changes.
void ApplyGradients(const Optimizer& optimizer, const Gradients& gradients, float learning_rate, TrainState& state);

struct StepOptions {
  float label_smoothing = 0.0f;
  bool fusion = true;              // CallContext::fusion
  bool freeze_batch_norm = false;  // CallContext::statistics: kFrozen
  int64_t ghost_batch_size = 0;    // CallContext::ghost_batch_size
};

/// Takes training and evaluation steps on batches of images, with a softmax cross-entropy loss. It holds nothing but
/// memory that steps share; a host program that has its own loop over its own batches needs nothing else.
/// Threads: one call at a time.
class Stepper {
 public:
  /// `model` is borrowed. Evaluate needs nothing else.
  explicit Stepper(const Module& model, const OptimizerOptions& optimizer = {}, const StepOptions& options = {});

  /// Forward, loss, Backward, optimizer: changes params, batch_stats, opt_state and step. The result is the loss
  /// (with label smoothing) and the hits of this batch before the update. Dropout alone uses `dropout_key`.
  /// Throws std::runtime_error that names the step when the loss or a gradient is NaN or infinite. Whatever is thrown,
  /// `state` is as it was before.
  /// `observer` may be null; the loss is its path "loss", the update of the params "optimizer".
  LossResult Train(const Tensor& images, std::span<const int32_t> labels, float learning_rate, Key dropout_key,
                   TrainState& state, CallObserver* observer = nullptr);
  /// The same with a loss of other options, label smoothing among them: images of two labels each, as mixup makes them.
  LossResult Train(const Tensor& images, std::span<const int32_t> labels, const CrossEntropyOptions& loss,
                   float learning_rate, Key dropout_key, TrainState& state, CallObserver* observer = nullptr);

  /// Loss (without label smoothing) and hits, from the running statistics. Changes nothing.
  LossResult Evaluate(const Tensor& images, std::span<const int32_t> labels, const Variables& variables);

 private:
  const Module& model_;
  Optimizer optimizer_;
  StepOptions options_;
  Workspace workspace_;
  Tape tape_;
  Gradients gradients_;
  PendingUpdates updates_;
};

}  // namespace hwynn

#endif  // HWYNN_TRAINING_TRAIN_STATE_H_
