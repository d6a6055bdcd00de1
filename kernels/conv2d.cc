#include "hwynn/kernels/conv2d.h"

#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d_algorithms.h"

namespace hwynn {
namespace {

// Why an algorithm declines a shape; null when it takes it.
using Declines = const char* (*)(const Conv2dGeometry&);

const char* NeverDeclines(const Conv2dGeometry&) { return nullptr; }

const char* DepthwiseDeclines(const Conv2dGeometry& g) {
  return g.groups == g.IC && g.OC == g.IC && g.IC > 1 ? nullptr : "not one filter a channel (groups = IC = OC)";
}

struct Algorithm {
  std::string_view name;
  Declines declines;
  decltype(&DirectForward) forward;
  decltype(&DirectBackwardInput) backward_input;
  decltype(&DirectBackwardFilter) backward_filter;
};

// Best first; the last row takes everything.
constexpr Algorithm kTable[] = {
    {"direct_depthwise", DepthwiseDeclines, DepthwiseForward, DepthwiseBackwardInput, DepthwiseBackwardFilter},
    {"direct", NeverDeclines, DirectForward, DirectBackwardInput, DirectBackwardFilter},
};
constexpr std::string_view kNames[] = {kTable[0].name, kTable[1].name};

const Algorithm& Find(std::string_view name) {
  for (const Algorithm& row : kTable) {
    if (row.name == name) return row;
  }
  std::string names;
  for (const Algorithm& row : kTable) names += StrCat(names.empty() ? "" : ", ", row.name);
  Check(false, "Conv2d: no algorithm \"", name, "\"; there are ", names);
  return kTable[0];
}

const Algorithm& Choose(std::string_view function, const Conv2dGeometry& g, std::string_view forced) {
  if (!forced.empty()) {
    const Algorithm& row = Find(forced);
    const char* reason = row.declines(g);
    Check(reason == nullptr, function, ": algorithm \"", forced, "\" declines: ", reason ? reason : "", "; input ",
          g.input_shape(), ", filter ", g.filter_shape());
    return row;
  }
  const Algorithm* row = kTable;
  while (row->declines(g) != nullptr) ++row;
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
  Choose(kFunction, g, options.algorithm).forward(g, input.data(), filter.data(), output.data(), workspace, options);
}

void Conv2dBackwardInput(const Conv2dParams& params, ConstTensorView grad_output, ConstTensorView filter,
                         TensorView grad_input, const Workspace& workspace, const Conv2dOptions& options) {
  constexpr std::string_view kFunction = "Conv2dBackwardInput";
  const Conv2dGeometry g = ResolveConv2d(kFunction, params, grad_input.shape(), filter.shape());
  CheckShape(kFunction, "grad_output", grad_output.shape(), g.output_shape());
  Choose(kFunction, g, options.algorithm)
      .backward_input(g, grad_output.data(), filter.data(), grad_input.data(), workspace);
}

void Conv2dBackwardFilter(const Conv2dParams& params, ConstTensorView input, ConstTensorView grad_output,
                          TensorView grad_filter, const Workspace& workspace, const Conv2dOptions& options) {
  constexpr std::string_view kFunction = "Conv2dBackwardFilter";
  const Conv2dGeometry g = ResolveConv2d(kFunction, params, input.shape(), grad_filter.shape());
  CheckShape(kFunction, "grad_output", grad_output.shape(), g.output_shape());
  Choose(kFunction, g, options.algorithm)
      .backward_filter(g, input.data(), grad_output.data(), grad_filter.data(), workspace);
}

std::span<const std::string_view> Conv2dAlgorithms(Conv2dPass) { return kNames; }

std::string_view ChooseConv2d(Conv2dPass, const Conv2dGeometry& geometry) { return Choose("", geometry, "").name; }

bool Conv2dSupports(Conv2dPass, std::string_view algorithm, const Conv2dGeometry& geometry) {
  return Find(algorithm).declines(geometry) == nullptr;
}

std::string ExplainConv2d(Conv2dPass, const Conv2dGeometry& geometry) {
  std::string text;
  for (const Algorithm& row : kTable) {
    const char* reason = row.declines(geometry);
    text += StrCat(row.name, ": ", reason ? reason : "taken", "\n");
    if (reason == nullptr) break;
  }
  return text;
}

}  // namespace hwynn
