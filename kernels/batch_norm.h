#ifndef HWYNN_KERNELS_BATCH_NORM_H_
#define HWYNN_KERNELS_BATCH_NORM_H_

// Batch normalisation over all axes but the last: NHWC images (N,H,W reduced) and [N,C] rows alike. M is the
// number of reduced positions, C the channels.

#include <cstdint>
#include <span>

#include "hwynn/core/tensor.h"
#include "hwynn/core/workspace.h"

namespace hwynn {

/// How the biased variance is computed; docs/numerics.md has the measured errors.
enum class Variance {
  kStable,   // one pass: f32 sums over 64-row blocks, each shifted by the mean of its first rows; merged in f64 (Chan)
  kFast,     // Flax's use_fast_variance: max(0, E[x²] − E[x]²), in f32
  kTwoPass,  // mean first, then E[(x − mean)²]
};

/// mean[c] = Σ input[…,c] / M; var[c] = Σ (input[…,c] − mean[c])² / M (biased).
/// Shapes: input [...,C]; mean, var [C]; mask: M bytes or empty: rows with 0 are left out of the sums and of M.
void BatchNormStatistics(ConstTensorView input, Variance variance, TensorView mean, TensorView var,
                         const Workspace& workspace, std::span<const uint8_t> mask = {});

/// What normalises: y = (x − mean)·(scale/√(var+epsilon)) + bias. Empty scale means 1, empty bias 0.
struct BatchNormAffine {
  ConstTensorView mean{};   // [C]
  ConstTensorView var{};    // [C]
  ConstTensorView scale{};  // [C] or empty
  ConstTensorView bias{};   // [C] or empty
  float epsilon = 1e-5f;
};

/// output = relu?((input − mean)·(scale/√(var+epsilon)) + bias + residual): inference, and the second half of
/// training's forward pass.
/// Shapes: input, output and residual [...,C] alike; residual may be empty. Aliasing: output may be input or residual.
void BatchNormNormalize(ConstTensorView input, const BatchNormAffine& affine, ConstTensorView residual, bool relu,
                        TensorView output);

/// mul[c] = scale[c]/√(var[c]+epsilon), formed in double, as BatchNormNormalize has it: with mean and bias what a
/// convolution's prologue or epilogue takes (kernels/conv2d.h). Shapes: mul [C]; the affine's mean isn't looked at.
void BatchNormMul(const BatchNormAffine& affine, TensorView mul);

/// running = momentum·running + (1 − momentum)·batch for mean and var, one fused multiply-add each. momentum is the
/// fraction kept (Flax), the opposite of PyTorch's; 1 − momentum is formed in double.
void BatchNormUpdateRunning(double momentum, ConstTensorView batch_mean, ConstTensorView batch_var,
                            TensorView running_mean, TensorView running_var);

/// Gradients of y = relu?(batch_norm(input) + residual) in training mode. g = grad_output, with relu 0 but where y > 0;
/// r = 1/√(var+epsilon), x̂ = (input − mean)·r:
///   grad_bias = Σ g;  grad_scale = Σ g·x̂;  grad_input = scale·r/M · (M·g − Σg − x̂·Σ(g·x̂));  grad_residual = g.
/// Aliasing: grad_input or grad_residual may be grad_output, the cheapest place for either; not both.
/// Cost: two passes that read input and grad_output, with relu and a residual also output once; grad_input is written
/// once and grad_residual, unless it is grad_output and there is no relu, once: the second pass reads it instead.
struct BatchNormBackwardArgs {
  ConstTensorView input{};  // [...,C], what Forward saw
  // [...,C], y: needed with relu where a residual was added, also if grad_residual isn't wanted. Empty, y is normalised
  // from the input again, without a residual, with the bits that BatchNormNormalize gives on the same target.
  ConstTensorView output{};
  ConstTensorView grad_output{};  // [...,C]
  BatchNormAffine affine{};       // mean and var of the batch (of the running averages with frozen_statistics)
  bool relu = false;
  bool frozen_statistics = false;  // mean and var are constants (evaluation mode): grad_input = scale·r·g
  // The factor on the variance's part of the gradient where var is exactly 0, as max(0, ·) has it in Flax's fast
  // form: 0.5. 1 for the other forms.
  float zero_variance_factor = 1.0f;
  std::span<const uint8_t> mask = {};  // as in BatchNormStatistics

  TensorView grad_input{};     // [...,C]; empty: not wanted
  TensorView grad_residual{};  // [...,C] or empty
  TensorView grad_scale{};     // [C] or empty
  TensorView grad_bias{};      // [C] or empty
};
void BatchNormBackward(const BatchNormBackwardArgs& args, const Workspace& workspace);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_BATCH_NORM_H_
