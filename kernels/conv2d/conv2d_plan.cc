// What every pass does before an algorithm runs: check, resolve the geometry, choose the row, plan, pack the filter.

#include "hwynn/kernels/conv2d_plan.h"

#include <algorithm>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/simd/gemm_tile.h"
#include "hwynn/kernels/target.h"

namespace hwynn {
namespace {

const char* FunctionOf(Conv2dPass pass) {
  switch (pass) {
    case Conv2dPass::kForward:
      return "Conv2dForward";
    case Conv2dPass::kBackwardInput:
      return "Conv2dBackwardInput";
    default:
      return "Conv2dBackwardFilter";
  }
}

void CheckShape(const char* function, std::string_view what, const Shape& actual, const Shape& expected) {
  Check(actual == expected, function, ": ", what, " must be ", expected, ", is ", actual);
}

void CheckChannels(const char* function, std::string_view what, ConstTensorView view, int64_t channels) {
  Check(view.size() == 0 || view.shape() == Shape{channels}, function, ": ", what, " must be [", channels, "], is ",
        view.shape());
}

void CheckApart(const char* function, std::string_view result, ConstTensorView to, std::string_view operand,
                ConstTensorView from) {
  Check(!Overlap(to, from), function, ": ", result, " overlaps ", operand);
}

void CheckPrologue(const char* function, const Conv2dPrologue& prologue, int64_t channels) {
  CheckChannels(function, "prologue mean", prologue.mean, channels);
  CheckChannels(function, "prologue mul", prologue.mul, channels);
  CheckChannels(function, "prologue bias", prologue.bias, channels);
  Check(prologue.mean.size() == prologue.mul.size() && prologue.mul.size() == prologue.bias.size(), function,
        ": a prologue needs mean, mul and bias, or none of them");
  Check(prologue.upper >= 0, function, ": a ReLU's upper end must be 0 or more");
}

void CheckEpilogue(const char* function, const Conv2dEpilogue& epilogue, const Conv2dGeometry& g,
                   ConstTensorView output) {
  CheckChannels(function, "epilogue center", epilogue.center, g.OC);
  CheckChannels(function, "epilogue scale", epilogue.scale, g.OC);
  CheckChannels(function, "epilogue bias", epilogue.bias, g.OC);
  Check(epilogue.upper >= 0, function, ": a ReLU's upper end must be 0 or more");
  if (epilogue.residual.size() != 0) {
    CheckShape(function, "epilogue residual", epilogue.residual.shape(), g.output_shape());
    if (epilogue.residual.data() != output.data()) {
      CheckApart(function, "output", output, "the residual, but isn't it", epilogue.residual);
    }
  }
  CheckChannels(function, "epilogue mean", epilogue.mean, g.OC);
  CheckChannels(function, "epilogue var", epilogue.var, g.OC);
  Check((epilogue.mean.size() == 0) == (epilogue.var.size() == 0), function,
        ": an epilogue's statistics are both mean and var");
}

void CheckGradientEpilogue(const char* function, const Conv2dGradientEpilogue& epilogue, const Conv2dGeometry& g,
                           ConstTensorView grad_input) {
  if (epilogue.empty()) {
    Check(epilogue.sums == nullptr && !epilogue.relu, function, ": an epilogue needs its input");
    return;
  }
  CheckShape(function, "epilogue input", epilogue.input.shape(), g.input_shape());
  CheckApart(function, "grad_input", grad_input, "the epilogue's input", epilogue.input);
  if (epilogue.output.size() != 0) {
    CheckShape(function, "epilogue output", epilogue.output.shape(), g.input_shape());
    CheckApart(function, "grad_input", grad_input, "the epilogue's output", epilogue.output);
  }
  CheckShape(function, "epilogue mean", epilogue.mean.shape(), {g.IC});
  CheckShape(function, "epilogue mul", epilogue.mul.shape(), {g.IC});
  CheckShape(function, "epilogue bias", epilogue.bias.shape(), {g.IC});
  Check(epilogue.upper >= 0, function, ": a ReLU's upper end must be 0 or more");
  Check(epilogue.sums != nullptr, function, ": an epilogue needs a place for its sums");
}

Conv2dFilterForm FormOf(const Conv2dSetup& setup) {
  return {setup.pass, setup.geometry.filter_shape(), setup.geometry.groups, setup.m};
}

int64_t PackedBytes(const Conv2dAlgorithm& row, const Conv2dFilterForm& form) {
  return row.packed_floats(form) * static_cast<int64_t>(sizeof(float));
}

Buffer Pack(const Conv2dAlgorithm& row, const Conv2dFilterForm& form, ConstTensorView filter,
            const Workspace& workspace) {
  Buffer packed = workspace.NewBuffer(PackedBytes(row, form));
  row.pack(form, filter.data(), packed.as<float>());
  return packed;
}

}  // namespace

PackedConv2dFilter::PackedConv2dFilter(Conv2dPass pass, std::string_view algorithm, const Shape& filter, int64_t groups)
    : pass_(pass), target_(CurrentTarget()), filter_shape_(filter), groups_(groups) {
  constexpr std::string_view kFunction = "PackConv2dFilter";
  Check(pass != Conv2dPass::kBackwardFilter, kFunction, ": backward-filter reads no filter");
  Check(filter.rank() == 4, kFunction, ": filter must be [KH,KW,IC/groups,OC], is ", filter);
  // The smallest image will do: what follows depends on the filter alone.
  const Conv2dGeometry g = ResolveConv2d(kFunction, {.groups = groups}, {1, 1, 1, filter[2] * groups}, filter);
  const Conv2dAlgorithm& row = ChooseConv2dAlgorithm(kFunction, {.pass = pass}, g, algorithm);
  algorithm_ = row.name;
  m_ = row.m;
}

PackedConv2dFilter::PackedConv2dFilter(Conv2dPass pass, std::string_view algorithm, ConstTensorView filter,
                                       int64_t groups, const Workspace& workspace)
    : PackedConv2dFilter(pass, algorithm, filter.shape(), groups) {
  const Conv2dAlgorithm& row = FindConv2dAlgorithm(pass, algorithm_);
  memory_ = Pack(row, {pass, filter.shape(), groups, m_}, filter, workspace);
  packed_ = {memory_.as<float>(), static_cast<size_t>(memory_.bytes()) / sizeof(float)};
}

PackedConv2dFilter PackedConv2dFilter::Borrow(Conv2dPass pass, std::string_view algorithm, const Shape& filter,
                                              int64_t groups, std::span<const float> packed,
                                              std::shared_ptr<const void> keeper) {
  PackedConv2dFilter result(pass, algorithm, filter, groups);
  const Conv2dAlgorithm& row = FindConv2dAlgorithm(pass, result.algorithm_);
  const int64_t floats = row.packed_floats({pass, filter, groups, result.m_});
  Check(static_cast<int64_t>(packed.size()) == floats, "PackedConv2dFilter: a filter ", filter, " packed for ",
        result.algorithm_, " has ", floats, " floats on ", result.target_, ", not ", packed.size());
  Check(reinterpret_cast<uintptr_t>(packed.data()) % kTensorAlignmentBytes == 0,
        "PackedConv2dFilter: the packed floats don't begin at a multiple of ", kTensorAlignmentBytes, " bytes");
  result.packed_ = packed;
  result.keeper_ = std::move(keeper);
  return result;
}

PackedConv2dFilter PackConv2dFilter(Conv2dPass pass, const Conv2dParams& params, const Shape& input,
                                    ConstTensorView filter, const Workspace& workspace, std::string_view algorithm) {
  constexpr std::string_view kFunction = "PackConv2dFilter";
  Check(pass != Conv2dPass::kBackwardFilter, kFunction, ": backward-filter reads no filter");
  const Conv2dGeometry g = ResolveConv2d(kFunction, params, input, filter.shape());
  const Conv2dChoice choice{pass, params.precision, params.batch_invariant};
  return {pass, ChooseConv2dAlgorithm(kFunction, choice, g, algorithm).name, filter, params.groups, workspace};
}

// Everything about a plan; shared by its copies.
struct Conv2dPlan::State {
  State(const Conv2dSetup& wanted, std::string_view algorithm)
      : setup(wanted),
        named(!algorithm.empty()),
        row(ChooseConv2dAlgorithm(function(), choice(), setup.geometry, algorithm)),
        tiles(CurrentGemmTiles()),
        target(CurrentTarget()) {
    setup.m = row.m;
    plan = row.Planner(setup.pass)(setup);
  }

