#ifndef HWYNN_CORE_TENSOR_H_
#define HWYNN_CORE_TENSOR_H_

// Dense row-major float arrays: a move-only owner and non-owning views. Activations are NHWC, filters HWIO.

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>

#include "hwynn/core/check.h"
#include "hwynn/core/export.h"
#include "hwynn/core/shape.h"

namespace HWYNN_EXPORT hwynn {

/// Alignment in bytes of every tensor that hwynn allocates: one cache line, one AVX-512 vector.
inline constexpr size_t kTensorAlignmentBytes = 64;

/// A view of a dense array that somebody else owns. T is float or const float.
template <class T>
class BasicTensorView {
 public:
  BasicTensorView() = default;
  BasicTensorView(T* data, const Shape& shape) : data_(data), shape_(shape) {}
  /// A view for writing may be read: TensorView converts to ConstTensorView.
  template <class U>
  requires(std::is_const_v<T>&& std::is_same_v<U, std::remove_const_t<T>>)
      BasicTensorView(const BasicTensorView<U>& other)
      : data_(other.data()), shape_(other.shape()) {}  // NOLINT

  T* data() const { return data_; }
  const Shape& shape() const { return shape_; }
  int64_t size() const { return data_ ? shape_.num_elements() : 0; }
  T& operator[](int64_t i) const { return data_[i]; }
  std::span<T> span() const { return {data_, static_cast<size_t>(size())}; }

  /// Rows [first, first + count) along the first axis. Throws std::invalid_argument when there are fewer.
  BasicTensorView Rows(int64_t first, int64_t count) const;

  /// The same elements under another shape. Throws std::invalid_argument when the element counts differ.
  BasicTensorView Reshaped(const Shape& shape) const {
    Check(shape.num_elements() == shape_.num_elements(), "Reshaped: ", shape_, " has other elements than ", shape);
    return {data_, shape};
  }

 private:
  T* data_ = nullptr;
  Shape shape_{0};
};

template <class T>
BasicTensorView<T> BasicTensorView<T>::Rows(int64_t first, int64_t count) const {
  Check(shape_.rank() >= 1 && first >= 0 && count >= 0 && count <= shape_[0] - first, "Rows: ", shape_, " has no ",
        count, " rows from row ", first);
  std::array<int64_t, Shape::kMaxRank> extents{count};
  std::copy(shape_.extents().begin() + 1, shape_.extents().end(), extents.begin() + 1);
  const Shape rows(std::span<const int64_t>(extents.data(), static_cast<size_t>(shape_.rank())));
  return {shape_[0] == 0 ? data_ : data_ + first * (shape_.num_elements() / shape_[0]), rows};
}

using TensorView = BasicTensorView<float>;
using ConstTensorView = BasicTensorView<const float>;

/// Whether two arrays share memory.
inline bool Overlap(ConstTensorView a, ConstTensorView b) {
  const std::less<const float*> less;
  return a.size() != 0 && b.size() != 0 && less(a.data(), b.data() + b.size()) && less(b.data(), a.data() + a.size());
}

class WorkspaceMemory;  // core/workspace.h

/// Owns a 64-byte aligned array; move-only. Memory comes from the heap (the constructor) or from a Workspace
/// (Workspace::NewTensor), to which it goes back when the tensor dies.
class Tensor {
 public:
  /// Empty: no memory, shape [0].
  Tensor() = default;
  /// Uninitialised memory from the heap.
  explicit Tensor(const Shape& shape);
  /// Heap memory filled with `value`.
  Tensor(const Shape& shape, float value);
  /// Takes memory that `owner` will release; for Workspace.
  Tensor(float* data, const Shape& shape, std::shared_ptr<WorkspaceMemory> owner);

  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor&& other) noexcept;
  ~Tensor();

  /// A copy on the heap.
  Tensor Clone() const;

  float* data() { return data_; }
  const float* data() const { return data_; }
  const Shape& shape() const { return shape_; }
  int64_t size() const { return data_ ? shape_.num_elements() : 0; }
  bool empty() const { return data_ == nullptr; }
  float& operator[](int64_t i) { return data_[i]; }
  float operator[](int64_t i) const { return data_[i]; }
  std::span<float> span() { return {data_, static_cast<size_t>(size())}; }
  std::span<const float> span() const { return {data_, static_cast<size_t>(size())}; }

  TensorView view() { return {data_, shape_}; }
  ConstTensorView view() const { return {data_, shape_}; }
  operator TensorView() { return view(); }             // NOLINT: a tensor is accepted wherever a view is
  operator ConstTensorView() const { return view(); }  // NOLINT

  /// Changes the shape of the same elements. Throws std::invalid_argument when the element counts differ.
  void Reshape(const Shape& shape);

 private:
  void Release() noexcept;

  float* data_ = nullptr;
  Shape shape_{0};
  std::shared_ptr<WorkspaceMemory> owner_;  // null: heap
};

/// A copy on the heap.
Tensor Clone(ConstTensorView values);

}  // namespace hwynn

#endif  // HWYNN_CORE_TENSOR_H_
