#include "hwynn/kernels/conv2d.h"

#include <stdexcept>

#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d/algorithms.h"
#include "hwynn/kernels/target.h"

namespace hwynn {
namespace {

// Why an algorithm doesn't take a shape; null when it does.
using Reason = const char* (*)(const Conv2dGeometry&);

const char* Never(const Conv2dGeometry&) { return nullptr; }

struct Algorithm {
  std::string_view name;
  Reason declines;   // can't
  Reason not_worth;  // can, but the dispatcher prefers a later row
  bool highest;      // as accurate as a sum in float can be: allowed with Precision::kHighest
  decltype(&DirectPackedFloats) packed_floats;
  decltype(&DirectPackFilter) pack;
  // Null: not for this pass.
  decltype(&DirectForward) forward;
  decltype(&DirectBackwardInput) backward_input;
  decltype(&DirectBackwardFilter) backward_filter;
  // The same with the filter as it is; false where packing it first is better. Null: always is.
  decltype(&WinogradForwardUnpacked<4>) forward_unpacked = nullptr;
  decltype(&WinogradBackwardInputUnpacked<4>) backward_input_unpacked = nullptr;

  bool Has(Conv2dPass pass) const {
    switch (pass) {
      case Conv2dPass::kForward:
        return forward != nullptr;
      case Conv2dPass::kBackwardInput:
        return backward_input != nullptr;
      default:
        return backward_filter != nullptr;
    }
  }
};

// Best first; the last row takes everything.
constexpr Algorithm kTable[] = {
    {"direct_depthwise", DepthwiseDeclines, Never, true, DepthwisePackedFloats, DepthwisePackFilter, DepthwiseForward,
     DepthwiseBackwardInput, DepthwiseBackwardFilter},
    {"winograd_f4x4", WinogradDeclines, WinogradDoesNotPay<4>, false, WinogradPackedFloats<4>, WinogradPackFilter<4>,
     WinogradForward<4>, WinogradBackwardInput<4>, WinogradBackwardFilter<4>, WinogradForwardUnpacked<4>,
     WinogradBackwardInputUnpacked<4>},
    {"winograd_f2x2", WinogradDeclines, WinogradDoesNotPay<2>, false, WinogradPackedFloats<2>, WinogradPackFilter<2>,
     WinogradForward<2>, WinogradBackwardInput<2>, WinogradBackwardFilter<2>, WinogradForwardUnpacked<2>,
     WinogradBackwardInputUnpacked<2>},
    {"direct", Never, Never, true, DirectPackedFloats, DirectPackFilter, DirectForward, DirectBackwardInput,
     DirectBackwardFilter},
};

const Algorithm& Find(Conv2dPass pass, std::string_view name) {
  std::string names;
  for (const Algorithm& row : kTable) {
    if (!row.Has(pass)) continue;
    if (row.name == name) return row;
    names += StrCat(names.empty() ? "" : ", ", row.name);
  }
  throw std::invalid_argument(StrCat("Conv2d: no algorithm \"", name, "\"; this pass has ", names));
}

// What a call wants, besides its geometry.
struct Wanted {
  Conv2dPass pass;
  Precision precision;
};

// Why a row can't do what is wanted; null when it can.
const char* Declines(const Algorithm& row, const Wanted& wanted, const Conv2dGeometry& g) {
  if (!row.Has(wanted.pass)) return "not for this pass";
  return row.declines(g);
}

// Why the dispatcher passes a row by; null when it takes it.
const char* PassedBy(const Algorithm& row, const Wanted& wanted, const Conv2dGeometry& g) {
  if (const char* reason = Declines(row, wanted, g)) return reason;
  if (wanted.precision == Precision::kHighest && !row.highest) return "rounds more than precision kHighest allows";
  return row.not_worth(g);
}

const Algorithm& Choose(std::string_view function, const Wanted& wanted, const Conv2dGeometry& g,
                        std::string_view forced) {
  if (!forced.empty()) {
    const Algorithm& row = Find(wanted.pass, forced);
    const char* reason = Declines(row, wanted, g);
    Check(reason == nullptr, function, ": algorithm \"", forced, "\" declines: ", reason ? reason : "", "; input ",
          g.input_shape(), ", filter ", g.filter_shape());
    return row;
  }
  const Algorithm* row = kTable;
  while (PassedBy(*row, wanted, g) != nullptr) ++row;
  return *row;
}

Tensor Pack(const Algorithm& row, Conv2dPass pass, const Conv2dGeometry& g, ConstTensorView filter,
            const Workspace& workspace) {
  Tensor packed = workspace.NewTensor({row.packed_floats(pass, g)});
  row.pack(pass, g, filter.data(), packed.data());
  return packed;
}

void CheckShape(std::string_view function, std::string_view what, const Shape& actual, const Shape& expected) {
  Check(actual == expected, function, ": ", what, " must be ", expected, ", is ", actual);
}

void CheckChannels(std::string_view function, std::string_view what, ConstTensorView view, int64_t channels) {
  Check(view.size() == 0 || view.shape() == Shape{channels}, function, ": ", what, " must be [", channels, "], is ",
        view.shape());
}

void CheckForward(std::string_view function, const Conv2dGeometry& g, ConstTensorView output,
                  const Conv2dOptions& options) {
  CheckShape(function, "output", output.shape(), g.output_shape());
  Check(!options.accumulate, function, ": accumulate is for backward-input");
  const Conv2dPrologue& prologue = options.prologue;
  const Conv2dEpilogue& epilogue = options.epilogue;
  CheckChannels(function, "prologue mean", prologue.mean, g.IC);
  CheckChannels(function, "prologue mul", prologue.mul, g.IC);
  CheckChannels(function, "prologue bias", prologue.bias, g.IC);
  Check(prologue.mean.size() == prologue.mul.size() && prologue.mul.size() == prologue.bias.size(), function,
        ": a prologue needs mean, mul and bias, or none of them");
  Check(prologue.upper >= 0 && epilogue.upper >= 0, function, ": a ReLU's upper end must be 0 or more");
  CheckChannels(function, "epilogue center", epilogue.center, g.OC);
  CheckChannels(function, "epilogue scale", epilogue.scale, g.OC);
  CheckChannels(function, "epilogue bias", epilogue.bias, g.OC);
  if (epilogue.residual.size() != 0) {
    CheckShape(function, "epilogue residual", epilogue.residual.shape(), g.output_shape());
  }
  CheckChannels(function, "epilogue mean", epilogue.mean, g.OC);
  CheckChannels(function, "epilogue var", epilogue.var, g.OC);
  Check((epilogue.mean.size() == 0) == (epilogue.var.size() == 0), function,
        ": an epilogue's statistics are both mean and var");
}

void CheckBackward(std::string_view function, const Conv2dOptions& options) {
  const Conv2dEpilogue& epilogue = options.epilogue;
  Check(options.prologue.empty() && epilogue.empty() && epilogue.mean.size() == 0 && epilogue.var.size() == 0, function,
        ": prologue and epilogue are for forward");
}

// The geometry of a call with a packed filter, if that was packed for such calls.
Conv2dGeometry ResolvePacked(std::string_view function, Conv2dPass pass, const Conv2dParams& params, const Shape& input,
                             const PackedConv2dFilter& filter) {
  Check(filter.bytes() != 0, function, ": the packed filter is empty");
  Check(filter.pass() == pass, function, ": the filter was packed for another pass");
  Check(filter.target() == CurrentTarget(), function, ": the filter was packed on ", filter.target(),
        ", the current target is ", CurrentTarget());
  Conv2dGeometry packed_for = filter.geometry();
  const Conv2dGeometry g = ResolveConv2d(function, params, input, packed_for.filter_shape());
  packed_for.N = g.N;
  Check(packed_for == g, function,
        ": the filter was packed for other strides, dilation, padding or input: ", packed_for.input_shape(),
        ", this one is ", input);
  return g;
}

}  // namespace

PackedConv2dFilter PackConv2dFilter(Conv2dPass pass, const Conv2dParams& params, const Shape& input,
                                    ConstTensorView filter, const Workspace& workspace, std::string_view algorithm) {
  constexpr std::string_view kFunction = "PackConv2dFilter";
  Check(pass != Conv2dPass::kBackwardFilter, kFunction, ": backward-filter reads no filter");
  PackedConv2dFilter packed;
  packed.geometry_ = ResolveConv2d(kFunction, params, input, filter.shape());
  const Algorithm& row = Choose(kFunction, {pass, params.precision}, packed.geometry_, algorithm);
  packed.pass_ = pass;
  packed.algorithm_ = row.name;
  packed.target_ = CurrentTarget();
  packed.packed_ = Pack(row, pass, packed.geometry_, filter, workspace);
  return packed;
}

void Conv2dForward(const Conv2dParams& params, ConstTensorView input, ConstTensorView filter, TensorView output,
                   const Workspace& workspace, const Conv2dOptions& options) {
  constexpr std::string_view kFunction = "Conv2dForward";
  const Conv2dGeometry g = ResolveConv2d(kFunction, params, input.shape(), filter.shape());
  CheckForward(kFunction, g, output, options);
  const Wanted wanted{Conv2dPass::kForward, params.precision};
  const Algorithm& row = Choose(kFunction, wanted, g, options.algorithm);
  if (row.forward_unpacked != nullptr &&
      row.forward_unpacked(g, input.data(), filter.data(), output.data(), workspace, options)) {
    return;
  }
  const Tensor packed = Pack(row, wanted.pass, g, filter, workspace);
  row.forward(g, input.data(), packed.data(), output.data(), workspace, options);
}

void Conv2dForward(const Conv2dParams& params, ConstTensorView input, const PackedConv2dFilter& filter,
                   TensorView output, const Workspace& workspace, const Conv2dOptions& options) {
  constexpr std::string_view kFunction = "Conv2dForward";
  const Conv2dGeometry g = ResolvePacked(kFunction, Conv2dPass::kForward, params, input.shape(), filter);
  CheckForward(kFunction, g, output, options);
  Check(options.algorithm.empty(), kFunction, ": a packed filter has its algorithm already");
  const Wanted wanted{Conv2dPass::kForward, params.precision};
  Choose(kFunction, wanted, g, filter.algorithm())
      .forward(g, input.data(), filter.data(), output.data(), workspace, options);
}

void Conv2dBackwardInput(const Conv2dParams& params, ConstTensorView grad_output, ConstTensorView filter,
                         TensorView grad_input, const Workspace& workspace, const Conv2dOptions& options) {
  constexpr std::string_view kFunction = "Conv2dBackwardInput";
  const Conv2dGeometry g = ResolveConv2d(kFunction, params, grad_input.shape(), filter.shape());
  CheckShape(kFunction, "grad_output", grad_output.shape(), g.output_shape());
  CheckBackward(kFunction, options);
  const Wanted wanted{Conv2dPass::kBackwardInput, params.precision};
  const Algorithm& row = Choose(kFunction, wanted, g, options.algorithm);
  if (row.backward_input_unpacked != nullptr &&
      row.backward_input_unpacked(g, grad_output.data(), filter.data(), grad_input.data(), workspace, options)) {
    return;
  }
  const Tensor packed = Pack(row, wanted.pass, g, filter, workspace);
  row.backward_input(g, grad_output.data(), packed.data(), grad_input.data(), workspace, options);
}

void Conv2dBackwardInput(const Conv2dParams& params, ConstTensorView grad_output, const PackedConv2dFilter& filter,
                         TensorView grad_input, const Workspace& workspace, const Conv2dOptions& options) {
  constexpr std::string_view kFunction = "Conv2dBackwardInput";
  const Conv2dGeometry g = ResolvePacked(kFunction, Conv2dPass::kBackwardInput, params, grad_input.shape(), filter);
  CheckShape(kFunction, "grad_output", grad_output.shape(), g.output_shape());
  CheckBackward(kFunction, options);
  Check(options.algorithm.empty(), kFunction, ": a packed filter has its algorithm already");
  Find(Conv2dPass::kBackwardInput, filter.algorithm())
      .backward_input(g, grad_output.data(), filter.data(), grad_input.data(), workspace, options);
}

void Conv2dBackwardFilter(const Conv2dParams& params, ConstTensorView input, ConstTensorView grad_output,
                          TensorView grad_filter, const Workspace& workspace, const Conv2dOptions& options) {
  constexpr std::string_view kFunction = "Conv2dBackwardFilter";
  const Conv2dGeometry g = ResolveConv2d(kFunction, params, input.shape(), grad_filter.shape());
  CheckShape(kFunction, "grad_output", grad_output.shape(), g.output_shape());
  CheckBackward(kFunction, options);
  Check(!options.accumulate, kFunction, ": accumulate is for backward-input");
  Choose(kFunction, {Conv2dPass::kBackwardFilter, params.precision}, g, options.algorithm)
      .backward_filter(g, input.data(), grad_output.data(), grad_filter.data(), workspace);
}

std::vector<std::string_view> Conv2dAlgorithms(Conv2dPass pass) {
  std::vector<std::string_view> names;
  for (const Algorithm& row : kTable) {
    if (row.Has(pass)) names.push_back(row.name);
  }
  return names;
}

std::string_view ChooseConv2d(Conv2dPass pass, const Conv2dGeometry& geometry, Precision precision) {
  return Choose("ChooseConv2d", {pass, precision}, geometry, "").name;
}

bool Conv2dSupports(Conv2dPass pass, std::string_view algorithm, const Conv2dGeometry& geometry) {
  return Find(pass, algorithm).declines(geometry) == nullptr;
}

std::string ExplainConv2d(Conv2dPass pass, const Conv2dGeometry& geometry, Precision precision) {
  std::string text;
  for (const Algorithm& row : kTable) {
    const char* reason = PassedBy(row, {pass, precision}, geometry);
    text += StrCat(row.name, ": ", reason ? reason : "taken", "\n");
    if (reason == nullptr) break;
  }
  return text;
}

}  // namespace hwynn