  const char* function() const { return FunctionOf(setup.pass); }
  Conv2dChoice choice() const { return {setup.pass, setup.precision, setup.batch_invariant}; }
  const Conv2dGeometry& geometry() const { return setup.geometry; }
  bool packs() const {
    return setup.pass != Conv2dPass::kBackwardFilter && !setup.packed_filter && plan->packs_filter();
  }

  // Of every call.
  void Check(Conv2dPass pass, std::string_view algorithm) const;
  const float* Checked(const PackedConv2dFilter& filter) const;
  void CheckFilter(ConstTensorView filter, ConstTensorView output) const;
  void CheckPrologue(const Conv2dPrologue& prologue) const;
  Conv2dCall Forward(ConstTensorView input, TensorView output, const Conv2dForwardOptions& options) const;
  Conv2dCall BackwardInput(ConstTensorView grad_output, TensorView grad_input,
                           const Conv2dBackwardInputOptions& options) const;
  void Run(Conv2dCall call, ConstTensorView filter, const Workspace& workspace) const;

  Conv2dSetup setup;
  bool named;  // by the caller
  const Conv2dAlgorithm& row;
  const GemmTiles& tiles;  // of the target
  std::string target;
  std::unique_ptr<const Conv2dPassPlan> plan;
};

void Conv2dPlan::State::Check(Conv2dPass pass, std::string_view algorithm) const {
  hwynn::Check(pass == setup.pass, FunctionOf(pass), ": the plan is for ", function());
  hwynn::Check(algorithm.empty() || algorithm == row.name, function(), ": algorithm \"", algorithm,
               "\" isn't the plan's or packed filter's, which is ", row.name);
  if (&tiles != &CurrentGemmTiles()) {
    hwynn::Check(false, function(), ": the plan was made on ", target, ", the current target is ", CurrentTarget());
  }
}

const float* Conv2dPlan::State::Checked(const PackedConv2dFilter& filter) const {
  hwynn::Check(setup.packed_filter, function(), ": the plan isn't for packed filters");
  hwynn::Check(filter.bytes() != 0, function(), ": the packed filter is empty");
  hwynn::Check(filter.pass() == setup.pass, function(), ": the filter was packed for another pass");
  hwynn::Check(filter.target() == target, function(), ": the filter was packed on ", filter.target(),
               ", the current target is ", target);
  hwynn::Check(filter.filter_shape() == geometry().filter_shape() && filter.groups() == geometry().groups, function(),
               ": the filter was packed as ", filter.filter_shape(), " in ", filter.groups(), " groups, this one is ",
               geometry().filter_shape(), " in ", geometry().groups);
  hwynn::Check(filter.algorithm() == row.name, function(), ": the filter was packed for ", filter.algorithm(),
               ", the plan's algorithm is ", row.name);
  hwynn::Check(setup.precision != Precision::kHighest || row.highest, function(), ": the filter was packed for ",
               row.name, ", which rounds more than precision kHighest allows");
  return filter.data();
}

void Conv2dPlan::State::CheckFilter(ConstTensorView filter, ConstTensorView output) const {
  hwynn::Check(!setup.packed_filter, function(), ": the plan is for packed filters");
  CheckShape(function(), "filter", filter.shape(), geometry().filter_shape());
  CheckApart(function(), "output", output, "the filter", filter);
}

void Conv2dPlan::State::CheckPrologue(const Conv2dPrologue& prologue) const {
  hwynn::CheckPrologue(function(), prologue, geometry().IC);
  hwynn::Check(setup.prologue || prologue.empty(), function(), ": the plan is without a prologue");
}

Conv2dCall Conv2dPlan::State::Forward(ConstTensorView input, TensorView output,
                                      const Conv2dForwardOptions& options) const {
  Check(Conv2dPass::kForward, options.algorithm);
  CheckShape(function(), "input", input.shape(), geometry().input_shape());
  CheckShape(function(), "output", output.shape(), geometry().output_shape());
  CheckApart(function(), "output", output, "the input", input);
  CheckPrologue(options.prologue);
  CheckEpilogue(function(), options.epilogue, geometry(), output);
  hwynn::Check(setup.statistics || options.epilogue.mean.size() == 0, function(), ": the plan is without statistics");
  return {.input = input.data(),
          .filter = nullptr,
          .output = output.data(),
          .prologue = &options.prologue,
          .epilogue = &options.epilogue};
}

Conv2dCall Conv2dPlan::State::BackwardInput(ConstTensorView grad_output, TensorView grad_input,
                                            const Conv2dBackwardInputOptions& options) const {
  Check(Conv2dPass::kBackwardInput, options.algorithm);
  CheckShape(function(), "grad_output", grad_output.shape(), geometry().output_shape());
  CheckShape(function(), "grad_input", grad_input.shape(), geometry().input_shape());
  CheckApart(function(), "grad_input", grad_input, "grad_output", grad_output);
  CheckGradientEpilogue(function(), options.epilogue, geometry(), grad_input);
  hwynn::Check(setup.gradient || options.epilogue.empty(), function(), ": the plan is without an epilogue");
  return {.input = grad_output.data(),
          .filter = nullptr,
          .output = grad_input.data(),
          .accumulate = options.accumulate,
          .gradient = options.epilogue.empty() ? nullptr : &options.epilogue};
}

// With a filter that isn't packed.
void Conv2dPlan::State::Run(Conv2dCall call, ConstTensorView filter, const Workspace& workspace) const {
  Buffer packed;
  call.filter = filter.data();
  if (packs()) {
    packed = Pack(row, FormOf(setup), filter, workspace);
    call.filter = packed.as<float>();
  }
  plan->Run(call, workspace);
}

Conv2dPlan Conv2dPlan::Forward(const Conv2dParams& params, const Shape& input, const Shape& filter,
                               const Conv2dForwardPlanOptions& options) {
  const Conv2dSetup setup{.pass = Conv2dPass::kForward,
                          .geometry = ResolveConv2d(FunctionOf(Conv2dPass::kForward), params, input, filter),
                          .precision = params.precision,
                          .packed_filter = options.packed_filter,
                          .prologue = options.prologue,
                          .statistics = options.statistics,
                          .batch_invariant = params.batch_invariant};
  return Conv2dPlan(std::make_shared<const State>(setup, options.algorithm));
}

Conv2dPlan Conv2dPlan::BackwardInput(const Conv2dParams& params, const Shape& input, const Shape& filter,
                                     const Conv2dBackwardInputPlanOptions& options) {
  const Conv2dSetup setup{.pass = Conv2dPass::kBackwardInput,
                          .geometry = ResolveConv2d(FunctionOf(Conv2dPass::kBackwardInput), params, input, filter),
                          .precision = params.precision,
                          .packed_filter = options.packed_filter,
                          .gradient = options.epilogue,
                          .batch_invariant = params.batch_invariant};
  return Conv2dPlan(std::make_shared<const State>(setup, options.algorithm));
}

Conv2dPlan Conv2dPlan::BackwardFilter(const Conv2dParams& params, const Shape& input, const Shape& filter,
                                      const Conv2dBackwardFilterPlanOptions& options) {
  const Conv2dSetup setup{.pass = Conv2dPass::kBackwardFilter,
                          .geometry = ResolveConv2d(FunctionOf(Conv2dPass::kBackwardFilter), params, input, filter),
                          .precision = params.precision,
                          .prologue = options.prologue};
  return Conv2dPlan(std::make_shared<const State>(setup, options.algorithm));
}

Conv2dPass Conv2dPlan::pass() const { return state_->setup.pass; }
const Conv2dGeometry& Conv2dPlan::geometry() const { return state_->setup.geometry; }
std::string_view Conv2dPlan::algorithm() const { return state_->row.name; }
const std::string& Conv2dPlan::target() const { return state_->target; }
int64_t Conv2dPlan::scratch_bytes() const {
  const auto pack_bytes = state_->row.pack_scratch_bytes;
  const int64_t packing = state_->packs() && pack_bytes != nullptr ? pack_bytes(FormOf(state_->setup)) : 0;
  return std::max(packing, state_->plan->scratch_bytes());
}
int64_t Conv2dPlan::temporary_bytes() const {
  const int64_t packed = state_->packs() ? PackedBytes(state_->row, FormOf(state_->setup)) : 0;
  return state_->plan->temporary_bytes() + packed;
}

std::string Conv2dPlan::Explain() const {
  std::string text;
  if (state_->named) {
    text = StrCat(algorithm(), ": asked for by name\n");
  } else {
    for (const Conv2dAlgorithm& row : Conv2dTable()) {
      const char* reason = WhyNot(row, state_->choice(), geometry());
      text += StrCat(row.name, ": ", reason ? reason : "taken", "\n");
      if (reason == nullptr) break;
    }
  }
  return text + StrCat("memory: ", scratch_bytes(), " bytes of scratch a thread, ", temporary_bytes(),
                       " bytes of temporaries\n");
}

void Conv2dPlan::RunForward(ConstTensorView input, ConstTensorView filter, TensorView output,
                            const Workspace& workspace, const Conv2dForwardOptions& options) const {
  const Conv2dCall call = state_->Forward(input, output, options);
  state_->CheckFilter(filter, output);
  state_->Run(call, filter, workspace);
}

void Conv2dPlan::RunForward(ConstTensorView input, const PackedConv2dFilter& filter, TensorView output,
                            const Workspace& workspace, const Conv2dForwardOptions& options) const {
  Conv2dCall call = state_->Forward(input, output, options);
  call.filter = state_->Checked(filter);
  state_->plan->Run(call, workspace);
}

void Conv2dPlan::RunBackwardInput(ConstTensorView grad_output, ConstTensorView filter, TensorView grad_input,
                                  const Workspace& workspace, const Conv2dBackwardInputOptions& options) const {
  const Conv2dCall call = state_->BackwardInput(grad_output, grad_input, options);
  state_->CheckFilter(filter, grad_input);
  state_->Run(call, filter, workspace);
}

void Conv2dPlan::RunBackwardInput(ConstTensorView grad_output, const PackedConv2dFilter& filter, TensorView grad_input,
                                  const Workspace& workspace, const Conv2dBackwardInputOptions& options) const {
  Conv2dCall call = state_->BackwardInput(grad_output, grad_input, options);
  call.filter = state_->Checked(filter);
  state_->plan->Run(call, workspace);
}

void Conv2dPlan::RunBackwardFilter(ConstTensorView input, ConstTensorView grad_output, TensorView grad_filter,
                                   const Workspace& workspace, const Conv2dBackwardFilterOptions& options) const {
  state_->Check(Conv2dPass::kBackwardFilter, options.algorithm);
  CheckShape(state_->function(), "input", input.shape(), geometry().input_shape());
  CheckShape(state_->function(), "grad_output", grad_output.shape(), geometry().output_shape());
  CheckShape(state_->function(), "grad_filter", grad_filter.shape(), geometry().filter_shape());
  CheckApart(state_->function(), "grad_filter", grad_filter, "the input", input);
  CheckApart(state_->function(), "grad_filter", grad_filter, "grad_output", grad_output);
  state_->CheckPrologue(options.prologue);
  state_->plan->Run({.input = input.data(),
                     .filter = grad_output.data(),
                     .output = grad_filter.data(),
                     .prologue = &options.prologue},
                    workspace);
}

std::string ExplainConv2d(Conv2dPass pass, const Conv2dGeometry& geometry, Precision precision) {
  const Conv2dSetup setup{.pass = pass, .geometry = geometry, .precision = precision};
  return Conv2dPlan(std::make_shared<const Conv2dPlan::State>(setup, "")).Explain();
}

}  // namespace hwynn
