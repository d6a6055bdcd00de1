#include "hwynn/training/train_state.h"

#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/module/functional.h"

namespace hwynn {
namespace {

void CheckBatch(const Tensor& images, std::span<const int32_t> labels) {
  Check(images.shape().rank() >= 1 && images.shape()[0] == static_cast<int64_t>(labels.size()) && !labels.empty(),
        "Stepper: images ", images.shape(), " and ", labels.size(), " labels are no batch");
}

}  // namespace

TrainState CreateTrainState(const Module& model, const OptimizerOptions& optimizer, Key key,
                            const Shape& example_shape) {
  std::vector<int64_t> extents(example_shape.extents().begin(), example_shape.extents().end());
  extents.insert(extents.begin(), 1);
  TrainState state;
  state.variables = Init(model, key, Shape(extents));
  state.opt_state = Optimizer(optimizer).Init(GetCollection(state.variables, kParams));
  return state;
}

FlaxLayout OptaxLayout(const OptimizerOptions& optimizer) {
  switch (optimizer.kind) {
    case OptimizerKind::kSgd:
      return {.optimizer = FlaxOptimizer::kSgd};
    case OptimizerKind::kAdam:
      return {.optimizer = FlaxOptimizer::kAdam};
    case OptimizerKind::kAdamW:
      return {.optimizer = FlaxOptimizer::kAdamW};
  }
  Check(false, "OptaxLayout: unknown optimizer");
  return {};
}

void ApplyGradients(const Optimizer& optimizer, const Gradients& gradients, float learning_rate, TrainState& state) {
  optimizer.Update(learning_rate, state.step + 1, gradients, GetCollection(state.variables, kParams), state.opt_state);
  ++state.step;
}

Stepper::Stepper(const Module& model, const OptimizerOptions& optimizer, const StepOptions& options)
    : model_(model), optimizer_(optimizer), options_(options) {
  Check(options.label_smoothing >= 0 && options.label_smoothing < 1, "Stepper: label smoothing (",
        options.label_smoothing, ") must be at least 0 and below 1");
}

LossResult Stepper::Train(const Tensor& images, std::span<const int32_t> labels, float learning_rate, Key dropout_key,
                          TrainState& state, CallObserver* observer) {
  return Train(images, labels, {.label_smoothing = options_.label_smoothing}, learning_rate, dropout_key, state,
               observer);
}

LossResult Stepper::Train(const Tensor& images, std::span<const int32_t> labels,
                          const CrossEntropyOptions& loss_options, float learning_rate, Key dropout_key,
                          TrainState& state, CallObserver* observer) {
  CheckBatch(images, labels);
  const Collection& params = GetCollection(state.variables, kParams);
  if (!gradients_.Fit(params)) gradients_ = Gradients(params);
  LinenRules rules(dropout_key);
  const CallContext context{
      .workspace = &workspace_,
      .variables = &state.variables,
      .updates = &updates_.Begin(state.variables),
      .gradients = &gradients_,
      .tape = &tape_,
      .mode = Mode::kTrain,
      .rules = &rules,
      .fusion = options_.fusion,
      .statistics = options_.freeze_batch_norm ? BatchStatistics::kFrozen : BatchStatistics::kUpdate,
      .ghost_batch_size = options_.ghost_batch_size,
      .observer = observer};
  LossResult result;
  const auto loss = [&](ConstTensorView logits) {
    Tensor gradient = workspace_.NewTensor(logits.shape());
    const WorkTimer timer(observer, {.path = "loss", .what = "forward", .bytes = 2 * TensorBytes(logits.shape())});
    result = SoftmaxCrossEntropy(logits, labels, loss_options, gradient);
    CheckData(std::isfinite(result.loss), "the loss is ", result.loss, " in step ", state.step + 1,
              "; a lower learning rate or a longer warm-up may help");
    return Loss{.value = result.loss, .gradient = std::move(gradient), .correct = result.correct};
  };
  ForwardBackward(model_, context, BorrowActivation(images), std::cref(loss));
  {
    // Gradient, param and momentum are read, the latter two written.
    const WorkTimer timer(
        observer, {.path = "optimizer", .what = "update", .bytes = 5 * TensorBytes({gradients_.flat().size()})});
    ApplyGradients(optimizer_, gradients_, learning_rate, state);
  }
  updates_.Commit(state.variables);
  return result;
}

LossResult Stepper::Evaluate(const Tensor& images, std::span<const int32_t> labels, const Variables& variables) {
  CheckBatch(images, labels);
  const CallContext context{.workspace = &workspace_, .variables = &variables};
  const Activation logits = model_.Forward(Scope(context), BorrowActivation(images));
  return SoftmaxCrossEntropy(*logits, labels, {}, {});
}

}  // namespace hwynn
