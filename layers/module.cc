#include "hwynn/layers/module.h"

#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/kernels/elementwise.h"
#include "hwynn/layers/path.h"

namespace hwynn {
namespace {

// Stands behind a tensor whose memory somebody else releases.
class BorrowedMemory final : public WorkspaceMemory {
 public:
  explicit BorrowedMemory(std::shared_ptr<const void> keeper) : keeper_(std::move(keeper)) {}
  void Release(const float*) noexcept override {}

 private:
  std::shared_ptr<const void> keeper_;
};

// The array, or null.
template <class Tree>
auto* Find(Tree& variables, std::string_view collection, const std::string& path) {
  const auto found_collection = variables.find(collection);
  if (found_collection == variables.end()) return decltype(&found_collection->second.begin()->second){};
  const auto found = found_collection->second.find(path);
  return found == found_collection->second.end() ? nullptr : &found->second;
}

}  // namespace

Activation BorrowActivation(ConstTensorView values, std::shared_ptr<const void> keeper) {
  // Nobody writes through the const_cast: an Activation is const.
  return MakeActivation(
      Tensor(const_cast<float*>(values.data()), values.shape(), std::make_shared<BorrowedMemory>(std::move(keeper))));
}

void Tape::Push(const Module* owner, Activation value) { entries_.push_back({owner, std::move(value)}); }

Activation Tape::Pop(const Module* owner) {
  Check(!entries_.empty(), "Tape: Backward of ", owner->TypeName(),
        " found the tape empty; a Forward with this tape comes first");
  Check(entries_.back().owner == owner, "Tape: Backward of ", owner->TypeName(), " found an entry of ",
        entries_.back().owner->TypeName(), "; Backward runs in the reverse order of Forward");
  Activation value = std::move(entries_.back().value);
  entries_.pop_back();
  return value;
}

Scope::Scope(const CallContext& context) : context_(&context) {
  Check(context.workspace != nullptr && context.variables != nullptr,
        "Scope: a CallContext needs workspace and variables");
}

Scope Scope::Child(std::string_view name) const {
  Scope child(*context_);
  child.path_ = JoinPath(path_, name);
  return child;
}

ConstTensorView Scope::Variable(std::string_view collection, std::string_view name) const {
  const std::string path = JoinPath(path_, name);
  const Tensor* found = context_->updates != nullptr ? Find(*context_->updates, collection, path) : nullptr;
  if (found == nullptr) found = Find(*context_->variables, collection, path);
  if (found != nullptr) return *found;
  Check(collection != kParams, "Could not find parameter named \"", name, "\" in scope \"/", path_, "\".");
  Check(context_->variables->contains(collection), "Tried to access \"", name, "\" from collection \"", collection,
        "\" in \"/", path_, "\" but the collection is empty.");
  Check(false, "No Variable named \"", name, "\" for collection \"", collection, "\" exists in \"/", path_, "\".");
  return {};
}

TensorView Scope::MutableVariable(std::string_view collection, std::string_view name) const {
  Tensor* found = nullptr;
  if (context_->updates != nullptr) found = Find(*context_->updates, collection, JoinPath(path_, name));
  if (found == nullptr) Variable(collection, name);  // when there is none at all, that is the error
  Check(found != nullptr, "Cannot update variable \"", name, "\" in \"/", path_, "\" because collection \"", collection,
        "\" is immutable.");
  return *found;
}

TensorView Scope::Gradient(std::string_view name) const {
  Check(context_->gradients != nullptr, "Backward needs CallContext::gradients");
  const auto found = context_->gradients->find(JoinPath(path_, name));
  Check(found != context_->gradients->end(), "the gradients have no array \"", name, "\" in \"/", path_, "\"");
  return found->second;
}

void Scope::Save(const Module* owner, Activation value) const {
  if (has_tape()) context_->tape->Push(owner, std::move(value));
}

void Scope::SaveShape(const Module* owner, const Shape& shape) const {
  Save(owner, MakeActivation(Tensor(nullptr, shape, nullptr)));
}

Activation Scope::Saved(const Module* owner) const {
  Check(has_tape(), "Backward of ", owner->TypeName(), " needs CallContext::tape, the one that Forward had");
  return context_->tape->Pop(owner);
}

Key Scope::DropoutKey() const {
  if (context_->dropout_streams != nullptr) {
    const auto stream = context_->dropout_streams->find(path_);
    Check(stream != context_->dropout_streams->end(), "there is no stream of random numbers for \"/", path_, "\"");
    return stream->second.Next();
  }
  Check(context_->dropout_key.has_value(), "Dropout in training mode needs CallContext::dropout_key; in \"/", path_,
        "\"");
  return LinenKey(*context_->dropout_key, path_, 1);
}

Tensor Module::BackwardAccumulate(const Scope& scope, Tensor grad_output, Tensor grad_input) const {
  AddAccumulate(Backward(scope, std::move(grad_output)), grad_input);
  return grad_input;
}

Variables Init(const Module& module, Key key, const Shape& input, int64_t max_elements) {
  Variables variables;
  variables.emplace(kParams, Collection());
  module.Init(InitScope(variables, key, max_elements), input);
  return variables;
}

Activation Predict(const Module& module, const Variables& variables, ConstTensorView input, const Workspace& workspace,
                   PackedFilters* packed_filters) {
  Check(input.size() > 0, "Predict: the input ", input.shape(), " is empty");
  const CallContext context{.workspace = &workspace, .variables = &variables, .packed_filters = packed_filters};
  return module.Forward(Scope(context), BorrowActivation(input));
}

}  // namespace hwynn
