#include "hwynn/inference/inference_model.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/core/workspace.h"
#include "hwynn/inference/program/model_file.h"
#include "hwynn/inference/program/program.h"
#include "hwynn/inference/program/shape_plan.h"
#include "hwynn/kernels/target.h"
#include "hwynn/module/packed_filters.h"

namespace hwynn {

struct InferenceModel::State {
  Program program;
  InferenceInfo info;
  InferenceOptions options;
  const Variables* variables = nullptr;  // of modules that are called
  mutable PackedFilters packed_filters;  // which has a lock of its own

  ProgramResources resources() const {
    return {.program = &program,
            .variables = variables,
            .packed_filters = &packed_filters,
            .batch_invariant = options.batch_invariant,
            .precision = options.precision};
  }
  void TakePacked(const std::string& path, const PackedSteps& packed);
};

// Filters that a file has packed for the current target. How filters are packed may change with the library, so the
// smallest of each algorithm is packed again: if it isn't the file's, the file's are of no use.
void InferenceModel::State::TakePacked(const std::string& path, const PackedSteps& packed) {
  if (packed.target != CurrentTarget()) return;
  std::map<std::string, const PackedStep*> smallest;
  for (const PackedStep& step : packed.steps) {
    CheckData(program.steps[static_cast<size_t>(step.step)].multiplies(), path,
              ": a packed filter of a step that has none");
    const PackedStep*& of_algorithm = smallest[step.algorithm];
    if (of_algorithm == nullptr || step.packed.size() < of_algorithm->packed.size()) of_algorithm = &step;
  }
  const Workspace workspace;
  for (const auto& [algorithm, sample] : smallest) {
    const ProgramStep& step = program.steps[static_cast<size_t>(sample->step)];
    const PackedConv2dFilter again(Conv2dPass::kForward, algorithm, step.filter, step.conv.groups, workspace);
    if (again.bytes() != static_cast<int64_t>(sample->packed.size_bytes()) ||
        std::memcmp(again.data(), sample->packed.data(), sample->packed.size_bytes()) != 0) {
      return;
    }
  }
  for (const PackedStep& packed_step : packed.steps) {
    const ProgramStep& step = program.steps[static_cast<size_t>(packed_step.step)];
    packed_filters.Add(PackedName(packed_step.step),
                       PackedConv2dFilter::Borrow(Conv2dPass::kForward, packed_step.algorithm, step.filter.shape(),
                                                  step.conv.groups, packed_step.packed, program.arrays));
  }
}

InferenceModel::InferenceModel(std::shared_ptr<const State> state) : state_(std::move(state)) {}

InferenceModel::InferenceModel(const Module& module, const Variables& variables, InferenceInfo info,
                               const InferenceOptions& options) {
  CheckInfo(info);
  const Workspace workspace;
  const CallContext context{.workspace = &workspace, .variables = &variables};
  Graph graph;
  const GraphValue output = module.AppendTo(graph, Scope(context), Graph::kInput);
  auto state = std::make_shared<State>();
  state->program = MakeProgram(graph, output);
  state->info = std::move(info);
  state->options = options;
  if (state->program.calls_modules()) state->variables = &variables;
  state_ = std::move(state);
}

InferenceModel InferenceModel::Load(const std::string& path, const InferenceOptions& options) {
  ProgramFile file;
  Threads(1).Run([&] { file = ReadProgramFile(path); });
  auto state = std::make_shared<State>();
  state->program = std::move(file.program);
  state->info = std::move(file.info);
  state->options = options;
  try {
    state->TakePacked(path, file.packed);
  } catch (const std::invalid_argument& error) {  // the file's
    throw std::runtime_error(StrCat(path, ": ", error.what()));
  }
  return InferenceModel(std::move(state));
}

bool InferenceModel::IsModelFile(const std::string& path) { return IsProgramFile(path); }

void InferenceModel::Save(const std::string& path, const std::optional<Shape>& packed_for) const {
  if (!packed_for) return WriteProgramFile(path, state_->program, state_->info, {});
  const ShapePlan plan(state_->resources(), *packed_for, Workspace());
  WriteProgramFile(path, state_->program, state_->info, plan.packed());
}

const InferenceInfo& InferenceModel::info() const { return state_->info; }

int64_t InferenceModel::num_classes() const {
  const std::vector<ProgramStep>& steps = state_->program.steps;
  int value = state_->program.output;
  while (value > 0) {
    const ProgramStep& step = steps[static_cast<size_t>(value) - 1];
    if (step.multiplies()) return step.filter.shape().back();
    if (step.kind == ProgramStep::Kind::kNormalize) return step.scale.size();
    if (step.kind == ProgramStep::Kind::kFlatten || step.kind == ProgramStep::Kind::kModule) return 0;
    value = step.input;
  }
  return 0;
}

int64_t InferenceModel::weight_bytes() const {
  int64_t bytes = 0;
  for (const ProgramStep& step : state_->program.steps) {
    for (const ConstTensorView& array : {step.filter, step.mean, step.scale, step.bias}) {
      bytes += array.size() * static_cast<int64_t>(sizeof(float));
    }
  }
  return bytes;
}

int64_t InferenceModel::packed_bytes() const { return state_->packed_filters.bytes(); }

std::string InferenceModel::Describe() const {
  std::string text;
  for (size_t i = 0; i < state_->program.steps.size(); ++i) {
    const ProgramStep& step = state_->program.steps[i];
    text += StrCat("%", i + 1, " = ", ProgramStep::KindName(step.kind), "(%", step.input);
    if (step.multiplies()) text += StrCat(", filter ", step.filter.shape());
    if (step.kind == ProgramStep::Kind::kConv2d)
      text += StrCat(", stride ", step.conv.stride[0], "x", step.conv.stride[1]);
    if (step.conv.groups > 1) text += StrCat(", groups ", step.conv.groups);
    text += ")";
    if (step.bias.size() != 0) text += " + bias";
    if (step.addend >= 0) text += StrCat(" + %", step.addend);
    if (step.relu) text += ", relu";
    if (step.relu && step.upper != std::numeric_limits<float>::infinity()) text += StrCat(" up to ", step.upper);
    text += StrCat("  # ", step.path, "\n");
  }
  return text + StrCat("output %", state_->program.output, "\n");
}

struct InferenceContext::State {
  State(InferenceModel model_, int count) : model(std::move(model_)), threads(count) {}

