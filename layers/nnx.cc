#include "hwynn/layers/nnx.h"

#include "hwynn/core/check.h"

namespace hwynn::nnx {

Model::Model(std::shared_ptr<const Module> module, const Shape& input, Rngs& rngs) : module_(std::move(module)) {
  variables_.emplace(kParams, Collection());
  module_->Init(InitScope(variables_, rngs, dropout_streams_), input);
}

CallContext Model::Context() {
  return {.workspace = &workspace_,
          .variables = &variables_,
          .updates = &variables_,
          .mode = mode_,
          .dropout_streams = &dropout_streams_,
          .call_wins = true};
}

// A training call has used the next key of each stream.
void Model::AdvanceDropout() {
  if (mode_ != Mode::kTrain) return;
  for (auto& [path, stream] : dropout_streams_) stream.Draw();
}

Activation Model::operator()(ConstTensorView input) {
  Check(input.size() > 0, "nnx::Model: the input ", input.shape(), " is empty");
  const CallContext context = Context();
  Activation output = module_->Forward(Scope(context), BorrowActivation(input));
  AdvanceDropout();
  return output;
}

TensorView Model::Get(std::string_view collection, std::string_view path) {
  Collection& arrays = GetCollection(variables_, collection);
  const auto found = arrays.find(path);
  Check(found != arrays.end(), "No Variable named \"", path, "\" for collection \"", collection, "\" exists.");
  return found->second;
}

ValueAndGradResult ValueAndGrad(Model& model, ConstTensorView input, const LossFunction& loss) {
  Check(input.size() > 0, "nnx::ValueAndGrad: the input ", input.shape(), " is empty");
  ValueAndGradResult result{.gradients = ZerosLike(GetCollection(model.variables_, kParams))};
  Tape tape;
  CallContext context = model.Context();
  context.gradients = &result.gradients;
  context.tape = &tape;
  const Loss value = ForwardBackward(*model.module_, context, BorrowActivation(input), loss, &result.output);
  result.value = value.value;
  result.correct = value.correct;
  model.AdvanceDropout();
  return result;
}

}  // namespace hwynn::nnx
