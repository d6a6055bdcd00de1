#ifndef HWYNN_LAYERS_POOL_H_
#define HWYNN_LAYERS_POOL_H_

#include "hwynn/core/export.h"
#include "hwynn/kernels/pool.h"
#include "hwynn/module/module.h"

namespace HWYNN_EXPORT hwynn {

/// .window, .stride (1), .dilation (1) and .padding (VALID) with Flax's defaults; PyTorch's .ceil_mode (false) and
/// .count_include_pad (true), which averages alone look at.
using PoolOptions = PoolParams;

/// output[n,y,x,c] = the maximum of the window over input; padding never wins. The gradient goes to the first maximum
/// in row-major order.
///
/// Shapes: input [N,H,W,C]; output [N,OH,OW,C]. Tape: input, output.
class MaxPool final : public Module {
 public:
  explicit MaxPool(const PoolOptions& options) : options_(options) {}

  std::string_view TypeName() const override { return "MaxPool"; }
  Shape Init(InitScope scope, const Shape& input) const override;
  Activation Forward(const Scope& scope, Activation input) const override;
  Tensor Backward(const Scope& scope, Tensor grad_output) const override;
  GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const override;

 private:
  PoolOptions options_;
};

/// output[n,y,x,c] = the sum over the window / its height·width: padding counts as zeros, as in Flax, or isn't counted
/// with .count_include_pad = false.
///
/// Shapes: input [N,H,W,C]; output [N,OH,OW,C]. Tape: the input's shape.
class AveragePool final : public Module {
 public:
  explicit AveragePool(const PoolOptions& options) : options_(options) {}

  std::string_view TypeName() const override { return "AveragePool"; }
  Shape Init(InitScope scope, const Shape& input) const override;
  Activation Forward(const Scope& scope, Activation input) const override;
  Tensor Backward(const Scope& scope, Tensor grad_output) const override;
  GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const override;

 private:
  PoolOptions options_;
};

/// output[n,c] = the mean of input[n,·,·,c].
///
/// Shapes: input [N,H,W,C]; output [N,C]. Tape: the input's shape.
class GlobalAveragePool final : public Module {
 public:
  std::string_view TypeName() const override { return "GlobalAveragePool"; }
  Shape Init(InitScope scope, const Shape& input) const override;
  Activation Forward(const Scope& scope, Activation input) const override;
  Tensor Backward(const Scope& scope, Tensor grad_output) const override;
  GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const override;
};

}  // namespace hwynn

#endif  // HWYNN_LAYERS_POOL_H_
