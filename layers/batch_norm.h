#ifndef HWYNN_LAYERS_BATCH_NORM_H_
#define HWYNN_LAYERS_BATCH_NORM_H_

#include <limits>
#include <optional>
#include <span>

#include "hwynn/core/export.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/module/module.h"

namespace HWYNN_EXPORT hwynn {

/// Flax's defaults, but for the variance: kFast is Flax's, kStable stays accurate where |mean| ≫ deviation.
struct BatchNormOptions {
  // The axis of the channels; statistics are over all others. Negative counts from the end. Any but the last costs
  // a transposition each way.
  int axis = -1;
  // The fraction of the running statistics that a step KEEPS: running = momentum·running + (1 − momentum)·batch.
  // The opposite of PyTorch, whose 0.1 is 0.9 here. std::nullopt, PyTorch's None: the mean over all steps so far, which
  // batch_stats/count [1] counts (PyTorch's num_batches_tracked).
  std::optional<double> momentum = 0.99;
  float epsilon = 1e-5f;
  bool use_scale = true;
  bool use_bias = true;
  Initializer scale_init = initializers::Ones();
  Initializer bias_init = initializers::Zeros();
  Variance variance = Variance::kStable;
  // Unset: batch statistics in training mode, running ones in evaluation. true: running statistics in training too,
  // which stay as they are ("frozen", for fine-tuning); scale and bias still learn. false: the batch's always.
  // See BatchNormCall for a choice that is made in the call.
  std::optional<bool> use_running_average = std::nullopt;
  // Ghost batches: with batch statistics, each so many images (along the first axis) are a batch of their own, which
  // has its own statistics and updates the running ones; what is left over is a smaller one. 0: as the call has it
  // (CallContext::ghost_batch_size), which is none unless it says so.
  int64_t ghost_batch_size = 0;
  // Ends in a ReLU, clipped to [0, upper], in the same pass over memory.
  bool relu = false;
  float upper = std::numeric_limits<float>::infinity();  // 6: ReLU6
};

/// What may be given in the call: for modules that call a BatchNorm of theirs. Backward takes what Forward took.
struct BatchNormCall {
  // As in BatchNormOptions. Given there too: with Linen's rules an error, with NNX's this one counts.
  std::optional<bool> use_running_average = std::nullopt;
  // A byte for each position, that is all axes but the channels', or empty. Positions with 0 are left out of the
  // statistics; they are normalised all the same.
  std::span<const uint8_t> mask = {};
};

/// Batch normalisation over all axes but one, the channels:
///
///   output = relu?((input − mean)·(scale/√(var + epsilon)) + bias)
///
/// with the batch's mean and biased variance, or the running ones. Batch statistics update the running ones, so
/// CallContext::updates must hold batch_stats.
///
/// Shapes: input and output [...,C], or C on another axis; with ghost batches not on the first.
/// Variables: params/scale, params/bias [C]; batch_stats/mean (first 0), batch_stats/var (first 1) [C]; without
/// momentum batch_stats/count [1].
/// Tape: input, mean and var that were used; after ForwardAdd with relu the output too.
class BatchNorm final : public FusingModule {
 public:
  explicit BatchNorm(BatchNormOptions options = {});

  std::string_view TypeName() const override { return "BatchNorm"; }
  Shape Init(InitScope scope, const Shape& input) const override;
  using FusingModule::Backward;
  using FusingModule::Forward;
  Activation ForwardFused(const Scope& scope, Activation input) const override;
  ActivationGradient BackwardFused(const Scope& scope, ActivationGradient grad_output,
                                   Tensor grad_input) const override;
  GraphValue AppendTo(Graph& graph, const Scope& scope, GraphValue input) const override;

  Activation Forward(const Scope& scope, Activation input, const BatchNormCall& call) const;
  Tensor Backward(const Scope& scope, Tensor grad_output, const BatchNormCall& call) const;

  /// How a residual block ends, in one pass: relu?(batch_norm(input) + residual). Shapes: residual as input; the
  /// channels are the last axis. Its backward pass is BackwardAdd, never Backward.
  Activation ForwardAdd(const Scope& scope, Activation input, Activation residual) const;

  struct AddGradients {
    ActivationGradient input;
    Tensor residual;
  };
  /// Backward of ForwardAdd.
  AddGradients BackwardAdd(const Scope& scope, ActivationGradient grad_output) const;

  /// Whether it multiplies by and adds constants in evaluation: it has running statistics, over the last axis.
  bool IsConstant(const Scope& scope) const;
  /// What ForwardAdd computes in evaluation, of one that IsConstant.
  GraphValue AppendAddTo(Graph& graph, const Scope& scope, GraphValue input, GraphValue residual) const;

 private:
  bool UsesRunningAverage(const Scope& scope, const BatchNormCall& call) const;
  // What a call with batch statistics updates; empty where it updates nothing.
  struct Running {
    TensorView mean, var, count;
  };
  Running RunningStatistics(const Scope& scope) const;
  void Update(const Scope& scope, const Running& running, int64_t images, const Tensor& mean, const Tensor& var) const;
  BatchNormAffine Affine(const Scope& scope, ConstTensorView mean, ConstTensorView var) const;
  BatchNormOp ConstantOp(const Scope& scope) const;
  // batch_norm(input), to be computed, without relu; saves what Backward needs. Channels last.
  Normalized Normalize(const Scope& scope, Activation input, const BatchNormCall& call) const;
  void SetRelu(Normalized& normalized) const;
  // What Forward left on the tape.
  struct Kept {
    Activation output;  // null: not needed
    Activation var, mean;
    Activation input;  // null: the norm was folded into the convolution before it
  };
  static Kept TakeKept(const Scope& scope, const Module* owner);
  struct BackwardCall;
  void Differentiate(const Scope& scope, const Kept& kept, const BackwardCall& backward) const;
  // The same where the norm was folded: masks grad_output and sums it up.
  FoldedNorm Fold(const Scope& scope, const Kept& kept, ActivationGradient& grad_output) const;

  // Ghost batches (layers/ghost_batches.cc). Their images; 0: the batch is one.
  int64_t GhostBatchSize(const Scope& scope, const BatchNormCall& call, const Shape& input) const;
  // Normalize, computed: relu?(batch_norm(input) + residual), where there is one. Channels last.
  Activation NormalizeGhosts(const Scope& scope, const Activation& input, const BatchNormCall& call,
                             ConstTensorView residual) const;
  // Writes what `args` of the whole batch have to be written; their mean and var are those of all ghost batches.
  void DifferentiateGhosts(const Scope& scope, const Kept& kept, int64_t images, BatchNormBackwardArgs args) const;

  BatchNormOptions options_;
};

}  // namespace hwynn

#endif  // HWYNN_LAYERS_BATCH_NORM_H_
