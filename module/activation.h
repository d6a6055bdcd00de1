#ifndef HWYNN_MODULE_ACTIVATION_H_
#define HWYNN_MODULE_ACTIVATION_H_

#include <cstddef>
#include <memory>
#include <utility>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"

namespace HWYNN_EXPORT hwynn {

struct Conv2dEpilogue;
struct Normalized;
class PendingConvolution;

/// A value that flows between modules. Shared, because a layer's output is the next one's input and both may need it
/// in Backward; the memory goes back to the Workspace with the last holder. Its numbers never change.
///
/// Between the library's own layers an activation may be one that nobody has computed yet (module/fusion.h): Value()
/// computes it then. Modules that don't know of it see values alone.
///
/// Threads: the activations of a call belong to the thread that makes it.
class Activation {
 public:
  /// None: equal to nullptr, without values or shape.
  Activation() = default;
  Activation(std::nullptr_t) {}  // NOLINT: nullptr is written for "none"
  explicit Activation(Tensor values);

  /// Its numbers; computes them if nobody has.
  const Tensor& Value() const;
  const Tensor& operator*() const { return Value(); }
  const Tensor* operator->() const { return &Value(); }

  const Shape& shape() const;

  /// The same values in the same memory under another shape. Throws std::invalid_argument when the element counts
  /// differ.
  Activation Reshaped(const Shape& shape) const;

  /// Lets go of the values.
  void reset() { state_.reset(); }
  friend bool operator==(const Activation& a, std::nullptr_t) { return a.state_ == nullptr; }

  /// What keeps the memory alive, for BorrowActivation.
  operator std::shared_ptr<const void>() const { return state_; }  // NOLINT

  // What follows is for layers that fuse (module/fusion.h).

  /// A convolution that hasn't run.
  explicit Activation(std::unique_ptr<PendingConvolution> convolution);
  /// What a BatchNorm made of other activations.
  explicit Activation(Normalized normalized);

  bool has_values() const;
  /// A convolution that hasn't run.
  bool is_convolution() const;
  /// What it was made of, or is to be; null where it isn't that or nobody needs to know.
  const Normalized* normalized() const;
  /// The values alone, in the same memory: what a module sees that doesn't fuse.
  Activation Plain() const;

 private:
  friend Tensor RunConvolution(const Activation& activation, const Conv2dEpilogue& epilogue);
  struct State;  // activation.cc
  void Compute() const;

  std::shared_ptr<State> state_;
};

inline Activation MakeActivation(Tensor tensor) { return Activation(std::move(tensor)); }

/// An activation over memory of somebody else's, without a copy. `keeper` holds that memory; without one the caller
/// sees to it that the memory outlives the activation.
Activation BorrowActivation(ConstTensorView values, std::shared_ptr<const void> keeper = nullptr);

}  // namespace hwynn

#endif  // HWYNN_MODULE_ACTIVATION_H_
