#include "hwynn/module/scope.h"

#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/module/module.h"
#include "hwynn/module/path.h"

namespace hwynn {
namespace {

// The array, or null.
template <class Tree>
auto* Find(Tree& variables, std::string_view collection, const std::string& path) {
  const auto found_collection = variables.find(collection);
  if (found_collection == variables.end()) return decltype(&found_collection->second.begin()->second){};
  const auto found = found_collection->second.find(path);
  return found == found_collection->second.end() ? nullptr : &found->second;
}

}  // namespace

Scope::Scope(const CallContext& context) : context_(&context) {
  Check(context.workspace != nullptr && context.variables != nullptr,
        "Scope: a CallContext needs workspace and variables");
  if (context.gradients != nullptr) number_ = context.gradients->NumberScope();
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

bool Scope::HasVariable(std::string_view collection, std::string_view name) const {
  return Find(*context_->variables, collection, JoinPath(path_, name)) != nullptr;
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
  return context_->gradients->Write(JoinPath(path_, name), {number_, has_tape() ? context_->tape->pops() : 0});
}

Tape& Scope::tape(const Module* owner) const {
  Check(has_tape(), "Backward of ", owner->TypeName(), " needs CallContext::tape, the one that Forward had");
  return *context_->tape;
}

void Scope::Save(const Module* owner, Activation value) const {
  if (!has_tape()) return;
  context_->tape->Push(owner, std::move(value), context_->observer != nullptr ? path_ : std::string());
}

void Scope::SaveShape(const Module* owner, const Shape& shape) const {
  Save(owner, MakeActivation(Tensor(nullptr, shape, nullptr)));
}

Activation Scope::Saved(const Module* owner) const { return tape(owner).Pop(owner); }

Key Scope::DrawKey(const Module* owner) const {
  const Key key = context_->rules != nullptr ? context_->rules->DrawKey(path_) : LinenRules().DrawKey(path_);
  if (has_tape()) context_->tape->PushKey(owner, key);
  return key;
}

Key Scope::SavedKey(const Module* owner) const { return tape(owner).PopKey(owner); }

WorkTimer Scope::Observe(std::string_view what, WorkKind kind, std::initializer_list<ConstTensorView> arrays) const {
  if (context_->observer == nullptr) return {nullptr, {}};
  int64_t elements = 0;
  for (const ConstTensorView& array : arrays) elements += array.size();
  const int64_t bytes = elements * static_cast<int64_t>(sizeof(float));
  return {context_->observer, {.path = path_, .what = what, .kind = kind, .bytes = bytes}};
}

void Scope::CheckGivenTwice(std::string_view argument) const {
  context_->rules != nullptr ? context_->rules->CheckGivenTwice(argument, path_)
                             : LinenRules().CheckGivenTwice(argument, path_);
}

}  // namespace hwynn
