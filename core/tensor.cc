#include "hwynn/core/tensor.h"

#include <algorithm>
#include <new>
#include <utility>

#include "hwynn/core/workspace.h"

namespace hwynn {
namespace {

constexpr std::align_val_t kAlignment{kTensorAlignmentBytes};

float* AllocateOnHeap(const Shape& shape) {
  // One element at least, so that data() of an existing tensor is never null.
  const int64_t elements = std::max<int64_t>(shape.num_elements(), 1);
  return static_cast<float*>(::operator new(static_cast<size_t>(elements) * sizeof(float), kAlignment));
}

}  // namespace

Tensor::Tensor(const Shape& shape) : data_(AllocateOnHeap(shape)), shape_(shape) {}

Tensor::Tensor(const Shape& shape, float value) : Tensor(shape) { std::fill_n(data_, size(), value); }

Tensor::Tensor(float* data, const Shape& shape, std::shared_ptr<WorkspaceMemory> owner)
    : data_(data), shape_(shape), owner_(std::move(owner)) {}

Tensor::Tensor(Tensor&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      shape_(std::exchange(other.shape_, Shape{0})),
      owner_(std::move(other.owner_)) {}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  if (this != &other) {
    Release();
    data_ = std::exchange(other.data_, nullptr);
    shape_ = std::exchange(other.shape_, Shape{0});
    owner_ = std::move(other.owner_);
  }
  return *this;
}

Tensor::~Tensor() { Release(); }

void Tensor::Release() noexcept {
  if (data_ == nullptr) return;
  if (owner_ != nullptr) {
    owner_->Release(data_);
  } else {
    ::operator delete(data_, kAlignment);
  }
  data_ = nullptr;
  owner_.reset();
}

Tensor Tensor::Clone() const { return hwynn::Clone(view()); }

Tensor Clone(ConstTensorView values) {
  if (values.data() == nullptr) return {};
  Tensor copy(values.shape());
  std::copy_n(values.data(), values.size(), copy.data());
  return copy;
}

void Tensor::Reshape(const Shape& shape) {
  Check(shape.num_elements() == shape_.num_elements(), "Tensor::Reshape: ", shape_, " has other elements than ", shape);
  shape_ = shape;
}

}  // namespace hwynn
