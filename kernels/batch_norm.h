#ifndef HWYNN_KERNELS_BATCH_NORM_H_
#define HWYNN_KERNELS_BATCH_NORM_H_

// Batch normalisation over all axes but the last: NHWC images (N,H,W reduced) and [N,C] rows alike. M is the
// number of reduced positions, C the channels.
//
//   forward:  moments → (merge) → finalize → normalize
//   backward: sums → (merge) → gradients of scale and bias, gradient of the input
//
// Each step is a kernel of its own, so that processes that each hold a part of the batch can merge moments and sums
// between the steps; BatchNormStatistics and BatchNormBackward are the same steps in one call, with the same bits.
//
// Determinism: the same bits for any number of threads and on every instruction set with a fused multiply-add.
// Throws: std::invalid_argument for shapes that don't fit, before anything is written.

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"
#include "hwynn/core/workspace.h"

namespace HWYNN_EXPORT hwynn {

/// How the biased variance is computed; docs/numerics.md has the measured errors.
enum class Variance {
  kStable,   // one pass: f32 sums over blocks of up to 64 rows, shifted by the mean so far; merged in f64 (Chan)
  kFast,     // Flax's use_fast_variance: max(0, E[x²] − E[x]²), the two means and their difference rounded to f32
  kTwoPass,  // mean first, then E[(x − mean)²]
};

/// What some of the rows say about each channel. A default one stands for no rows at all.
struct BatchNormMoments {
  double count = 0;          // rows: values of a channel
  std::vector<double> mean;  // [C]
  std::vector<double> m2;  // [C], Σ (x − mean)²; with kFast Σx² − count·mean², which roundings may make negative
};

/// Gathers the moments of input's rows: count, mean[c] = Σ x / count, m2[c] = Σ (x − mean[c])².
/// Shapes: input [...,C]; mask: M bytes or empty: rows with 0 are left out. A mask may leave none: count is 0 then.
/// Cost: one pass over the input; two with kTwoPass, and under a mask but for kFast.
/// Numerics: sums of 64 rows in f32, such sums in f64. A channel whose squares overflow or underflow in f32 is summed
/// in f64 from the start, so its moments are right wherever the values are finite. NaN stays in its channel.
BatchNormMoments BatchNormGatherMoments(ConstTensorView input, Variance variance, const Workspace& workspace,
                                        std::span<const uint8_t> mask = {});

/// Adds the moments of `other` rows to `moments`, in f64 (Chan). Counts may differ, and either may be 0.
/// Determinism: the order of merges decides the last bits.
void BatchNormMerge(const BatchNormMoments& other, BatchNormMoments& moments);

/// mean[c] = the moments' mean; var[c] = m2/count (biased), never negative. With kFast var = max(0, E[x²] − mean²)
/// in f32, where E[x²] = m2/count + mean². A variance beyond f32 is infinite; with kFast it is NaN where mean² is
/// infinite too.
/// Shapes: mean, var [C]. Throws: also for moments of no rows.
void BatchNormFinalize(const BatchNormMoments& moments, Variance variance, TensorView mean, TensorView var);

/// BatchNormGatherMoments and BatchNormFinalize: mean[c] = Σ input[…,c] / M; var[c] = Σ (input[…,c] − mean[c])² / M.
void BatchNormStatistics(ConstTensorView input, Variance variance, TensorView mean, TensorView var,
                         const Workspace& workspace, std::span<const uint8_t> mask = {});

/// running = momentum·running + (1 − momentum)·batch for mean and var, one fused multiply-add each. momentum is the
/// fraction kept (Flax), the opposite of PyTorch's; 1 − momentum is formed in double.
void BatchNormUpdateRunning(double momentum, ConstTensorView batch_mean, ConstTensorView batch_var,
                            TensorView running_mean, TensorView running_var);

/// What normalises: y = (x − mean)·(scale/√(var+epsilon)) + bias. Empty scale means 1, empty bias 0. The factor is
/// formed in double and rounded once.
struct BatchNormAffine {
  ConstTensorView mean{};   // [C]
  ConstTensorView var{};    // [C]
  ConstTensorView scale{};  // [C] or empty
  ConstTensorView bias{};   // [C] or empty
  float epsilon = 1e-5f;
};

struct BatchNormNormalizeOptions {
  ConstTensorView residual{};  // [...,C], as the input, or empty
  // Of the residual, which is normalised by it before it is added, with the bits of a BatchNormNormalize of its own: a
  // block that ends with a projection and its norm. Without a mean the residual is added as it is.
  BatchNormAffine residual_affine{};
  bool relu = false;                                     // clips to [0, upper]
  float upper = std::numeric_limits<float>::infinity();  // 0 or more; 6: ReLU6
};

/// output = relu?((input − mean)·(scale/√(var+epsilon)) + bias + residual): inference, and the last step of
/// training's forward pass.
/// Shapes: input and output [...,C] alike. Aliasing: output may be input or residual. Cost: one pass.
void BatchNormNormalize(ConstTensorView input, const BatchNormAffine& affine, TensorView output,
                        const BatchNormNormalizeOptions& options = {});

/// mul[c] = scale[c]/√(var[c]+epsilon), formed in double, as BatchNormNormalize has it: with mean and bias what a
/// convolution's prologue or epilogue takes (kernels/conv2d.h). Shapes: mul [C]; the affine's mean isn't looked at.
void BatchNormMul(const BatchNormAffine& affine, TensorView mul);

/// Gradients of y = relu?(batch_norm(input) + residual) in training mode. g = grad_output, with relu 0 but where
/// 0 < y < upper (without an upper end infinity lets its gradient pass);
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
  float upper = std::numeric_limits<float>::infinity();
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

/// What the gradients of some of the rows come to in each channel. A default one stands for no rows at all.
struct BatchNormSums {
  double count = 0;                   // rows that the statistics were made of
  std::vector<double> grad;           // [C], Σ g
  std::vector<double> grad_centered;  // [C], Σ g·(input − mean)
};

/// The first step of BatchNormBackward: gathers the sums over args' rows, and writes grad_residual if it is wanted.
/// Numerics: as in BatchNormGatherMoments; a sum that overflows in f32 is made in f64.
BatchNormSums BatchNormBackwardSums(const BatchNormBackwardArgs& args, const Workspace& workspace);

/// Sums of the two norms that meet at a residual block's end: y = relu?(norm(input) + norm(residual)).
struct BatchNormJoinSums {
  BatchNormSums input;
  BatchNormSums residual;
};

/// BatchNormBackwardSums of both norms, which see the same g, in one pass over args' arrays and the residual: what
/// args gives, and with the same bits what a call of its own would give for `residual` and `residual_mean` in the
/// places of input and mean. grad_residual, if it is wanted, is g: both norms' grad_output for BatchNormBackwardInput,
/// without relu. Shapes: residual [...,C], as the input; residual_mean [C]. Throws: also with relu and without output.
BatchNormJoinSums BatchNormBackwardJoinSums(const BatchNormBackwardArgs& args, ConstTensorView residual,
                                            ConstTensorView residual_mean, const Workspace& workspace);

/// Adds the sums of `other` rows to `sums`. Either may be of no rows.
void BatchNormMerge(const BatchNormSums& other, BatchNormSums& sums);

/// grad_scale and grad_bias of args, as far as they are wanted, from the sums of the rows that they are to count.
void BatchNormBackwardParams(const BatchNormBackwardArgs& args, const BatchNormSums& sums);

/// The last step: grad_input of args' rows, from the sums of all rows that mean and var were made of. A grad_residual
/// among the args is read in grad_output's place, as BatchNormBackwardSums left it. With frozen_statistics the sums
/// aren't looked at.
void BatchNormBackwardInput(const BatchNormBackwardArgs& args, const BatchNormSums& sums);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_BATCH_NORM_H_
