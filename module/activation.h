#ifndef HWYNN_MODULE_ACTIVATION_H_
#define HWYNN_MODULE_ACTIVATION_H_

#include <cstddef>
#include <memory>
#include <utility>

#include "hwynn/core/tensor.h"

namespace hwynn {

/// A value that flows between modules. Shared, because a layer's output is the next one's input and both may need it
/// in Backward; the memory goes back to the Workspace with the last holder. Never written after it was made.
///
/// Who reads its numbers comes through one door, Value(), of which * and -> are short forms: so an activation may come
/// to stand for a computation that nobody has asked for yet. shape() asks for nothing.
class Activation {
 public:
  /// None: equal to nullptr, without values or shape.
  Activation() = default;
  Activation(std::nullptr_t) {}  // NOLINT: nullptr is written for "none"
  explicit Activation(Tensor values) : values_(std::make_shared<const Tensor>(std::move(values))) {}

  const Tensor& Value() const { return *values_; }
  const Tensor& operator*() const { return Value(); }
  const Tensor* operator->() const { return &Value(); }

  const Shape& shape() const { return values_->shape(); }

  /// The same values in the same memory under another shape. Throws std::invalid_argument when the element counts
  /// differ.
  Activation Reshaped(const Shape& shape) const;

  /// Lets go of the values.
  void reset() { values_.reset(); }
  friend bool operator==(const Activation& a, std::nullptr_t) { return a.values_ == nullptr; }

  /// What keeps the memory alive, for BorrowActivation.
  operator std::shared_ptr<const void>() const { return values_; }  // NOLINT

 private:
  std::shared_ptr<const Tensor> values_;
};

inline Activation MakeActivation(Tensor tensor) { return Activation(std::move(tensor)); }

/// An activation over memory of somebody else's, without a copy. `keeper` holds that memory; without one the caller
/// sees to it that the memory outlives the activation.
Activation BorrowActivation(ConstTensorView values, std::shared_ptr<const void> keeper = nullptr);

}  // namespace hwynn

#endif  // HWYNN_MODULE_ACTIVATION_H_
