// The passes: a plan a call.

#include "hwynn/kernels/conv2d.h"

#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d_plan.h"

namespace hwynn {
namespace {

Conv2dForwardPlanOptions PlanOptions(const Conv2dForwardOptions& options) {
  return {.algorithm = options.algorithm,
          .prologue = !options.prologue.empty(),
          .statistics = options.epilogue.mean.size() != 0};
}

Conv2dBackwardInputPlanOptions PlanOptions(const Conv2dBackwardInputOptions& options) {
  return {.algorithm = options.algorithm, .epilogue = !options.epilogue.empty()};
}

// What a packed filter says about its calls.
template <class PlanOptions>
PlanOptions ForPacked(PlanOptions options, const PackedConv2dFilter& filter) {
  if (options.algorithm.empty()) options.algorithm = filter.algorithm();
  options.packed_filter = true;
  return options;
}

}  // namespace

void Conv2dForward(const Conv2dParams& params, ConstTensorView input, ConstTensorView filter, TensorView output,
                   const Workspace& workspace, const Conv2dForwardOptions& options) {
  Conv2dPlan::Forward(params, input.shape(), filter.shape(), PlanOptions(options))
      .RunForward(input, filter, output, workspace, options);
}

void Conv2dForward(const Conv2dParams& params, ConstTensorView input, const PackedConv2dFilter& filter,
                   TensorView output, const Workspace& workspace, const Conv2dForwardOptions& options) {
  Check(filter.bytes() != 0, "Conv2dForward: the packed filter is empty");
  Conv2dPlan::Forward(params, input.shape(), filter.filter_shape(), ForPacked(PlanOptions(options), filter))
      .RunForward(input, filter, output, workspace, options);
}

void Conv2dBackwardInput(const Conv2dParams& params, ConstTensorView grad_output, ConstTensorView filter,
                         TensorView grad_input, const Workspace& workspace, const Conv2dBackwardInputOptions& options) {
  Conv2dPlan::BackwardInput(params, grad_input.shape(), filter.shape(), PlanOptions(options))
      .RunBackwardInput(grad_output, filter, grad_input, workspace, options);
}

void Conv2dBackwardInput(const Conv2dParams& params, ConstTensorView grad_output, const PackedConv2dFilter& filter,
                         TensorView grad_input, const Workspace& workspace, const Conv2dBackwardInputOptions& options) {
  Check(filter.bytes() != 0, "Conv2dBackwardInput: the packed filter is empty");
  Conv2dPlan::BackwardInput(params, grad_input.shape(), filter.filter_shape(), ForPacked(PlanOptions(options), filter))
      .RunBackwardInput(grad_output, filter, grad_input, workspace, options);
}

void Conv2dBackwardFilter(const Conv2dParams& params, ConstTensorView input, ConstTensorView grad_output,
                          TensorView grad_filter, const Workspace& workspace,
                          const Conv2dBackwardFilterOptions& options) {
  Conv2dPlan::BackwardFilter(params, input.shape(), grad_filter.shape(),
                             {.algorithm = options.algorithm, .prologue = !options.prologue.empty()})
      .RunBackwardFilter(input, grad_output, grad_filter, workspace, options);
}

}  // namespace hwynn
