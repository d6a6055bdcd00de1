#ifndef HWYNN_LAYERS_SEQUENTIAL_H_
#define HWYNN_LAYERS_SEQUENTIAL_H_

#include <concepts>
#include <map>
#include <utility>

#include "hwynn/core/export.h"
#include "hwynn/module/module.h"

namespace HWYNN_EXPORT hwynn {

/// Modules one after the other: output = childₙ(… child₁(input)).
///
///     Sequential model;
///     model.Add(Conv({.features = 16})).Add(BatchNorm({.relu = true})).Add(GlobalAveragePool());
///     model.Add("head", Dense({.features = 10}));
///
/// Children have Flax's names: Conv_0, BatchNorm_0, Conv_1, numbered by type among the children without a name of
/// their own. Copies share their children, which nobody changes.
class Sequential : public FusingModule {
 public:
  /// Adds a child behind the others. Throws std::invalid_argument for a name that is taken.
  template <std::derived_from<Module> M>
  Sequential& Add(M module) {
    return Add(std::make_shared<const M>(std::move(module)));
  }
  template <std::derived_from<Module> M>
  Sequential& Add(std::string name, M module) {
    return Add(std::move(name), std::make_shared<const M>(std::move(module)));
  }
  Sequential& Add(std::shared_ptr<const Module> module);
  Sequential& Add(std::string name, std::shared_ptr<const Module> module);

  bool empty() const { return children_.empty(); }

  std::string_view TypeName() const override { return "Sequential"; }
  Shape Init(InitScope scope, const Shape& input) const override;
  Activation ForwardFused(const Scope& scope, Activation input) const override;
  ActivationGradient BackwardFused(const Scope& scope, ActivationGradient grad_output,
                                   Tensor grad_input) const override;
  GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const override;

 private:
  struct Child {
    std::string name;
    std::shared_ptr<const Module> module;
  };
  std::vector<Child> children_;
  std::map<std::string, int, std::less<>> unnamed_by_type_;
};

}  // namespace hwynn

#endif  // HWYNN_LAYERS_SEQUENTIAL_H_
