#ifndef HWYNN_KERNELS_CONV2D_PLAN_H_
#define HWYNN_KERNELS_CONV2D_PLAN_H_

// Convolutions (conv2d.h) that are called more than once: filters packed once, passes planned once.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "hwynn/core/export.h"
#include "hwynn/kernels/conv2d.h"

namespace HWYNN_EXPORT hwynn {

/// A filter in the form that one pass reads: made once, used for any number of calls. Training makes it once a step at
/// most, inference once. It depends on the filter, the groups, the pass, the algorithm and the target alone: one serves
/// images of every size, in every batch, at every stride, dilation and padding that its algorithm supports.
class PackedConv2dFilter {
 public:
  /// Empty.
  PackedConv2dFilter() = default;
  /// `filter` [KH,KW,IC/groups,OC]. Throws std::invalid_argument for backward-filter, which reads no filter, for an
  /// algorithm that the pass doesn't have, and for filters that it can't take.
  PackedConv2dFilter(Conv2dPass pass, std::string_view algorithm, ConstTensorView filter, int64_t groups,
                     const Workspace& workspace);

  /// A filter of shape `filter` that was packed before, for the current target: `packed` is what data() held, and
  /// `keeper` keeps it. That it is nothing else isn't checked. Throws std::invalid_argument as the constructor does,
  /// for another number of floats, and for an address that isn't a multiple of kTensorAlignmentBytes.
  static PackedConv2dFilter Borrow(Conv2dPass pass, std::string_view algorithm, const Shape& filter, int64_t groups,
                                   std::span<const float> packed, std::shared_ptr<const void> keeper);

  Conv2dPass pass() const { return pass_; }
  std::string_view algorithm() const { return algorithm_; }
  const std::string& target() const { return target_; }
  const Shape& filter_shape() const { return filter_shape_; }
  int64_t groups() const { return groups_; }
  int64_t bytes() const { return static_cast<int64_t>(packed_.size_bytes()); }
  /// In the algorithm's own layout.
  const float* data() const { return packed_.data(); }

 private:
  // Without memory.
  PackedConv2dFilter(Conv2dPass pass, std::string_view algorithm, const Shape& filter, int64_t groups);

  Conv2dPass pass_ = Conv2dPass::kForward;
  std::string_view algorithm_;
  std::string target_;
  Shape filter_shape_{0};
  int64_t groups_ = 1;
  int64_t m_ = 0;  // of the algorithm's row
  std::span<const float> packed_;
  Buffer memory_;  // of packed_; empty where somebody else has it:
  std::shared_ptr<const void> keeper_;
};

/// Packs `filter` with the algorithm that the dispatcher takes for inputs of shape `input`, or the one named.
PackedConv2dFilter PackConv2dFilter(Conv2dPass pass, const Conv2dParams& params, const Shape& input,
                                    ConstTensorView filter, const Workspace& workspace,
                                    std::string_view algorithm = {});

/// The passes on packed filters; the same numbers as without. A filter that was packed for another pass, target, shape
/// or groups, or by an algorithm that doesn't support the call's geometry or precision, is refused:
/// std::invalid_argument.
void Conv2dForward(const Conv2dParams& params, ConstTensorView input, const PackedConv2dFilter& filter,
                   TensorView output, const Workspace& workspace, const Conv2dForwardOptions& options = {});
void Conv2dBackwardInput(const Conv2dParams& params, ConstTensorView grad_output, const PackedConv2dFilter& filter,
                         TensorView grad_input, const Workspace& workspace,
                         const Conv2dBackwardInputOptions& options = {});

// What the calls of a plan will bring.

struct Conv2dForwardPlanOptions {
  std::string_view algorithm{};
  bool packed_filter = false;  // a PackedConv2dFilter instead of the filter
  bool prologue = false;       // with a prologue, maybe
  bool statistics = false;     // whose statistics are wanted, maybe
};

struct Conv2dBackwardInputPlanOptions {
  std::string_view algorithm{};
  bool packed_filter = false;
  bool epilogue = false;  // with an epilogue, maybe
};

struct Conv2dBackwardFilterPlanOptions {
  std::string_view algorithm{};
  bool prologue = false;  // with a prologue, maybe
};

/// One pass of one convolution, made once from its params and shapes: geometry, algorithm, how the work is cut, memory.
/// Runs any number of times on other arrays; the functions above make one in each call.
///
/// Threads: const, calls may share one. Plans are for the target that they were made on.
class Conv2dPlan {
 public:
  /// Throw std::invalid_argument as ResolveConv2d does, and for an algorithm that doesn't support it.
  static Conv2dPlan Forward(const Conv2dParams& params, const Shape& input, const Shape& filter,
                            const Conv2dForwardPlanOptions& options = {});
  static Conv2dPlan BackwardInput(const Conv2dParams& params, const Shape& input, const Shape& filter,
                                  const Conv2dBackwardInputPlanOptions& options = {});
  static Conv2dPlan BackwardFilter(const Conv2dParams& params, const Shape& input, const Shape& filter,
                                   const Conv2dBackwardFilterPlanOptions& options = {});

  Conv2dPass pass() const;
  const Conv2dGeometry& geometry() const;
  std::string_view algorithm() const;
  const std::string& target() const;
  /// Scratch memory that each thread keeps, and what a call takes of its workspace for its own time: a packed filter,
  /// partial sums, statistics. (A residual that is the output itself may be copied: as much as the output on top.)
  int64_t scratch_bytes() const;
  int64_t temporary_bytes() const;
  /// One line a row of the table, which was taken and why those before declined, and one of the memory.
  std::string Explain() const;

  /// The passes, as the functions of their names. `options.algorithm` must be empty or the plan's.
  void RunForward(ConstTensorView input, ConstTensorView filter, TensorView output, const Workspace& workspace,
                  const Conv2dForwardOptions& options = {}) const;
  void RunForward(ConstTensorView input, const PackedConv2dFilter& filter, TensorView output,
                  const Workspace& workspace, const Conv2dForwardOptions& options = {}) const;
  void RunBackwardInput(ConstTensorView grad_output, ConstTensorView filter, TensorView grad_input,
                        const Workspace& workspace, const Conv2dBackwardInputOptions& options = {}) const;
  void RunBackwardInput(ConstTensorView grad_output, const PackedConv2dFilter& filter, TensorView grad_input,
                        const Workspace& workspace, const Conv2dBackwardInputOptions& options = {}) const;
  void RunBackwardFilter(ConstTensorView input, ConstTensorView grad_output, TensorView grad_filter,
                         const Workspace& workspace, const Conv2dBackwardFilterOptions& options = {}) const;

 private:
  struct State;  // plan.cc
  friend std::string ExplainConv2d(Conv2dPass, const Conv2dGeometry&, Precision);
  explicit Conv2dPlan(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  std::shared_ptr<const State> state_;
};

/// Conv2dPlan::Explain of the plan that such calls make.
std::string ExplainConv2d(Conv2dPass pass, const Conv2dGeometry& geometry, Precision precision = Precision::kDefault);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_PLAN_H_
