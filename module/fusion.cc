#include "hwynn/module/fusion.h"

#include <algorithm>
#include <utility>

namespace hwynn {

std::pair<Tensor, Tensor> Share(Tensor values) {
  const auto shared = std::make_shared<Tensor>(std::move(values));
  return {BorrowTensor(*shared, shared), BorrowTensor(*shared, shared)};
}

ChannelNorm::ChannelNorm(Activation mean, Activation var, BatchNormAffine affine, const Workspace& workspace)
    : mean_(std::move(mean)), var_(std::move(var)), affine_(affine), mul_(workspace.NewTensor(mean_.shape())) {
  affine_.mean = *mean_;
  affine_.var = *var_;
  BatchNormMul(affine_, mul_);
  if (affine_.bias.size() == 0) {
    zeros_ = workspace.NewTensor(mean_.shape());
    std::ranges::fill(zeros_.span(), 0.0f);
  }
}

Conv2dPrologue Normalized::Prologue() const {
  return {.mean = norm->mean(), .mul = norm->mul(), .bias = norm->bias(), .relu = relu, .upper = upper};
}

Conv2dEpilogue Normalized::Epilogue() const {
  return {.center = norm->mean(),
          .scale = norm->mul(),
          .bias = norm->bias(),
          .residual = addend == nullptr ? ConstTensorView() : addend->view(),
          .relu = relu,
          .upper = upper};
}

}  // namespace hwynn
