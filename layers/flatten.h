#ifndef HWYNN_LAYERS_FLATTEN_H_
#define HWYNN_LAYERS_FLATTEN_H_

#include "hwynn/core/export.h"
#include "hwynn/module/module.h"

namespace HWYNN_EXPORT hwynn {

/// [N,…] → [N,K], the same elements in the same memory.
///
/// Tape: the input's shape. An empty gradient (of a first layer whose input_gradient is false) stays empty.
class Flatten final : public Module {
 public:
  std::string_view TypeName() const override { return "Flatten"; }
  Shape Init(InitScope scope, const Shape& input) const override;
  Activation Forward(const Scope& scope, Activation input) const override;
  Tensor Backward(const Scope& scope, Tensor grad_output) const override;
  GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const override;
};

}  // namespace hwynn

#endif  // HWYNN_LAYERS_FLATTEN_H_
