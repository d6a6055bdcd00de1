#include "hwynn/layers/sequential.h"

#include <algorithm>

#include "hwynn/core/check.h"

namespace hwynn {

Sequential& Sequential::Add(std::shared_ptr<const Module> module) {
  const std::string type(module->TypeName());
  return Add(StrCat(type, "_", unnamed_by_type_[type]++), std::move(module));
}

Sequential& Sequential::Add(std::string name, std::shared_ptr<const Module> module) {
  const bool taken = std::ranges::any_of(children_, [&](const Child& child) { return child.name == name; });
  Check(!taken, "Sequential: there is a child \"", name, "\" already");
  children_.push_back({std::move(name), std::move(module)});
  return *this;
}

Shape Sequential::Init(InitScope scope, const Shape& input) const {
  Shape shape = input;
  for (const auto& [name, module] : children_) shape = module->Init(scope.Child(name), shape);
  return shape;
}

Activation Sequential::Forward(const Scope& scope, Activation input) const {
  for (const auto& [name, module] : children_) input = module->Forward(scope.Child(name), std::move(input));
  return input;
}

Tensor Sequential::BackwardFrom(size_t first, const Scope& scope, Tensor grad_output) const {
  for (size_t i = children_.size(); i-- > first;) {
    grad_output = children_[i].module->Backward(scope.Child(children_[i].name), std::move(grad_output));
  }
  return grad_output;
}

Tensor Sequential::Backward(const Scope& scope, Tensor grad_output) const {
  return BackwardFrom(0, scope, std::move(grad_output));
}

Tensor Sequential::BackwardAccumulate(const Scope& scope, Tensor grad_output, Tensor grad_input) const {
  if (children_.empty()) return Module::BackwardAccumulate(scope, std::move(grad_output), std::move(grad_input));
  const auto& [name, module] = children_.front();
  return module->BackwardAccumulate(scope.Child(name), BackwardFrom(1, scope, std::move(grad_output)),
                                    std::move(grad_input));
}

}  // namespace hwynn
