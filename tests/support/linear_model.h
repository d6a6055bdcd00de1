#ifndef HWYNN_TESTS_SUPPORT_LINEAR_MODEL_H_
#define HWYNN_TESTS_SUPPORT_LINEAR_MODEL_H_

// A module of a user's own, small enough to follow by hand: logits = images·kernel + bias, in a child scope "head",
// and a running count of training steps in batch_stats.

#include <string>
#include <utility>

#include "hwynn/module/module.h"

namespace hwynn::testing {

class LinearModel : public Module {
 public:
  explicit LinearModel(int64_t classes) : classes_(classes) {}

  std::string_view TypeName() const override { return "LinearModel"; }

  Shape Init(InitScope scope, const Shape& input) const override {
    const int64_t features = input.num_elements() / input[0];
    InitScope body = scope.Child("body");
    body.Param("shift", {features}, initializers::NormalInitializer(0.1f));
    body.Variable(kBatchStats, "steps", {1}, 0.0f);
    InitScope head = scope.Child("head");
    head.Param("kernel", {features, classes_}, initializers::LecunNormal());
    head.Param("bias", {classes_}, initializers::Zeros());
    return {input[0], classes_};
  }

  Activation Forward(const Scope& scope, Activation input) const override {
    const int64_t rows = input->shape()[0], features = input->size() / rows;
    const ConstTensorView shift = scope.Child("body").Param("shift");
    const ConstTensorView kernel = scope.Child("head").Param("kernel");
    const ConstTensorView bias = scope.Child("head").Param("bias");
    if (scope.train()) scope.Child("body").MutableVariable(kBatchStats, "steps")[0] += 1.0f;
    Tensor logits = scope.NewTensor({rows, classes_});
    for (int64_t n = 0; n < rows; ++n) {
      for (int64_t k = 0; k < classes_; ++k) {
        float sum = bias[k];
        for (int64_t f = 0; f < features; ++f) {
          sum += ((*input)[n * features + f] + shift[f]) * kernel[f * classes_ + k];
        }
        logits[n * classes_ + k] = sum;
      }
    }
    scope.Save(this, std::move(input));
    return MakeActivation(std::move(logits));
  }

  Tensor Backward(const Scope& scope, Tensor grad_output) const override {
    const Activation input = scope.Saved(this);
    const int64_t rows = input->shape()[0], features = input->size() / rows;
    const ConstTensorView shift = scope.Child("body").Param("shift");
    const ConstTensorView kernel = scope.Child("head").Param("kernel");
    const TensorView grad_shift = scope.Child("body").Gradient("shift");
    const TensorView grad_kernel = scope.Child("head").Gradient("kernel");
    const TensorView grad_bias = scope.Child("head").Gradient("bias");
    for (const TensorView& gradient : {grad_shift, grad_kernel, grad_bias}) {
      for (float& value : gradient.span()) value = 0;
    }
    Tensor grad_input = scope.NewTensor(input->shape());
    for (int64_t n = 0; n < rows; ++n) {
      for (int64_t f = 0; f < features; ++f) {
        float sum = 0;
        for (int64_t k = 0; k < classes_; ++k) {
          const float grad = grad_output[n * classes_ + k];
          sum += grad * kernel[f * classes_ + k];
          grad_kernel[f * classes_ + k] += grad * ((*input)[n * features + f] + shift[f]);
        }
        grad_shift[f] += sum;
        grad_input[n * features + f] = sum;
      }
      for (int64_t k = 0; k < classes_; ++k) grad_bias[k] += grad_output[n * classes_ + k];
    }
    return grad_input;
  }

 private:
  int64_t classes_;
};

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_LINEAR_MODEL_H_
