#include "hwynn/module/nnx.h"

#include <map>
#include <string>

#include "hwynn/core/check.h"

namespace hwynn::nnx {
namespace {

// flax.nnx's rules: each module that draws has a stream of its own, and the argument of a call wins.
class NnxRules final : public CallRules {
 public:
  explicit NnxRules(RngStreams& streams) : streams_(streams) {}

  Key DrawKey(const std::string& path) override {
    const RngStream& stream = Stream(path);
    return FoldIn(stream.key, stream.count + draws_[path]++);
  }
  void CheckGivenTwice(std::string_view, const std::string&) const override {}

  // The streams go on behind what this call drew; a call that fails draws nothing.
  void Commit() {
    for (const auto& [path, draws] : draws_) Stream(path).count += draws;
  }

 private:
  RngStream& Stream(const std::string& path) {
    const auto stream = streams_.find(path);
    Check(stream != streams_.end(), "there is no stream of random numbers for \"/", path, "\"");
    return stream->second;
  }

  RngStreams& streams_;
  std::map<std::string, uint32_t> draws_;  // of this call
};

}  // namespace

Model::Model(std::shared_ptr<const Module> module, const Shape& input, Rngs& rngs) : module_(std::move(module)) {
  variables_.emplace(kParams, Collection());
  module_->Init(InitScope(variables_, rngs, dropout_streams_), input);
}

CallContext Model::BeginCall(CallRules& rules) {
  return {.workspace = &workspace_,
          .variables = &variables_,
          .updates = &updates_.Begin(variables_),
          .mode = mode_,
          .rules = &rules};
}

Activation Model::operator()(ConstTensorView input) {
  Check(input.size() > 0, "nnx::Model: the input ", input.shape(), " is empty");
  NnxRules rules(dropout_streams_);
  const CallContext context = BeginCall(rules);
  Activation output = module_->Forward(Scope(context), BorrowActivation(input));
  updates_.Commit(variables_);
  rules.Commit();
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
  ValueAndGradResult result{.gradients = Gradients(GetCollection(model.variables_, kParams))};
  Tape tape;
  NnxRules rules(model.dropout_streams_);
  CallContext context = model.BeginCall(rules);
  context.gradients = &result.gradients;
  context.tape = &tape;
  const Loss value = ForwardBackward(*model.module_, context, BorrowActivation(input), loss, &result.output);
  result.value = value.value;
  result.correct = value.correct;
  model.updates_.Commit(model.variables_);
  rules.Commit();
  return result;
}

}  // namespace hwynn::nnx
