#include "hwynn/module/functional.h"

#include <utility>

#include "hwynn/core/check.h"

namespace hwynn {
namespace {

// Copies of the collections that a call may write, or new ones where `variables` has none.
Variables MutableCopies(const Module& module, const Variables& variables, const Shape& input,
                        const std::vector<std::string>& names) {
  Variables copies;
  for (const std::string& name : names) {
    const auto found = variables.find(name);
    if (found != variables.end()) {
      copies[name] = Clone(found->second);
    } else {
      copies[name] = std::move(Init(module, Key{}, input)[name]);
    }
  }
  return copies;
}

template <class Kernel>
Loss MakeLoss(ConstTensorView output, const Kernel& kernel) {
  Loss loss{.gradient = Tensor(output.shape())};
  const LossResult result = kernel(loss.gradient.view());
  loss.value = result.loss;
  loss.correct = result.correct;
  return loss;
}

}  // namespace

Loss MeanSquaredError(ConstTensorView predictions, ConstTensorView targets) {
  return MakeLoss(predictions, [&](TensorView gradient) { return MeanSquaredError(predictions, targets, gradient); });
}

Loss SoftmaxCrossEntropy(ConstTensorView logits, std::span<const int32_t> labels, const CrossEntropyOptions& options) {
  return MakeLoss(logits, [&](TensorView gradient) { return SoftmaxCrossEntropy(logits, labels, options, gradient); });
}

ApplyResult Apply(const Module& module, const Variables& variables, ConstTensorView input, const ApplyOptions& options,
                  const Workspace& workspace) {
  Check(input.size() > 0, "Apply: the input ", input.shape(), " is empty");
  ApplyResult result{.output = nullptr,
                     .updates = MutableCopies(module, variables, input.shape(), options.mutable_collections)};
  LinenRules rules(options.dropout_key);
  const CallContext context{.workspace = &workspace,
                            .variables = &variables,
                            .updates = &result.updates,
                            .mode = options.mode,
                            .rules = &rules,
                            .fusion = options.fusion,
                            .statistics = options.statistics,
                            .ghost_batch_size = options.ghost_batch_size};
  result.output = module.Forward(Scope(context), BorrowActivation(input));
  return result;
}

ValueAndGradResult ValueAndGrad(const Module& module, const Variables& variables, ConstTensorView input,
                                const LossFunction& loss, const ApplyOptions& options, const Workspace& workspace) {
  Check(input.size() > 0, "ValueAndGrad: the input ", input.shape(), " is empty");
  ValueAndGradResult result{.updates = MutableCopies(module, variables, input.shape(), options.mutable_collections),
                            .gradients = Gradients(GetCollection(variables, kParams))};
  Tape tape;
  LinenRules rules(options.dropout_key);
  const CallContext context{.workspace = &workspace,
                            .variables = &variables,
                            .updates = &result.updates,
                            .gradients = &result.gradients,
                            .tape = &tape,
                            .mode = options.mode,
                            .rules = &rules,
                            .fusion = options.fusion,
                            .statistics = options.statistics,
                            .ghost_batch_size = options.ghost_batch_size};
  const Loss value = ForwardBackward(module, context, BorrowActivation(input), loss, &result.output);
  result.value = value.value;
  result.correct = value.correct;
  return result;
}

Loss ForwardBackward(const Module& module, const CallContext& context, Activation input, const LossFunction& loss,
                     Activation* output) {
  context.tape->Clear();  // of a call that an exception ended
  Activation result = module.Forward(Scope(context), std::move(input));
  Loss value = loss(*result);
  Check(value.gradient.shape() == result.shape(), "the loss's gradient ", value.gradient.shape(),
        " must have the shape of the output, ", result.shape());
  if (context.observer != nullptr) {
    for (const auto& [path, bytes] : context.tape->Kept()) context.observer->OnKept(path, bytes);
  }
  if (output != nullptr) *output = result;
  result.reset();
  Differentiate(module, context, std::move(value.gradient));
  value.gradient = Tensor();
  return value;
}

void Replace(Variables& variables, Variables updates) {
  for (auto& update : updates) variables[update.first] = std::move(update.second);
}

}  // namespace hwynn
