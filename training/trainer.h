#ifndef HWYNN_TRAINING_TRAINER_H_
#define HWYNN_TRAINING_TRAINER_H_

// The training loop.

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>

#include "hwynn/core/export.h"
#include "hwynn/data/dataset.h"
#include "hwynn/data/loader.h"
#include "hwynn/training/recipe.h"
#include "hwynn/training/schedule.h"
#include "hwynn/training/train_state.h"

namespace HWYNN_EXPORT hwynn {

/// After each step.
struct StepReport {
  int64_t step = 0;  // steps made, this one included
  float learning_rate = 0;
  LossResult batch;       // of this batch
  MetricSums epoch_sums;  // of the epoch so far
};

/// After each epoch, and at the end of a run that max_steps ends within one.
struct EpochReport {
  int64_t step = 0;
  double epochs = 0;        // epochs made; whole but at such an end
  float learning_rate = 0;  // of the last step
  MetricSums train;
  std::optional<MetricSums> test = {};
  int64_t trained_images = 0;  // in `train_seconds`: fewer than the epoch's when the run was resumed within it
  double train_seconds = 0;
  double evaluation_seconds = 0;
};

/// What a host program wants to hear; each may be empty. on_step and on_epoch return false to stop the run.
struct TrainCallbacks {
  std::function<bool(const StepReport&)> on_step;
  std::function<bool(const EpochReport&)> on_epoch;
  /// The state is worth keeping: after each epoch (before its evaluation), at the end, and when on_step stops the run.
  std::function<void(const TrainState&)> on_save;
  /// Asked before each step (its number from 1): who observes it, if somebody does.
  std::function<CallObserver*(int64_t step)> observer = {};
};

/// Mean loss and accuracy over every image of `dataset`, the last, smaller batch included, as `evaluate` has them of a
/// batch.
MetricSums Evaluate(const std::function<LossResult(const Batch&)>& evaluate, const Dataset& dataset,
                    const Standardization& standardization, int64_t batch_size);
/// The same of a model. Doesn't change `variables`.
MetricSums Evaluate(Stepper& stepper, const Variables& variables, const Dataset& dataset,
                    const Standardization& standardization, int64_t batch_size);

/// Trains a model on a data set.
///
///     Trainer trainer(*model, *splits.train, splits.test.get(), standardization, {.epochs = 5});
///     trainer.Run({.on_epoch = [](const EpochReport& report) { … return true; }});
///
/// Determinism: the state after a step depends on (model, data, options, step) alone: not on the number of threads, the
/// machine (docs/numerics.md), nor on how often the run was stopped and resumed from a restored state.
/// Threads: one call at a time, in the caller's arena.
class Trainer {
 public:
  /// Borrows model and data sets; `test` may be null. The state is that before the first step.
  /// Throws std::invalid_argument for options out of range, or a model that doesn't fit the data.
  Trainer(const Module& model, const Dataset& train, const Dataset* test, const Standardization& standardization,
          const TrainOptions& options);

  int64_t steps_per_epoch() const { return loader_.batches_per_epoch(); }
  int64_t total_steps() const { return options_.epochs * steps_per_epoch(); }

  /// To restore a checkpoint into, before Run.
  TrainState& state() { return state_; }

  /// Goes on from the present state until total_steps() or `max_steps`, counted from the run's start, are made; the
  /// schedule doesn't depend on max_steps. Returns false when a callback stopped it.
  /// Throws std::runtime_error that names the step when the loss, or a variable about to be saved, is NaN or infinite;
  /// on_save is then not called, so that what it saved last stays. Exceptions of callbacks pass through.
  bool Run(const TrainCallbacks& callbacks, int64_t max_steps = std::numeric_limits<int64_t>::max());

  /// Evaluates the present state: what on_epoch would have got, had the run not been cut off between saving and
  /// evaluating.
  EpochReport Report();

  /// Evaluates the present state on other images than the trainer's own.
  MetricSums Evaluate(const Dataset& dataset, int64_t batch_size);

 private:
  void Save(const TrainCallbacks& callbacks) const;
  void Recalibrate();

  TrainOptions options_;
  const Module& model_;
  const Dataset& train_;
  const Dataset* test_;
  Stepper stepper_;
  Loader loader_;
  Schedule schedule_;
  TrainState state_;
};

}  // namespace hwynn

#endif  // HWYNN_TRAINING_TRAINER_H_
