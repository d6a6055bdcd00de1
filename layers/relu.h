#ifndef HWYNN_LAYERS_RELU_H_
#define HWYNN_LAYERS_RELU_H_

#include "hwynn/core/export.h"
#include "hwynn/kernels/elementwise.h"
#include "hwynn/module/module.h"

namespace HWYNN_EXPORT hwynn {

/// output = min(max(0, input), upper); the gradient at 0 and at `upper` is 0. Right after a convolution or a
/// BatchNorm it costs no pass of its own.
///
/// Tape: output.
class Relu final : public FusingModule {
 public:
  explicit Relu(const ReluOptions& options = {}) : options_(options) {}

  std::string_view TypeName() const override { return "Relu"; }
  Shape Init(InitScope, const Shape& input) const override { return input; }
  Activation ForwardFused(const Scope& scope, Activation input) const override;
  ActivationGradient BackwardFused(const Scope& scope, ActivationGradient grad_output,
                                   Tensor grad_input) const override;
  GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const override;

 private:
  ReluOptions options_;
};

}  // namespace hwynn

#endif  // HWYNN_LAYERS_RELU_H_
