#ifndef HWYNN_LAYERS_DROPOUT_H_
#define HWYNN_LAYERS_DROPOUT_H_

#include "hwynn/core/export.h"
#include "hwynn/module/module.h"

namespace HWYNN_EXPORT hwynn {

struct DropoutOptions {
  float rate = 0.5f;  // the probability of an element to become 0
};

/// In training output = keep ? input/(1 − rate) : 0, with keep drawn anew for each call; the identity in evaluation.
/// The draws are Flax's by the call's rules; at rate 0 there are none.
///
/// Tape: the key alone. Backward draws the same elements again: a hash costs less than to keep a mask.
class Dropout final : public Module {
 public:
  explicit Dropout(const DropoutOptions& options = {});

  std::string_view TypeName() const override { return "Dropout"; }
  Shape Init(InitScope scope, const Shape& input) const override;
  Activation Forward(const Scope& scope, Activation input) const override;
  Tensor Backward(const Scope& scope, Tensor grad_output) const override;
  GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const override;

 private:
  bool Drops(const Scope& scope) const { return scope.train() && options_.rate > 0; }
  void Apply(Key key, ConstTensorView values, TensorView result) const;

  DropoutOptions options_;
};

}  // namespace hwynn

#endif  // HWYNN_LAYERS_DROPOUT_H_
