#ifndef HWYNN_TESTS_SUPPORT_MODULE_BED_H_
#define HWYNN_TESTS_SUPPORT_MODULE_BED_H_

// What it takes to run a module, and a check of its Backward.

#include <vector>

#include "hwynn/module/module.h"

namespace hwynn::testing {

/// A module with its variables, an input, gradients, tape and memory. Params and running statistics are moved away
/// from their initial values, so that nothing is 0 or 1 by chance.
class ModuleBed {
 public:
  explicit ModuleBed(const Module& module, const Shape& input_shape, uint32_t seed = 1);

  /// All that a training step has, in either mode. Its rules are those of a new call, with a dropout key.
  CallContext Context(Mode mode);
  Activation Forward(Mode mode);
  /// Forward, then Backward with `grad_output`.
  Tensor Backward(Mode mode, const Tensor& grad_output);

  const Module& module;
  Workspace workspace;
  Variables variables;
  Gradients gradients;
  Tape tape;
  LinenRules rules;
  Tensor input;
  // Of the context.
  bool fusion = true;
  BatchStatistics statistics = BatchStatistics::kUpdate;
  int64_t ghost_batch_size = 0;
  StatisticsAverages* averages = nullptr;
};

/// How far apart differences are taken, and how much they may differ from Backward, relative to the gradient's norm:
/// a gradient that lacks a term is off by much of it.
struct DifferenceOptions {
  double step = 1.0 / 128;
  double tolerance = 3e-3;
};

/// Compares Backward with differences of Forward, along random directions in the input and in each param, for the
/// loss Σ grad_output·output. The differences are central, extrapolated to step 0. For modules without ReLU, at whose
/// corners differences are wrong: those are compared with their definition (double_net.h).
void CheckGradients(const Module& module, const Shape& input_shape, Mode mode = Mode::kTrain,
                    const DifferenceOptions& options = {});

/// "path[shape]" of each array, sorted, as in "Dense_0/kernel[3,4]".
std::vector<std::string> Describe(const Collection& collection);
std::vector<std::string> Describe(const Gradients& gradients);

/// Largest |a − b| of arrays of one size; infinite where it is NaN anywhere.
double MaxDifference(ConstTensorView a, ConstTensorView b);

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_SUPPORT_MODULE_BED_H_
