#include "hwynn/module/activation.h"

#include "hwynn/core/workspace.h"

namespace hwynn {
namespace {

// Stands behind a tensor whose memory somebody else releases.
class BorrowedMemory final : public WorkspaceMemory {
 public:
  explicit BorrowedMemory(std::shared_ptr<const void> keeper) : keeper_(std::move(keeper)) {}
  void Release(const void*) noexcept override {}

 private:
  std::shared_ptr<const void> keeper_;
};

}  // namespace

Activation Activation::Reshaped(const Shape& shape) const {
  return BorrowActivation(Value().view().Reshaped(shape), *this);
}

Activation BorrowActivation(ConstTensorView values, std::shared_ptr<const void> keeper) {
  // Nobody writes through the const_cast: an Activation is const.
  return MakeActivation(
      Tensor(const_cast<float*>(values.data()), values.shape(), std::make_shared<BorrowedMemory>(std::move(keeper))));
}

}  // namespace hwynn
