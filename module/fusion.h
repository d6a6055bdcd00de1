#ifndef HWYNN_MODULE_FUSION_H_
#define HWYNN_MODULE_FUSION_H_

// How BatchNorm disappears into the convolutions around it. Between the library's own layers an Activation may stand
// for a computation that nobody has done yet:
//
//   a convolution that hasn't run              the BatchNorm behind it lets it run, with statistics in its epilogue
//   relu?((base − mean)·mul + bias [+ addend]) a convolution behind it normalises as it loads; a block's end is one
//   pass
//
// and a gradient may bring along the sums that a BatchNorm's backward pass needs. Whoever reads Value() gets numbers,
// and modules that override Module's plain functions alone are given nothing else (docs/decisions/0010).

#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/core/workspace.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/module/activation.h"
#include "hwynn/module/scope.h"

namespace HWYNN_EXPORT hwynn {

/// A convolution that hasn't run.
class PendingConvolution {
 public:
  virtual ~PendingConvolution() = default;
  virtual const Shape& output_shape() const = 0;
  /// Runs it, once.
  virtual Tensor Run(const Conv2dEpilogue& epilogue) = 0;
};

/// Runs the convolution that `activation` stands for. Its numbers are then the caller's: the activation has none, and
/// its other holders, if any, must not ask for them.
Tensor RunConvolution(const Activation& activation, const Conv2dEpilogue& epilogue);

/// What a BatchNorm does to each channel: (x − mean)·mul + bias.
class ChannelNorm {
 public:
  /// `affine`'s scale and bias are borrowed; its mean and var are those given.
  ChannelNorm(Activation mean, Activation var, BatchNormAffine affine, const Workspace& workspace);

  const BatchNormAffine& affine() const { return affine_; }
  ConstTensorView mean() const { return affine_.mean; }
  ConstTensorView mul() const { return mul_; }
  ConstTensorView bias() const { return affine_.bias.size() != 0 ? affine_.bias : ConstTensorView(zeros_); }

 private:
  Activation mean_, var_;  // what affine_ points to
  BatchNormAffine affine_;
  Tensor mul_;
  Tensor zeros_;  // for a BatchNorm without a bias
};

/// relu?(norm(base) + addend).
struct Normalized {
  Activation base;  // null: it was never kept (folded)
  std::shared_ptr<const ChannelNorm> norm;
  Activation addend = nullptr;
  bool added = false;  // there was an addend: what a ReLU let pass is known from the values alone
  bool relu = false;
  float upper = std::numeric_limits<float>::infinity();  // of the ReLU
  bool folded = false;                                   // see FoldedNorm; known from the values alone too
  std::optional<Scope> scope = std::nullopt;             // of the BatchNorm, for the values

  /// Whether a convolution can compute it as it loads base.
  bool IsPrologue() const { return base != nullptr && base.has_values() && !added; }
  Conv2dPrologue Prologue() const;
  /// The same for what comes out of a convolution; the addend too.
  Conv2dEpilogue Epilogue() const;
};

/// A BatchNorm whose statistics are constants is a part of the convolution before it, y = conv(x)·mul + constant:
/// neither conv(x) nor its gradient mul·g is ever made. With the filter's gradient G of g in place of mul·g,
///
///   grad_filter = mul·G;  Σ g·conv(x) = Σ filter·G over taps and input channels, of which grad_scale is made.
struct FoldedNorm {
  std::shared_ptr<const ChannelNorm> norm;
  std::vector<double> sum;  // [C], Σ g
  TensorView grad_scale{};  // [C], to be written; empty: not wanted
};

/// Two handles of the memory of `values`, which goes back with the last of them.
std::pair<Tensor, Tensor> Share(Tensor values);

/// d loss / d activation on its way back.
struct ActivationGradient {
  Tensor values{};
  /// Given where the activation is Normalized and its reader gathered them: Σ values and Σ values·(base − mean). The
  /// values are then the gradient of norm(base) + addend: 0 where the ReLU let nothing pass.
  std::optional<BatchNormSums> sums = std::nullopt;
  /// Given, the values are the gradient of what this made of the activation, a convolution's output.
  std::optional<FoldedNorm> folded = std::nullopt;
};

}  // namespace hwynn

#endif  // HWYNN_MODULE_FUSION_H_
