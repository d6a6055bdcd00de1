#include "hwynn/training/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string_view>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/kernels/optimizer_update.h"
#include "hwynn/training/recalibrate.h"

namespace hwynn {
namespace {

// Keeps dropout's keys apart from those of the initial values.
constexpr uint32_t kDropoutStream = 0x64726f70;
constexpr uint32_t kRecalibrationStream = 0x7265636c;

class Timer {
 public:
  double Seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

const TrainOptions& CheckOptions(const TrainOptions& options, const Dataset& train, const Dataset* test) {
  Check(options.epochs >= 1, "Trainer: epochs (", options.epochs, ") must be at least 1");
  Check(options.batch_size >= 1, "Trainer: batch size (", options.batch_size, ") must be at least 1");
  Check(options.batch_size <= train.size(), "Trainer: the batch size (", options.batch_size,
        ") is larger than the training set (", train.size(), " images)");
  Check(!test || (test->image_shape() == train.image_shape() && test->num_classes() == train.num_classes()),
        "Trainer: training and test images differ in shape or classes");
  Check(options.ghost_batch_size >= 0, "Trainer: the ghost batch size (", options.ghost_batch_size,
        ") must not be negative");
  Check(!(options.freeze_batch_norm && options.recalibrate),
        "Trainer: running statistics can't be both frozen and recalibrated");
  return options;
}

StepOptions StepOptionsOf(const TrainOptions& options) {
  return {.label_smoothing = options.label_smoothing,
          .fusion = options.fusion,
          .freeze_batch_norm = options.freeze_batch_norm,
          .ghost_batch_size = options.ghost_batch_size};
}

LoaderOptions TrainLoaderOptions(const TrainOptions& options, const Standardization& standardization) {
  return {.batch_size = options.batch_size,
          .seed = options.seed,
          .augmentation = options.augmentation,
          .standardization = standardization};
}

}  // namespace

MetricSums Evaluate(const std::function<LossResult(const Batch&)>& evaluate, const Dataset& dataset,
                    const Standardization& standardization, int64_t batch_size) {
  Loader loader(dataset, {.batch_size = batch_size,
                          .shuffle = false,
                          .drop_last = false,
                          .training = false,
                          .standardization = standardization});
  loader.StartEpoch(0);
  MetricSums sums;
  while (const Batch* batch = loader.Next()) {
    sums.Add(evaluate(*batch), static_cast<int64_t>(batch->labels.size()));
  }
  return sums;
}

MetricSums Evaluate(Stepper& stepper, const Variables& variables, const Dataset& dataset,
                    const Standardization& standardization, int64_t batch_size) {
  const auto evaluate = [&](const Batch& batch) { return stepper.Evaluate(batch.images, batch.labels, variables); };
  return Evaluate(evaluate, dataset, standardization, batch_size);
}

Trainer::Trainer(const Module& model, const Dataset& train, const Dataset* test, const Standardization& standardization,
                 const TrainOptions& options)
    : options_(CheckOptions(options, train, test)),
      model_(model),
      train_(train),
      test_(test),
      stepper_(model, options.optimizer, StepOptionsOf(options)),
      loader_(train, TrainLoaderOptions(options, standardization)),
      schedule_(options.schedule, options.epochs, loader_.batches_per_epoch()),
      state_(CreateTrainState(model, options.optimizer, KeyFromSeed(options.seed), train.image_shape())) {}

bool Trainer::Run(const TrainCallbacks& callbacks, int64_t max_steps) {
  const Key dropout_key = FoldIn(KeyFromSeed(options_.seed), kDropoutStream);
  const int64_t last_step = std::min(total_steps(), max_steps);
  while (state_.step < last_step) {
    const Timer timer;
    const int64_t epoch = state_.step / steps_per_epoch();
    const int64_t first_batch = state_.step % steps_per_epoch();
    const int64_t first_step = state_.step;
    const int64_t end = std::min((epoch + 1) * steps_per_epoch(), last_step);
    if (first_batch == 0) state_.epoch_sums = {};
    loader_.StartEpoch(epoch, first_batch);
    while (state_.step < end) {
      const Batch& batch = *loader_.Next();
      const float learning_rate = schedule_(state_.step);
      CallObserver* observer = callbacks.observer ? callbacks.observer(state_.step + 1) : nullptr;
      const Key step_key = FoldIn(dropout_key, static_cast<uint32_t>(state_.step));
      const CrossEntropyOptions loss{.label_smoothing = options_.label_smoothing,
                                     .second_labels = batch.second_labels,
                                     .first_share = batch.first_share};
      const LossResult result =
          stepper_.Train(batch.images, batch.labels, loss, learning_rate, step_key, state_, observer);
      state_.epoch_sums.Add(result, options_.batch_size);
      if (options_.recalibrate && state_.step == total_steps()) Recalibrate();
      if (callbacks.on_step && !callbacks.on_step({state_.step, learning_rate, result, state_.epoch_sums})) {
        Save(callbacks);
        return false;
      }
    }
    const double train_seconds = timer.Seconds();
    Save(callbacks);
    EpochReport report = Report();
    report.trained_images = (end - first_step) * options_.batch_size;
    report.train_seconds = train_seconds;
    if (callbacks.on_epoch && !callbacks.on_epoch(report)) return false;
  }
  return true;
}

EpochReport Trainer::Report() {
  const Timer timer;
  EpochReport report{.step = state_.step,
                     .epochs = static_cast<double>(state_.step) / static_cast<double>(steps_per_epoch()),
                     .learning_rate = schedule_(std::max<int64_t>(state_.step - 1, 0)),
                     .train = state_.epoch_sums};
  if (test_) {
    report.test = Evaluate(*test_, options_.batch_size);
  }
  report.evaluation_seconds = timer.Seconds();
  return report;
}

// Of the images as they are, in the order of one more epoch.
void Trainer::Recalibrate() {
  Loader loader(train_, {.batch_size = options_.batch_size,
                         .seed = options_.seed,
                         .drop_last = false,
                         .training = false,
                         .standardization = loader_.options().standardization});
  hwynn::Recalibrate(model_, loader,
                     {.epoch = options_.epochs,
                      .ghost_batch_size = options_.ghost_batch_size,
                      .fusion = options_.fusion,
                      .dropout_key = FoldIn(KeyFromSeed(options_.seed), kRecalibrationStream)},
                     state_.variables);
}

MetricSums Trainer::Evaluate(const Dataset& dataset, int64_t batch_size) {
  return hwynn::Evaluate(stepper_, state_.variables, dataset, loader_.options().standardization, batch_size);
}

void Trainer::Save(const TrainCallbacks& callbacks) const {
  if (!callbacks.on_save) return;
  const auto check = [&](std::string_view name, const Collection& collection) {
    std::vector<ConstTensorView> arrays;
    for (const auto& [path, tensor] : collection) arrays.emplace_back(tensor);
    CheckData(std::isfinite(SumOfSquares(arrays)), "the ", name, " aren't finite after step ", state_.step,
              "; a lower learning rate or a longer warm-up may help");
  };
  for (const auto& [name, collection] : state_.variables) check(name, collection);
  check("optimizer's values", state_.opt_state);
  callbacks.on_save(state_);
}

}  // namespace hwynn
