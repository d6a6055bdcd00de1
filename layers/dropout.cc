#include "hwynn/layers/dropout.h"

#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/kernels/elementwise.h"

namespace hwynn {

Dropout::Dropout(const DropoutOptions& options) : options_(options) {
  Check(options_.rate >= 0 && options_.rate < 1, "Dropout: rate (", options_.rate, ") must be at least 0 and below 1");
}

Shape Dropout::Init(InitScope scope, const Shape& input) const {
  scope.DropoutStream();
  return input;
}

Activation Dropout::Forward(const Scope& scope, Activation input) const {
  if (!Drops(scope)) return input;
  Tensor output = scope.NewTensor(input.shape());
  const WorkTimer timer = scope.Observe("forward", WorkKind::kPass, {*input, output});
  Apply(scope.DrawKey(this), *input, output);
  return MakeActivation(std::move(output));
}

GraphValue Dropout::AppendTo(Graph&, const Scope&, GraphValue input) const { return input; }

Tensor Dropout::Backward(const Scope& scope, Tensor grad_output) const {
  if (!Drops(scope)) return grad_output;
  const WorkTimer timer = scope.Observe("backward", WorkKind::kPass, {grad_output, grad_output});
  Apply(scope.SavedKey(this), grad_output, grad_output);
  return grad_output;
}

void Dropout::Apply(Key key, ConstTensorView values, TensorView result) const {
  const float keep_probability = 1.0f - options_.rate;
  std::vector<uint8_t> keep(static_cast<size_t>(values.size()));
  Bernoulli(key, keep_probability, keep);
  MaskScale(values, keep, 1.0f / keep_probability, result);
}

}  // namespace hwynn
