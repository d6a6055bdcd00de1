#ifndef HWYNN_LAYERS_DENSE_H_
#define HWYNN_LAYERS_DENSE_H_

#include "hwynn/core/export.h"
#include "hwynn/module/module.h"

namespace HWYNN_EXPORT hwynn {

/// Flax's defaults.
struct DenseOptions {
  int64_t features = 0;  // required
  bool use_bias = true;
  Initializer kernel_init = initializers::LecunNormal();
  Initializer bias_init = initializers::Zeros();
  // false: Backward returns an empty tensor, for a model's first layer, where nobody wants d loss / d input.
  bool input_gradient = true;
};

/// output[…,f] = Σ_c input[…,c]·kernel[c,f] + bias[f], over the last axis whatever the rank (≥ 2).
///
/// Variables: params/kernel [C,features]; params/bias [features].
/// Tape: input.
class Dense final : public Module {
 public:
  explicit Dense(DenseOptions options);

  std::string_view TypeName() const override { return "Dense"; }
  Shape Init(InitScope scope, const Shape& input) const override;
  Activation Forward(const Scope& scope, Activation input) const override;
  Tensor Backward(const Scope& scope, Tensor grad_output) const override;
  GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const override;

 private:
  DenseOptions options_;
};

}  // namespace hwynn

#endif  // HWYNN_LAYERS_DENSE_H_
