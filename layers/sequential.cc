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

Activation Sequential::ForwardFused(const Scope& scope, Activation input) const {
  for (const auto& [name, module] : children_) input = ChildForward(*module, scope.Child(name), std::move(input));
  return input;
}

GraphValue Sequential::AppendTo(Graph& graph, const Scope& scope, GraphValue value) const {
  for (const auto& [name, module] : children_) value = module->AppendTo(graph, scope.Child(name), value);
  return value;
}

ActivationGradient Sequential::BackwardFused(const Scope& scope, ActivationGradient gradient, Tensor grad_input) const {
  for (size_t i = children_.size(); i-- > 0;) {
    const auto& [name, module] = children_[i];
    gradient = ChildBackward(*module, scope.Child(name), std::move(gradient),
                             i == 0 ? std::exchange(grad_input, {}) : Tensor());
  }
  // Without children the gradient goes on as it came, unless something is added: its sums are of this part alone.
  if (children_.empty() && !grad_input.empty()) {
    return {.values = Accumulated(std::move(gradient.values), std::move(grad_input))};
  }
  return gradient;
}

}  // namespace hwynn
