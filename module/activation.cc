#include "hwynn/module/activation.h"

#include "hwynn/core/check.h"
#include "hwynn/core/workspace.h"
#include "hwynn/module/fusion.h"

namespace hwynn {
namespace {

// In one pass, a shortcut's own BatchNorm included.
Tensor Normalize(const Normalized& from) {
  BatchNormNormalizeOptions options{.relu = from.relu, .upper = from.upper};
  if (from.addend != nullptr) {
    const Normalized* addend = from.addend.has_values() ? nullptr : from.addend.normalized();
    if (addend != nullptr && addend->IsPrologue() && !addend->relu) {
      options.residual = *addend->base;
      options.residual_affine = addend->norm->affine();
    } else {
      options.residual = *from.addend;
    }
  }
  Tensor values = from.scope->NewTensor(from.base.shape());
  const WorkTimer timer = from.scope->Observe("normalize", WorkKind::kPass, {*from.base, options.residual, values});
  BatchNormNormalize(*from.base, from.norm->affine(), values, options);
  return values;
}

}  // namespace

struct Activation::State {
  Shape shape;
  std::shared_ptr<const Tensor> values = nullptr;  // null: not computed yet
  std::unique_ptr<PendingConvolution> convolution = nullptr;
  std::unique_ptr<const Normalized> normalized = nullptr;
};

Activation::Activation(Tensor values) : state_(std::make_shared<State>(State{.shape = values.shape()})) {
  state_->values = std::make_shared<const Tensor>(std::move(values));
}

Activation::Activation(std::unique_ptr<PendingConvolution> convolution)
    : state_(std::make_shared<State>(State{.shape = convolution->output_shape()})) {
  state_->convolution = std::move(convolution);
}

Activation::Activation(Normalized normalized)
    : state_(std::make_shared<State>(State{.shape = normalized.base.shape()})) {
  state_->normalized = std::make_unique<const Normalized>(std::move(normalized));
}

const Tensor& Activation::Value() const {
  if (state_->values == nullptr) Compute();
  return *state_->values;
}

const Shape& Activation::shape() const { return state_->shape; }
bool Activation::has_values() const { return state_->values != nullptr; }
bool Activation::is_convolution() const { return state_->convolution != nullptr; }
const Normalized* Activation::normalized() const { return state_->normalized.get(); }

void Activation::Compute() const {
  State& state = *state_;
  Tensor values;
  if (state.convolution != nullptr) {
    values = std::exchange(state.convolution, nullptr)->Run({});
  } else {
    std::unique_ptr<const Normalized> from = std::exchange(state.normalized, nullptr);
    Check(from != nullptr, "Activation: its convolution ran for somebody else");
    // Nobody can want the numbers of a base that is a convolution, or it would have run for them.
    const bool in_epilogue = from->base.is_convolution();
    values = in_epilogue ? RunConvolution(from->base, from->Epilogue()) : Normalize(*from);
    if (!in_epilogue || from->folded) {
      state.normalized = std::make_unique<const Normalized>(Normalized{.base = in_epilogue ? nullptr : from->base,
                                                                       .norm = from->norm,
                                                                       .added = from->addend != nullptr,
                                                                       .relu = from->relu,
                                                                       .upper = from->upper,
                                                                       .folded = from->folded});
    }
  }
  state.values = std::make_shared<const Tensor>(std::move(values));
}

Activation Activation::Plain() const {
  if (state_ == nullptr || (has_values() && state_->normalized == nullptr)) return *this;
  Value();
  if (state_->normalized == nullptr) return *this;
  Activation plain;
  plain.state_ = std::make_shared<State>(State{.shape = state_->shape, .values = state_->values});
  return plain;
}

Activation Activation::Reshaped(const Shape& shape) const {
  return BorrowActivation(Value().view().Reshaped(shape), Plain());
}

Activation BorrowActivation(ConstTensorView values, std::shared_ptr<const void> keeper) {
  // Nobody writes through the const_cast: an Activation is const.
  const TensorView memory(const_cast<float*>(values.data()), values.shape());
  return MakeActivation(BorrowTensor(memory, std::move(keeper)));
}

Tensor RunConvolution(const Activation& activation, const Conv2dEpilogue& epilogue) {
  return std::exchange(activation.state_->convolution, nullptr)->Run(epilogue);
}

}  // namespace hwynn
