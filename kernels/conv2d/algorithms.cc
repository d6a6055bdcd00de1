#include "hwynn/kernels/conv2d/algorithms.h"

#include <stdexcept>

#include "hwynn/core/check.h"

namespace hwynn {
namespace {

const char* Never(const Conv2dGeometry& /*g*/) { return nullptr; }
const char* AlwaysPays(const Conv2dGeometry& /*g*/, int64_t /*m*/) { return nullptr; }

constexpr Conv2dAlgorithm kTable[] = {
    {
        .name = "direct_depthwise",
        .highest = true,
        .declines = DepthwiseDeclines,
        .does_not_pay = AlwaysPays,
        .packed_floats = DepthwisePackedFloats,
        .pack = DepthwisePackFilter,
        .forward = PlanDepthwiseForward,
        .backward_input = PlanDepthwiseBackwardInput,
        .backward_filter = PlanDepthwiseBackwardFilter,
    },
    {
        .name = "winograd_f4x4",
        .m = 4,
        .declines = WinogradDeclines,
        .does_not_pay = WinogradDoesNotPay,
        .packed_floats = WinogradPackedFloats,
        .pack = WinogradPackFilter,
        .pack_scratch_bytes = WinogradPackScratchBytes,
        .forward = PlanWinogradForward,
        .backward_input = PlanWinogradBackwardInput,
        .backward_filter = PlanWinogradBackwardFilter,
    },
    {
        .name = "winograd_f2x2",
        .m = 2,
        .declines = WinogradDeclines,
        .does_not_pay = WinogradDoesNotPay,
        .packed_floats = WinogradPackedFloats,
        .pack = WinogradPackFilter,
        .pack_scratch_bytes = WinogradPackScratchBytes,
        .forward = PlanWinogradForward,
        .backward_input = PlanWinogradBackwardInput,
        .backward_filter = PlanWinogradBackwardFilter,
    },
    {
        .name = "direct",
        .highest = true,
        .declines = Never,
        .does_not_pay = AlwaysPays,
        .packed_floats = DirectPackedFloats,
        .pack = DirectPackFilter,
        .forward = PlanDirectForward,
        .backward_input = PlanDirectBackwardInput,
        .backward_filter = PlanDirectBackwardFilter,
    },
};

// Why a row can't do a pass; null when it can.
const char* Declines(const Conv2dAlgorithm& row, Conv2dPass pass, const Conv2dGeometry& g) {
  return row.Planner(pass) == nullptr ? "not for this pass" : row.declines(g);
}

}  // namespace

Conv2dAlgorithm::MakePlan* Conv2dAlgorithm::Planner(Conv2dPass pass) const {
  switch (pass) {
    case Conv2dPass::kForward:
      return forward;
    case Conv2dPass::kBackwardInput:
      return backward_input;
    default:
      return backward_filter;
  }
}

std::span<const Conv2dAlgorithm> Conv2dTable() { return kTable; }

const Conv2dAlgorithm& FindConv2dAlgorithm(Conv2dPass pass, std::string_view name) {
  for (const Conv2dAlgorithm& row : kTable) {
    if (row.name == name && row.Planner(pass) != nullptr) return row;
  }
  std::string names;
  for (const std::string_view has : Conv2dAlgorithms(pass)) names += StrCat(names.empty() ? "" : ", ", has);
  throw std::invalid_argument(StrCat("Conv2d: no algorithm \"", name, "\"; this pass has ", names));
}

const char* WhyNot(const Conv2dAlgorithm& row, const Conv2dChoice& choice, const Conv2dGeometry& g) {
  if (const char* reason = Declines(row, choice.pass, g)) return reason;
  if (choice.precision == Precision::kHighest && !row.highest) return "rounds more than precision kHighest allows";
  Conv2dGeometry batch = g;
  if (choice.batch_invariant) batch.N = 1;
  return row.does_not_pay(batch, row.m);
}

const Conv2dAlgorithm& ChooseConv2dAlgorithm(std::string_view function, Conv2dChoice choice, const Conv2dGeometry& g,
                                             std::string_view name) {
  if (!name.empty()) {
    const Conv2dAlgorithm& row = FindConv2dAlgorithm(choice.pass, name);
    const char* reason = Declines(row, choice.pass, g);
    Check(reason == nullptr, function, ": algorithm \"", name, "\" declines: ", reason ? reason : "", "; input ",
          g.input_shape(), ", filter ", g.filter_shape());
    return row;
  }
  const Conv2dAlgorithm* row = kTable;
  while (WhyNot(*row, choice, g) != nullptr) ++row;
  return *row;
}

std::vector<std::string_view> Conv2dAlgorithms(Conv2dPass pass) {
  std::vector<std::string_view> names;
  for (const Conv2dAlgorithm& row : kTable) {
    if (row.Planner(pass) != nullptr) names.push_back(row.name);
  }
  return names;
}

std::string_view ChooseConv2d(Conv2dPass pass, const Conv2dGeometry& geometry, Precision precision) {
  return ChooseConv2dAlgorithm("ChooseConv2d", {pass, precision, false}, geometry, "").name;
}

bool Conv2dSupports(Conv2dPass pass, std::string_view algorithm, const Conv2dGeometry& geometry) {
  return Declines(FindConv2dAlgorithm(pass, algorithm), pass, geometry) == nullptr;
}

}  // namespace hwynn
