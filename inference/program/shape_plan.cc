#include "hwynn/inference/program/shape_plan.h"

#include <algorithm>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/inference/program/memory_plan.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/elementwise.h"
#include "hwynn/module/module.h"

namespace hwynn {
namespace {

using Kind = ProgramStep::Kind;

// A program of a few bytes may pad an image to any size: values may have so many bytes more than their input, and all
// together so many times as many.
constexpr int64_t kMostMoreBytes = int64_t{1} << 30;
constexpr int64_t kMostTimesBytes = 4096;

// What a dense layer multiplies: each row an image of one pixel, so that its sums don't depend on the others.
Shape Rows(const Shape& shape) { return {shape.num_elements() / shape.back(), 1, 1, shape.back()}; }

}  // namespace

ShapePlan::ShapePlan(const ProgramResources& resources, const Shape& input, const Workspace& workspace)
    : resources_(resources), steps_(resources.program->steps.size()) {
  Check(input.num_elements() > 0 && input.rank() >= 1, "InferenceModel: input ", input, " has no elements");
  values_.push_back({.shape = input});
  for (int i = 0; i < static_cast<int>(steps_.size()); ++i) {
    values_.push_back({.shape = PlanStep(i, workspace), .root = i + 1});
  }
  PlaceValues();
  CheckSize(memory_bytes_);
}

// How many images of a convolution's output its max pool is to take at a time: the output of a first layer is by far
// the largest value of a network, and read once. 0: all.
int64_t ShapePlan::GroupFor(int index, const Shape& output) const {
  constexpr int64_t kGroupBytes = 8 << 20;  // stays in the caches until it is read
  const std::vector<ProgramStep>& steps = resources_.program->steps;
  const int value = index + 1;
  const auto reads = [&](const ProgramStep& step) { return step.input == value || step.addend == value; };
  const bool pooled = value < static_cast<int>(steps.size()) &&
                      steps[static_cast<size_t>(value)].kind == Kind::kMaxPool &&
                      steps[static_cast<size_t>(value)].input == value && std::ranges::count_if(steps, reads) == 1 &&
                      resources_.program->output != value && steps[static_cast<size_t>(index)].addend < 0;
  if (!pooled || TensorBytes(output) <= 2 * kGroupBytes) return 0;
  int64_t group = std::max<int64_t>(1, output[0] * kGroupBytes / TensorBytes(output));
  while (output[0] % group != 0) --group;  // one plan for all
  return group < output[0] ? group : 0;
}

void ShapePlan::CheckSize(int64_t bytes) const {
  const int64_t input_bytes = TensorBytes(input());
  Check((bytes - kMostMoreBytes) / kMostTimesBytes <= input_bytes, "InferenceModel: an input ", input(),
        " makes values of ", bytes, " bytes, which is more than such a network can need");
}

Shape ShapePlan::PlanProduct(int index, Conv2dParams params, const Shape& input) {
  const ProgramStep& step = resources_.program->steps[static_cast<size_t>(index)];
  Step& plan = steps_[static_cast<size_t>(index)];
  if (resources_.precision) params.precision = *resources_.precision;
  plan.conv.emplace(Conv2dPlan::Forward(params, input, step.filter.shape(), {.packed_filter = true}));
  plan.packed = resources_.packed_filters->Get(PackedName(index), *plan.conv, step.filter);
  return plan.conv->geometry().output_shape();
}

Shape ShapePlan::PlanStep(int index, const Workspace& workspace) {
  const ProgramStep& step = resources_.program->steps[static_cast<size_t>(index)];
  const Shape& input = values_[static_cast<size_t>(step.input)].shape;
  const auto function = [&] { return StrCat("InferenceModel: \"/", step.path, "\""); };
  Shape output = input;
  switch (step.kind) {
    case Kind::kConv2d: {
      Conv2dParams params = step.conv;
      params.batch_invariant = resources_.batch_invariant;
      const int64_t group =
          GroupFor(index, ResolveConv2d(function(), params, input, step.filter.shape()).output_shape());
      steps_[static_cast<size_t>(index)].group = group;
      output = PlanProduct(index, params, group > 0 ? Shape{group, input[1], input[2], input[3]} : input);
      break;
    }
    case Kind::kDense: {
      const int64_t channels = step.filter.shape()[2];
      Check(input.rank() >= 2 && input.back() == channels, function(), ": input ", input, " must have ", channels,
            " features");
      Conv2dParams params = step.conv;
      params.batch_invariant = true;
      PlanProduct(index, params, Rows(input));
      output = input.WithLast(step.filter.shape().back());
      break;
    }
    case Kind::kNormalize:
      Check(input.back() == step.scale.size(), function(), ": input ", input, " must have ", step.scale.size(),
            " channels");
      break;
    case Kind::kRelu:
    case Kind::kAdd:
      break;
    case Kind::kMaxPool:
    case Kind::kAveragePool: {
      Shape images = input;
      if (GroupOf(step.input) > 0) images = {ImagesOf(step.input), input[1], input[2], input[3]};
      output = PoolOutputShape(function(), step.pool, images);
      break;
    }
    case Kind::kGlobalAveragePool:
      Check(input.rank() == 4, function(), ": input ", input, " must be [N,H,W,C]");
      output = {input[0], input[3]};
      break;
    case Kind::kFlatten:
      output = {input[0], input.num_elements() / input[0]};
      break;
    case Kind::kModule: {
      Tensor zeros = workspace.NewTensor(input);
      std::ranges::fill(zeros.span(), 0.0f);
      output = CallModule(step, zeros, workspace).shape();
      break;
    }
  }
  if (step.addend >= 0) {
    const Shape& addend = values_[static_cast<size_t>(step.addend)].shape;
    Check(addend == output, function(), ": adds ", addend, " to ", output);
  }
  CheckSize(TensorBytes(output));
  return output;
}

void ShapePlan::PlaceValues() {
  const std::vector<ProgramStep>& steps = resources_.program->steps;
  const auto end = static_cast<int>(steps.size());
  std::vector<int> last(values_.size(), -1);  // the last step that reads a value, itself or as another's memory
  const auto root = [&](int value) { return values_[static_cast<size_t>(value)].root; };
  for (int i = 0; i < end; ++i) {
    const ProgramStep& step = steps[static_cast<size_t>(i)];
    // What runs with the step behind it reads its input until then.
    last[static_cast<size_t>(step.input)] = steps_[static_cast<size_t>(i)].group > 0 ? i + 1 : i;
    if (step.addend >= 0) last[static_cast<size_t>(step.addend)] = i;
  }
  last[static_cast<size_t>(resources_.program->output)] = end;

  std::vector<Lifetime> lifetimes(values_.size());
  for (int i = 0; i < end; ++i) {
    const ProgramStep& step = steps[static_cast<size_t>(i)];
    Value& value = values_[static_cast<size_t>(i) + 1];
    const int source = root(step.input);
    // What nobody reads any more may be written over: an elementwise step's input, what a convolution adds. The
    // program's input isn't ours to write, and what a module made is const.
    const auto ends_here = [&](int array) {
      return array != 0 && lifetimes[static_cast<size_t>(array)].bytes != 0 &&
             lifetimes[static_cast<size_t>(array)].last == i;
    };
    const bool elementwise = step.kind == Kind::kNormalize || step.kind == Kind::kRelu || step.kind == Kind::kAdd;
    int place = -1;  // whose memory the value takes
    if (step.kind == Kind::kFlatten) place = source;
    if (elementwise && ends_here(source) && step.input != step.addend) place = source;
    if (step.multiplies() && step.addend >= 0) {
      const int addend = root(step.addend);
      if (addend != source && ends_here(addend)) place = addend;
    }
    const int read_until = std::max(last[static_cast<size_t>(i) + 1], i);
    if (place >= 0) {
      value.root = place;
      Lifetime& lifetime = lifetimes[static_cast<size_t>(place)];
      lifetime.last = std::max(lifetime.last, read_until);
    } else if (step.kind == Kind::kModule) {  // which may give what it got
      Lifetime& lifetime = lifetimes[static_cast<size_t>(source)];
      lifetime.last = std::max(lifetime.last, read_until);
    } else {
      lifetimes[static_cast<size_t>(i) + 1] = {.bytes = TensorBytes(value.shape), .first = i, .last = read_until};
    }
  }
  const MemoryPlan plan = PlanMemory(lifetimes);
  memory_bytes_ = plan.bytes;
  for (size_t value = 0; value < values_.size(); ++value) {
    if (lifetimes[value].bytes != 0) values_[value].offset = plan.offsets[value];
  }
}

Activation ShapePlan::CallModule(const ProgramStep& step, ConstTensorView input, const Workspace& workspace) const {
  const CallContext context{.workspace = &workspace,
                            .variables = resources_.variables,
                            .packed_filters = resources_.packed_filters,
                            .batch_invariant = resources_.batch_invariant};
  return step.module->Forward(Scope(context).Child(step.path), BorrowActivation(input)).Plain();
}

ConstTensorView ShapePlan::ValueOf(int value) const {
  const auto& [shape, root, offset] = values_[static_cast<size_t>(value)];
  if (root == 0) return {input_, shape};
  const int64_t place = values_[static_cast<size_t>(root)].offset;
  if (place < 0) return {steps_[static_cast<size_t>(root) - 1].output->data(), shape};
  return {reinterpret_cast<const float*>(memory_ + place), shape};
}

TensorView ShapePlan::Place(int value) const {
  const ConstTensorView place = ValueOf(value);
  return {const_cast<float*>(place.data()), place.shape()};  // in memory_, which is ours
}

void ShapePlan::RunProduct(int index, ConstTensorView input, ConstTensorView addend, TensorView output,
                           const Workspace& workspace) const {
  const ProgramStep& step = resources_.program->steps[static_cast<size_t>(index)];
  const Step& plan = steps_[static_cast<size_t>(index)];
  const Conv2dGeometry& geometry = plan.conv->geometry();
  const Shape output_shape = geometry.output_shape();
  Conv2dForwardOptions options;
  options.epilogue.bias = step.bias;
  if (step.addend >= 0) options.epilogue.residual = addend.Reshaped(output_shape);
  options.epilogue.relu = step.relu;
  options.epilogue.upper = step.upper;
  plan.conv->RunForward(input.Reshaped(geometry.input_shape()), *plan.packed, output.Reshaped(output_shape), workspace,
                        options);
}

// A max pool and the convolution before it, some images at a time.
void ShapePlan::RunGroups(int pool, const Workspace& workspace) {
  const std::vector<ProgramStep>& steps = resources_.program->steps;
  const int conv = pool - 1;
  const ConstTensorView images = ValueOf(steps[static_cast<size_t>(conv)].input);
  const TensorView between = Place(conv + 1);
  const TensorView output = Place(pool + 1);
  const int64_t group = steps_[static_cast<size_t>(conv)].group;
  for (int64_t first = 0; first < images.shape()[0]; first += group) {
    RunProduct(conv, images.Rows(first, group), {}, between, workspace);
    MaxPoolForward(steps[static_cast<size_t>(pool)].pool, between, output.Rows(first, group));
  }
}

void ShapePlan::RunStep(int index, const Workspace& workspace) {
  const ProgramStep& step = resources_.program->steps[static_cast<size_t>(index)];
  Step& plan = steps_[static_cast<size_t>(index)];
  const ConstTensorView input = ValueOf(step.input);
  const ConstTensorView addend = step.addend >= 0 ? ValueOf(step.addend) : ConstTensorView();
  if (step.kind == Kind::kModule) {
    plan.output = CallModule(step, input, workspace);
    const Shape& planned = values_[static_cast<size_t>(index) + 1].shape;
    Check(plan.output.shape() == planned, "InferenceModel: the module at \"/", step.path, "\" made ",
          plan.output.shape(), " of an input of which it had made ", planned);
    return;
  }
  const TensorView output = Place(index + 1);
  switch (step.kind) {
    case Kind::kConv2d:
    case Kind::kDense:
      if (plan.group == 0) RunProduct(index, input, addend, output, workspace);
      break;
    case Kind::kNormalize:
      // The factor is scale/√(1 + 0).
      BatchNormNormalize(input,
                         {.mean = step.mean, .var = step.ones, .scale = step.scale, .bias = step.bias, .epsilon = 0},
                         output, {.residual = addend, .relu = step.relu});
      break;
    case Kind::kRelu:
      ReluForward(input, output, {.upper = step.upper});
      break;
    case Kind::kAdd:
      AddForward(input, addend, output, {.relu = step.relu});
      break;
    case Kind::kMaxPool:
      if (GroupOf(step.input) > 0) {
        RunGroups(index, workspace);
      } else {
        MaxPoolForward(step.pool, input, output);
      }
      break;
    case Kind::kAveragePool:
      AveragePoolForward(step.pool, input, output);
      break;
    case Kind::kGlobalAveragePool:
      GlobalAveragePoolForward(input, output);
      break;
    case Kind::kFlatten:  // the same memory
    case Kind::kModule:
      break;
  }
}

PackedSteps ShapePlan::packed() const {
  PackedSteps packed;
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].packed == nullptr) continue;
    const PackedConv2dFilter& filter = *steps_[i].packed;
    packed.target = filter.target();
    packed.steps.push_back({static_cast<int>(i),
                            std::string(filter.algorithm()),
                            {filter.data(), static_cast<size_t>(filter.bytes()) / sizeof(float)}});
  }
  return packed;
}

ConstTensorView ShapePlan::Run(ConstTensorView input, std::byte* memory, const Workspace& workspace) {
  input_ = input.data();
  memory_ = memory;
  for (int i = 0; i < static_cast<int>(steps_.size()); ++i) RunStep(i, workspace);
  return ValueOf(resources_.program->output);
}

}  // namespace hwynn
