#ifndef HWYNN_INFERENCE_PROGRAM_SHAPE_PLAN_H_
#define HWYNN_INFERENCE_PROGRAM_SHAPE_PLAN_H_

// Not for users: a program for inputs of one shape. Convolutions are planned, values have their places in memory.

#include <memory>
#include <optional>
#include <vector>

#include "hwynn/core/workspace.h"
#include "hwynn/inference/program/program.h"
#include "hwynn/kernels/conv2d_plan.h"
#include "hwynn/module/packed_filters.h"
#include "hwynn/module/scope.h"

namespace hwynn {

/// What runs of a program share.
struct ProgramResources {
  const Program* program;
  const Variables* variables;  // of modules that are called; null where there are none
  PackedFilters* packed_filters;
  bool batch_invariant;
  std::optional<Precision> precision;  // in place of the steps' own
};

class ShapePlan {
 public:
  /// Throws std::invalid_argument for inputs that the program doesn't take. Modules of a user's own are called once, on
  /// zeros: what they make says what shapes follow.
  ShapePlan(const ProgramResources& resources, const Shape& input, const Workspace& workspace);

  const Shape& input() const { return values_.front().shape; }
  const Shape& output() const { return values_[static_cast<size_t>(resources_.program->output)].shape; }
  /// What Run needs beside the workspace.
  int64_t memory_bytes() const { return memory_bytes_; }

  /// The packed filters that it uses, which live as long as the plan.
  PackedSteps packed() const;

  /// Runs the program; the result lies in `memory`, or is `input` itself.
  ConstTensorView Run(ConstTensorView input, std::byte* memory, const Workspace& workspace);

 private:
  struct Value {
    Shape shape{0};
    int root = 0;         // the value whose memory this one has; of a value with its own, itself
    int64_t offset = -1;  // in the memory, of roots; −1: elsewhere
  };
  struct Step {
    std::optional<Conv2dPlan> conv{};
    std::shared_ptr<const PackedConv2dFilter> packed{};
    Activation output{};  // of a module that was called
    // Of a convolution that a max pool behind it runs, so many images at a time; 0: it runs by itself.
    int64_t group = 0;
  };

  Shape PlanStep(int index, const Workspace& workspace);
  Shape PlanProduct(int index, Conv2dParams params, const Shape& input);
  int64_t GroupFor(int index, const Shape& output) const;
  void PlaceValues();
  void CheckSize(int64_t bytes) const;
  Activation CallModule(const ProgramStep& step, ConstTensorView input, const Workspace& workspace) const;

  ConstTensorView ValueOf(int value) const;
  TensorView Place(int value) const;
  // Of the step that makes a value: Step::group, and the images that it is given.
  int64_t GroupOf(int value) const { return value > 0 ? steps_[static_cast<size_t>(value) - 1].group : 0; }
  int64_t ImagesOf(int value) const {
    const ProgramStep& step = resources_.program->steps[static_cast<size_t>(value) - 1];
    return values_[static_cast<size_t>(step.input)].shape[0];
  }
  void RunStep(int index, const Workspace& workspace);
  void RunProduct(int index, ConstTensorView input, ConstTensorView addend, TensorView output,
                  const Workspace& workspace) const;
  void RunGroups(int pool, const Workspace& workspace);

  ProgramResources resources_;
  std::vector<Step> steps_;
  std::vector<Value> values_;  // 0: the input
  int64_t memory_bytes_ = 0;
  // Of the call that runs.
  const float* input_ = nullptr;
  std::byte* memory_ = nullptr;
};

}  // namespace hwynn

#endif  // HWYNN_INFERENCE_PROGRAM_SHAPE_PLAN_H_
