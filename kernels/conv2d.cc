#include "hwynn/kernels/conv2d.h"

#include <stdexcept>

#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d_algorithms.h"

namespace hwynn {
namespace {

// Why an algorithm doesn't take a shape; null when it does.
using Reason = const char* (*)(const Conv2dGeometry&);

const char* Never(const Conv2dGeometry&) { return nullptr; }

const char* DepthwiseDeclines(const Conv2dGeometry& g) {
  return g.groups == g.IC && g.OC == g.IC && g.IC > 1 ? nullptr : "not one filter a channel (groups = IC = OC)";
}

struct Algorithm {
  std::string_view name;
  Reason declines;   // can't
  Reason not_worth;  // can, but the dispatcher prefers a later row
  bool highest;      // as accurate as a sum in float can be: allowed with Precision::kHighest
  // Null: not for this pass.
  decltype(&DirectForward) forward;
  decltype(&DirectBackwardInput) backward_input;
  decltype(&DirectBackwardFilter) backward_filter;

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
    {"direct_depthwise", DepthwiseDeclines, Never, true, DepthwiseForward, DepthwiseBackwardInput,
     DepthwiseBackwardFilter},
    {"winograd_f4x4", WinogradDeclines, WinogradDoesNotPay, false, WinogradForward, WinogradBackwardInput, nullptr},
    {"direct", Never, Never, true, DirectForward, DirectBackwardInput, DirectBackwardFilter},
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

// Why the dispatcher passes a row by; null when it takes it.
const char* PassedBy(const Algorithm& row, Conv2dPass pass, const Conv2dGeometry& g, Precision precision) {
  if (!row.Has(pass)) return "not for this pass";
  if (const char* reason = row.declines(g)) return reason;
  if (precision == Precision::kHighest && !row.highest) return "rounds more than precision kHighest allows";
  return row.not_worth(g);
}

const Algorithm& Choose(Conv2dPass pass, std::string_view function, const Conv2dGeometry& g, Precision precision,
                        std::string_view forced) {
  if (!forced.empty()) {
    const Algorithm& row = Find(pass, forced);
    const char* reason = row.declines(g);
    Check(reason == nullptr, function, ": algorithm \"", forced, "\" declines: ", reason ? reason : "", "; input ",
          g.input_shape(), ", filter ", g.filter_shape());
    return row;
  }
  const Algorithm* row = kTable;
  while (PassedBy(*row, pass, g, precision) != nullptr) ++row;
  return *row;
}

void CheckShape(std::string_view function, std::string_view what, const Shape& actual, const Shape& expected) {
  Check(actual == expected, function, ": ", what, " must be ", expected, ", is ", actual);
}

void CheckChannels(std::string_view function, std::string_view what, ConstTensorView view, int64_t channels) {
  Check(view.size() == 0 || view.shape() == Shape{channels}, function, ": ", what, " must be [", channels, "], is ",
        view.shape());
}

}  // namespace

void Conv2dForward(const Conv2dParams& params, ConstTensorView input, ConstTensorView filter, TensorView output,
                   const Workspace& workspace, const Conv2dOptions& options) {
  constexpr std::string_view kFunction = "Conv2dForward";
  const Conv2dGeometry g = ResolveConv2d(kFunction, params, input.shape(), filter.shape());
  CheckShape(kFunction, "output", output.shape(), g.output_shape());
  CheckChannels(kFunction, "prologue scale", options.prologue.scale, g.IC);
  CheckChannels(kFunction, "prologue shift", options.prologue.shift, g.IC);
  Check((options.prologue.scale.size() == 0) == (options.prologue.shift.size() == 0) &&
            (!options.prologue.relu || options.prologue.scale.size() != 0),
        kFunction, ": a prologue needs both scale and shift");
  CheckChannels(kFunction, "epilogue scale", options.epilogue.scale, g.OC);
  CheckChannels(kFunction, "epilogue bias", options.epilogue.bias, g.OC);
  if (options.epilogue.residual.size() != 0) {
    CheckShape(kFunction, "epilogue residual", options.epilogue.residual.shape(), g.output_shape());
  }
  Choose(Conv2dPass::kForward, kFunction, g, params.precision, options.algorithm)
      .forward(g, input.data(), filter.data(), output.data(), workspace, options);
}

void Conv2dBackwardInput(const Conv2dParams& params, ConstTensorView grad_output, ConstTensorView filter,
                         TensorView grad_input, const Workspace& workspace, const Conv2dOptions& options) {
  constexpr std::string_view kFunction = "Conv2dBackwardInput";
  const Conv2dGeometry g = ResolveConv2d(kFunction, params, grad_input.shape(), filter.shape());
  CheckShape(kFunction, "grad_output", grad_output.shape(), g.output_shape());
  Choose(Conv2dPass::kBackwardInput, kFunction, g, params.precision, options.algorithm)
      .backward_input(g, grad_output.data(), filter.data(), grad_input.data(), workspace);
}

void Conv2dBackwardFilter(const Conv2dParams& params, ConstTensorView input, ConstTensorView grad_output,
                          TensorView grad_filter, const Workspace& workspace, const Conv2dOptions& options) {
  constexpr std::string_view kFunction = "Conv2dBackwardFilter";
  const Conv2dGeometry g = ResolveConv2d(kFunction, params, input.shape(), grad_filter.shape());
  CheckShape(kFunction, "grad_output", grad_output.shape(), g.output_shape());
  Choose(Conv2dPass::kBackwardFilter, kFunction, g, params.precision, options.algorithm)
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
  return Choose(pass, "ChooseConv2d", geometry, precision, "").name;
}

bool Conv2dSupports(Conv2dPass pass, std::string_view algorithm, const Conv2dGeometry& geometry) {
  return Find(pass, algorithm).declines(geometry) == nullptr;
}

std::string ExplainConv2d(Conv2dPass pass, const Conv2dGeometry& geometry, Precision precision) {
  std::string text;
  for (const Algorithm& row : kTable) {
    const char* reason = PassedBy(row, pass, geometry, precision);
    text += StrCat(row.name, ": ", reason ? reason : "taken", "\n");
    if (reason == nullptr) break;
  }
  return text;
}

}  // namespace hwynn
