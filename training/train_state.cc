#include "hwynn/training/train_state.h"

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"

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

void ApplyGradients(const Optimizer& optimizer, const Collection& gradients, float learning_rate, TrainState& state) {
  optimizer.Update(learning_rate, state.step + 1, gradients, GetCollection(state.variables, kParams), state.opt_state);
  ++state.step;
}

Stepper::Stepper(const Module& model, const OptimizerOptions& optimizer, float label_smoothing)
    : model_(model), optimizer_(optimizer), label_smoothing_(label_smoothing) {
  Check(label_smoothing >= 0 && label_smoothing < 1, "Stepper: label smoothing (", label_smoothing,
        ") must be at least 0 and below 1");
}

LossResult Stepper::Train(const Tensor& images, std::span<const int32_t> labels, float learning_rate, Key dropout_key,
                          TrainState& state) {
  CheckBatch(images, labels);
  if (gradients_.empty()) gradients_ = ZerosLike(GetCollection(state.variables, kParams));
  tape_.Clear();  // of a step that an exception ended
  LinenRules rules(dropout_key);
  const CallContext context{.workspace = &workspace_,
                            .variables = &state.variables,
                            .updates = &state.variables,
                            .gradients = &gradients_,
                            .tape = &tape_,
                            .mode = Mode::kTrain,
                            .rules = &rules};
  const Scope scope(context);
  const Activation logits = model_.Forward(scope, BorrowActivation(images));
  Tensor grad_logits = workspace_.NewTensor(logits.shape());
  const LossResult result = SoftmaxCrossEntropy(*logits, labels, label_smoothing_, grad_logits);
  CheckData(std::isfinite(result.loss), "the loss is ", result.loss, " in step ", state.step + 1,
            "; a lower learning rate or a longer warm-up may help");
  model_.Backward(scope, std::move(grad_logits));
  ApplyGradients(optimizer_, gradients_, learning_rate, state);
  return result;
}

LossResult Stepper::Evaluate(const Tensor& images, std::span<const int32_t> labels, const Variables& variables) {
  CheckBatch(images, labels);
  const CallContext context{.workspace = &workspace_, .variables = &variables};
  const Activation logits = model_.Forward(Scope(context), BorrowActivation(images));
  return SoftmaxCrossEntropy(*logits, labels, 0.0f, {});
}

}  // namespace hwynn