  ConstTensorView Run(ConstTensorView input) {
    ConstTensorView output;
    threads.Run([&] { output = RunHere(input); });
    return output;
  }
  ConstTensorView RunHere(ConstTensorView input);
  bool IsPlanned(const Shape& input) const { return plan && plan->input() == input; }
  void MakePlan(const Shape& input);
  void Standardize(const uint8_t* images);

  InferenceModel model;
  Threads threads;
  Workspace workspace;
  Buffer memory;                  // of the plan's values
  std::optional<ShapePlan> plan;  // of the last input's shape
  Buffer images;                  // RunBytes: what the bytes become
  std::vector<float> levels;      // [C·256], what each byte becomes
};

void InferenceContext::State::MakePlan(const Shape& input) {
  plan.reset();
  ShapePlan made(model.state_->resources(), input, workspace);
  if (memory.bytes() < made.memory_bytes()) {
    memory = Buffer();  // first, so that old and new don't stand side by side
    memory = workspace.NewBuffer(made.memory_bytes());
  }
  plan = std::move(made);  // only now: without its memory no plan may stay
}

ConstTensorView InferenceContext::State::RunHere(ConstTensorView input) {
  if (!IsPlanned(input.shape())) MakePlan(input.shape());
  return plan->Run(input, memory.data(), workspace);
}

InferenceContext::InferenceContext(InferenceModel model, const InferenceContextOptions& options)
    : state_(std::make_unique<State>(std::move(model), options.threads)) {}
InferenceContext::InferenceContext(InferenceContext&&) noexcept = default;
InferenceContext& InferenceContext::operator=(InferenceContext&&) noexcept = default;
InferenceContext::~InferenceContext() = default;

ConstTensorView InferenceContext::Run(ConstTensorView input) {
  Check(input.size() > 0, "InferenceContext: input ", input.shape(), " has no elements");
  return state_->Run(input);
}

Shape InferenceContext::OutputShape(const Shape& input) {
  if (!state_->IsPlanned(input)) state_->threads.Run([&] { state_->MakePlan(input); });
  return state_->plan->output();
}

ConstTensorView InferenceContext::RunBytes(const uint8_t* images, const Shape& shape) {
  const InferenceInfo& info = model().info();
  Check(shape.rank() == 4 && shape.num_elements() > 0, "InferenceContext: images ", shape,
        " must be [N,H,W,C] without a 0");
  const int64_t channels = shape.back();
  const size_t means = info.standardization.mean.size();
  Check(means == 0 || static_cast<int64_t>(means) == channels, "InferenceContext: images ", shape,
        ", but the model standardises ", means, " channels");
  std::vector<float>& levels = state_->levels;
  if (static_cast<int64_t>(levels.size()) != channels * 256) {
    levels = StandardizedBytes(info.standardization, channels);
  }
  if (state_->images.bytes() < TensorBytes(shape)) {
    state_->images = Buffer();
    state_->images = state_->workspace.NewBuffer(TensorBytes(shape));
  }
  auto* const floats = state_->images.as<float>();
  const int64_t row = shape[2] * channels;
  ConstTensorView output;
  state_->threads.Run([&] {
    ParallelFor(shape[0] * shape[1], [&](int64_t y) {
      for (int64_t i = y * row; i < (y + 1) * row; i += channels) {
        for (int64_t c = 0; c < channels; ++c) {
          floats[i + c] = levels[static_cast<size_t>(c * 256 + images[i + c])];
        }
      }
    });
    output = state_->RunHere({floats, shape});
  });
  return output;
}

const InferenceModel& InferenceContext::model() const { return state_->model; }
int64_t InferenceContext::bytes() const { return state_->workspace.bytes_reserved(); }

}  // namespace hwynn
