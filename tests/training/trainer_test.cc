#include "hwynn/training/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/dropout.h"
#include "hwynn/layers/flatten.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/tests/support/linear_model.h"

namespace hwynn {
namespace {

using testing::LinearModel;

/// Images of 3×2 pixels whose brightest row says the class.
class Rows : public Dataset {
 public:
  explicit Rows(int64_t size) : size_(size) {}
  int64_t size() const override { return size_; }
  Shape image_shape() const override { return {3, 2, 1}; }
  const std::vector<std::string>& class_names() const override { return names_; }
  int32_t Label(int64_t index) const override { return static_cast<int32_t>(index % 3); }
  void Image(int64_t index, std::span<float> hwc) const override {
    for (int64_t i = 0; i < 6; ++i) {
      const float noise = static_cast<float>((index * 7 + i * 13) % 11) / 22.0f;
      hwc[static_cast<size_t>(i)] = noise + (i / 2 == index % 3 ? 0.6f : 0.0f);
    }
  }

 private:
  int64_t size_;
  std::vector<std::string> names_{"top", "middle", "bottom"};
};

class TrainerTest : public ::testing::Test {
 protected:
  Trainer MakeTrainer() { return Trainer(model_, train_, &test_, {{0.4f}, {0.3f}}, options_); }

  LinearModel model_{3};
  Rows train_{67};  // 8 batches and 3 images over
  Rows test_{21};   // 2 batches and 5 images over
  TrainOptions options_{.epochs = 4, .batch_size = 8, .seed = 3, .schedule = {.learning_rate = 0.3}};
};

bool Same(const TrainState& a, const TrainState& b) {
  const auto same = [](const Collection& x, const Collection& y) {
    if (x.size() != y.size()) return false;
    for (const auto& [path, tensor] : x) {
      if (std::memcmp(tensor.data(), y.at(path).data(), tensor.span().size_bytes()) != 0) return false;
    }
    return true;
  };
  return a.step == b.step && a.epoch_sums == b.epoch_sums && same(a.opt_state, b.opt_state) &&
         std::ranges::equal(a.variables, b.variables, [&](const auto& x, const auto& y) {
           return x.first == y.first && same(x.second, y.second);
         });
}

TrainState Copy(const TrainState& state) {
  return {{Clone(state.variables), Clone(state.opt_state), state.step}, state.epoch_sums};
}

TEST_F(TrainerTest, LearnsAndReports) {
  Trainer trainer = MakeTrainer();
  EXPECT_EQ(trainer.steps_per_epoch(), 8);
  EXPECT_EQ(trainer.total_steps(), 32);
  std::vector<StepReport> steps;
  std::vector<EpochReport> epochs;
  int saves = 0;
  EXPECT_TRUE(trainer.Run({.on_step = [&](const StepReport& report) { return steps.push_back(report), true; },
                           .on_epoch = [&](const EpochReport& report) { return epochs.push_back(report), true; },
                           .on_save = [&](const TrainState& state) { saves += state.step % 8 == 0; }}));
  ASSERT_EQ(steps.size(), 32u);
  ASSERT_EQ(epochs.size(), 4u);
  EXPECT_EQ(saves, 4);
  EXPECT_EQ(steps[11].step, 12);
  EXPECT_EQ(steps[11].epoch_sums.examples, 4 * 8);
  EXPECT_EQ(epochs[1].step, 16);
  EXPECT_EQ(epochs[1].epochs, 2.0);
  EXPECT_EQ(epochs[1].train.examples, 64);
  EXPECT_EQ(epochs[1].trained_images, 64);
  ASSERT_TRUE(epochs[3].test.has_value());
  EXPECT_EQ(epochs[3].test->examples, 21);  // the last, smaller batch too
  EXPECT_LT(epochs[3].test->MeanLoss(), epochs[0].test->MeanLoss());
  EXPECT_GT(epochs[3].test->Accuracy(), 0.9);
  EXPECT_EQ(trainer.state().variables.at("batch_stats").at("body/steps")[0], 32.0f);
}

TEST_F(TrainerTest, StoppedAndResumedAnywhereIsTheSameRun) {
  Trainer whole = MakeTrainer();
  whole.Run({});
  for (const int64_t stop : {1, 5, 8, 13, 31, 32}) {
    Trainer first = MakeTrainer();
    TrainState saved;
    EXPECT_FALSE(first.Run({.on_step = [&](const StepReport& report) { return report.step < stop; },
                            .on_save = [&](const TrainState& state) { saved = Copy(state); }}));
    EXPECT_EQ(saved.step, stop);
    Trainer second = MakeTrainer();
    second.state() = std::move(saved);
    EXPECT_TRUE(second.Run({}));
    EXPECT_TRUE(Same(second.state(), whole.state())) << "stopped after step " << stop;
  }
}

TEST_F(TrainerTest, MaxStepsCountsTheWholeRunAndKeepsTheSchedule) {
  Trainer whole = MakeTrainer();
  whole.Run({});
  Trainer cut = MakeTrainer();
  std::vector<EpochReport> epochs;
  const TrainCallbacks callbacks{.on_epoch = [&](const EpochReport& report) { return epochs.push_back(report), true; }};
  EXPECT_TRUE(cut.Run(callbacks, 12));
  ASSERT_EQ(epochs.size(), 2u);
  EXPECT_EQ(epochs[1].epochs, 1.5);
  EXPECT_TRUE(cut.Run(callbacks, 12));
  EXPECT_EQ(cut.state().step, 12);
  EXPECT_TRUE(cut.Run(callbacks));
  EXPECT_TRUE(Same(cut.state(), whole.state()));
}

TEST_F(TrainerTest, OnEpochStopsToo) {
  Trainer trainer = MakeTrainer();
  EXPECT_FALSE(trainer.Run({.on_epoch = [](const EpochReport& report) { return report.step < 16; }}));
  EXPECT_EQ(trainer.state().step, 16);
}

TEST_F(TrainerTest, ThreadsDoNotChangeABit) {
  options_.augmentation = {.pad_crop = 1, .horizontal_flip = true, .random_erasing = 0.5};
  options_.optimizer.clip_norm = 0.5f;
  Trainer one = MakeTrainer();
  RunWithThreads(1, [&] { one.Run({}); });
  for (const int threads : {2, 3}) {
    Trainer other = MakeTrainer();
    RunWithThreads(threads, [&] { other.Run({}); });
    EXPECT_TRUE(Same(one.state(), other.state())) << threads << " threads";
  }
  options_.seed = 4;
  Trainer other_seed = MakeTrainer();
  other_seed.Run({});
  EXPECT_FALSE(Same(one.state(), other_seed.state()));
}

TEST_F(TrainerTest, EvaluationChangesNothing) {
  Trainer trainer = MakeTrainer();
  trainer.Run({}, 5);
  const TrainState before = Copy(trainer.state());
  const EpochReport a = trainer.Report(), b = trainer.Report();
  EXPECT_EQ(*a.test, *b.test);
  EXPECT_TRUE(Same(before, trainer.state()));
  Stepper stepper(model_);
  const Standardization standardization{{0.4f}, {0.3f}};
  EXPECT_EQ(Evaluate(stepper, before.variables, test_, standardization, 8), *a.test);
}

TEST_F(TrainerTest, ANanLossNamesTheStepAndSavesNothing) {
  Trainer trainer = MakeTrainer();
  int saves = 0;
  const TrainCallbacks callbacks{.on_step =
                                     [&](const StepReport& report) {
                                       if (report.step == 10)
                                         trainer.state().variables.at("params").at("head/kernel")[0] = NAN;
                                       return true;
                                     },
                                 .on_save = [&](const TrainState&) { ++saves; }};
  try {
    trainer.Run(callbacks);
    ADD_FAILURE() << "no exception";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("step 11"), std::string::npos) << error.what();
  }
  EXPECT_EQ(saves, 1);
  EXPECT_EQ(trainer.state().step, 10);
}

TEST_F(TrainerTest, VariablesThatAreNotFiniteAreNotSaved) {
  Trainer trainer = MakeTrainer();
  const TrainCallbacks callbacks{.on_step =
                                     [&](const StepReport& report) {
                                       if (report.step == 8)
                                         trainer.state().variables.at("batch_stats").at("body/steps")[0] = INFINITY;
                                       return true;
                                     },
                                 .on_save = [](const TrainState&) { ADD_FAILURE() << "saved"; }};
  EXPECT_THROW(trainer.Run(callbacks), std::runtime_error);
}

TEST_F(TrainerTest, IsTheLoopOverTheLoaderTheScheduleAndTheStepper) {
  const Standardization standardization{{0.4f}, {0.3f}};
  options_.label_smoothing = 0.5f;
  options_.optimizer = {.momentum = 0.8f, .weight_decay = 0.1f, .clip_norm = 0.5f};
  options_.schedule = {.learning_rate = 0.3, .warmup_epochs = 0.5};
  options_.augmentation = {.pad_crop = 1, .horizontal_flip = true, .random_erasing = 0.5};
  Trainer trainer = MakeTrainer();
  std::vector<StepReport> steps;
  trainer.Run({.on_step = [&](const StepReport& report) { return steps.push_back(report), true; }}, 16);

  Loader loader(
      train_, {.batch_size = 8, .seed = 3, .augmentation = options_.augmentation, .standardization = standardization});
  const Schedule schedule(options_.schedule, 4, 8);
  Stepper stepper(model_, options_.optimizer, {.label_smoothing = 0.5f});
  TrainState state = CreateTrainState(model_, options_.optimizer, KeyFromSeed(3), {3, 2, 1});
  for (const int64_t epoch : {0, 1}) {
    state.epoch_sums = {};
    loader.StartEpoch(epoch);
    while (const Batch* batch = loader.Next()) {
      const StepReport& report = steps.at(static_cast<size_t>(state.step));
      EXPECT_EQ(report.learning_rate, schedule(state.step));
      const LossResult result = stepper.Train(batch->images, batch->labels, schedule(state.step), Key(), state);
      state.epoch_sums.Add(result, 8);
      EXPECT_EQ(report.batch.loss, result.loss);
    }
  }
  EXPECT_TRUE(Same(trainer.state(), state));
  // The test's loss is that of the labels themselves.
  Stepper plain(model_);
  EXPECT_EQ(*trainer.Report().test, Evaluate(plain, state.variables, test_, standardization, 8));
}

/// The same run without a Trainer.
TrainState ByHand(const Module& model, const Dataset& train, const TrainOptions& options, int64_t steps) {
  Loader loader(train, {.batch_size = options.batch_size,
                        .seed = options.seed,
                        .augmentation = options.augmentation,
                        .standardization = {{0.4f}, {0.3f}}});
  const Schedule schedule(options.schedule, options.epochs, loader.batches_per_epoch());
  Stepper stepper(model, options.optimizer, {.label_smoothing = options.label_smoothing});
  TrainState state = CreateTrainState(model, options.optimizer, KeyFromSeed(options.seed), train.image_shape());
  while (state.step < steps) {
    const int64_t batch = state.step % loader.batches_per_epoch();
    if (batch == 0) state.epoch_sums = {}, loader.StartEpoch(state.step / loader.batches_per_epoch());
    const Batch* images = loader.Next();
    state.epoch_sums.Add(stepper.Train(images->images, images->labels, schedule(state.step), Key(), state),
                         options.batch_size);
  }
  return state;
}

TEST_F(TrainerTest, EveryOptionIsPassedOn) {
  options_.optimizer.weight_decay = 0.1f;
  options_.augmentation.random_erasing = 0.5;
  using Change = std::function<void(TrainOptions&)>;
  const std::vector<std::pair<Change, std::vector<Change>>> families = {
      {[](TrainOptions&) {},
       {[](TrainOptions& o) { o.epochs = 5; }, [](TrainOptions& o) { o.batch_size = 9; },
        [](TrainOptions& o) { o.seed = 4; }, [](TrainOptions& o) { o.label_smoothing = 0.2f; },
        [](TrainOptions& o) { o.optimizer.momentum = 0.5f; }, [](TrainOptions& o) { o.optimizer.nesterov = false; },
        [](TrainOptions& o) { o.optimizer.weight_decay = 0.2f; }, [](TrainOptions& o) { o.optimizer.decay_all = true; },
        [](TrainOptions& o) { o.optimizer.clip_norm = 0.1f; }, [](TrainOptions& o) { o.schedule.learning_rate = 0.2; },
        [](TrainOptions& o) { o.schedule.warmup_epochs = 0.5; },
        [](TrainOptions& o) { o.schedule.kind = ScheduleKind::kConstant; },
        [](TrainOptions& o) { o.augmentation.pad_crop = 1; },
        [](TrainOptions& o) { o.augmentation.horizontal_flip = true; },
        [](TrainOptions& o) { o.augmentation.random_erasing = 1.0; },
        [](TrainOptions& o) { o.augmentation.erasing_fill = ErasingFill::kMean; }}},
      {[](TrainOptions& o) { o.schedule = {.kind = ScheduleKind::kStep, .learning_rate = 0.1, .decay_epochs = {1}}; },
       {[](TrainOptions& o) { o.schedule.decay_epochs = {0}; },
        [](TrainOptions& o) { o.schedule.decay_factor = 0.5; }}},
      {[](TrainOptions& o) { o.optimizer.kind = OptimizerKind::kAdam; },
       {[](TrainOptions& o) { o.optimizer.kind = OptimizerKind::kAdamW; },
        [](TrainOptions& o) { o.optimizer.b1 = 0.5; }, [](TrainOptions& o) { o.optimizer.b2 = 0.5; },
        [](TrainOptions& o) { o.optimizer.epsilon = 0.1f; }}},
  };
  constexpr int64_t kSteps = 12;
  const auto run = [&](const TrainOptions& options) {
    Trainer trainer(model_, train_, &test_, {{0.4f}, {0.3f}}, options);
    trainer.Run({}, kSteps);
    EXPECT_TRUE(Same(trainer.state(), ByHand(model_, train_, options, kSteps)));
    return Copy(trainer.state());
  };
  for (const auto& [base, changes] : families) {
    TrainOptions options = options_;
    base(options);
    const TrainState before = run(options);
    for (size_t i = 0; i < changes.size(); ++i) {
      SCOPED_TRACE(i);
      TrainOptions changed = options;
      changes[i](changed);
      EXPECT_FALSE(Same(run(changed), before)) << "the option changes nothing";
    }
  }
}

TEST_F(TrainerTest, DropoutDrawsTheSameWhereverARunIsResumed) {
  Sequential model;
  model.Add(Flatten()).Add(Dropout({.rate = 0.5f})).Add(Dense({.features = 3}));
  const auto make = [&] { return Trainer(model, train_, nullptr, {{0.4f}, {0.3f}}, options_); };
  Trainer whole = make(), continued = make(), restored = make();
  whole.Run({});
  continued.Run({}, 3);
  restored.state() = Copy(continued.state());
  continued.Run({});
  restored.Run({});
  EXPECT_TRUE(Same(continued.state(), whole.state()));
  EXPECT_TRUE(Same(restored.state(), whole.state()));
}

TEST_F(TrainerTest, RefusesOptionsOutOfRange) {
  options_.batch_size = 68;
  EXPECT_THROW(MakeTrainer(), std::invalid_argument);
  options_.batch_size = 0;
  EXPECT_THROW(MakeTrainer(), std::invalid_argument);
  options_.batch_size = 8;
  options_.epochs = 0;
  EXPECT_THROW(MakeTrainer(), std::invalid_argument);
  options_.epochs = 1;
  options_.label_smoothing = 1.0f;
  EXPECT_THROW(MakeTrainer(), std::invalid_argument);
}

}  // namespace
}  // namespace hwynn
