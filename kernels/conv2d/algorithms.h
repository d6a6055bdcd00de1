#ifndef HWYNN_KERNELS_CONV2D_ALGORITHMS_H_
#define HWYNN_KERNELS_CONV2D_ALGORITHMS_H_

// Not for users: the table of algorithms, and what its rows give for each pass: a plan, and packed filters. Arguments
// were checked before (plan.cc).

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "hwynn/kernels/conv2d_plan.h"

namespace hwynn {

/// What a pass is planned for.
struct Conv2dSetup {
  Conv2dPass pass;
  Conv2dGeometry geometry;
  Precision precision = Precision::kDefault;
  bool packed_filter = false;    // calls bring one
  bool prologue = false;         // or a prologue, maybe
  bool statistics = false;       // or want statistics, maybe
  bool gradient = false;         // or bring an epilogue to backward-input, maybe
  bool batch_invariant = false;  // Conv2dParams::batch_invariant
  int64_t m = 0;                 // of the row: F(m×m,3×3)
};

/// One call: its arrays and what it asks for.
struct Conv2dCall {
  const float* input;   // backward-input: grad_output
  const float* filter;  // packed, or as it is where the plan doesn't pack; backward-filter: grad_output
  float* output;        // grad_input, grad_filter
  const Conv2dPrologue* prologue = nullptr;  // forward and backward-filter: never null
  const Conv2dEpilogue* epilogue = nullptr;
  bool accumulate = false;                           // backward-input
  const Conv2dGradientEpilogue* gradient = nullptr;  // null: none
};

/// How an algorithm does a pass of one geometry: all that depends on the setup alone. Const; calls may run side by
/// side.
class Conv2dPassPlan {
 public:
  virtual ~Conv2dPassPlan() = default;
  virtual void Run(const Conv2dCall& call, const Workspace& workspace) const = 0;

  /// Of each thread.
  int64_t scratch_bytes() const { return scratch_bytes_; }
  /// From the workspace, besides a packed filter.
  int64_t temporary_bytes() const { return temporary_bytes_; }
  /// Whether calls bring the filter packed; else as it is, where packing it would cost more than it saves.
  bool packs_filter() const { return packs_filter_; }

 protected:
  int64_t scratch_bytes_ = 0;
  int64_t temporary_bytes_ = 0;
  bool packs_filter_ = true;
};

/// What the form of a packed filter depends on, besides the current target.
struct Conv2dFilterForm {
  Conv2dPass pass;
  Shape filter;  // [KH,KW,IC/groups,OC]
  int64_t groups;
  int64_t m = 0;  // of the row

  int64_t taps() const { return filter[0] * filter[1]; }
};

/// A row of the table.
struct Conv2dAlgorithm {
  using MakePlan = std::unique_ptr<const Conv2dPassPlan>(const Conv2dSetup&);

  std::string_view name;
  int64_t m = 0;         // Winograd's F(m×m,3×3)
  bool highest = false;  // as accurate as a sum in float can be: allowed with Precision::kHighest
  /// Why it can't take a geometry; null when it can.
  const char* (*declines)(const Conv2dGeometry& g);
  /// Why the dispatcher prefers a later row; null when it doesn't.
  const char* (*does_not_pay)(const Conv2dGeometry& g, int64_t m);
  int64_t (*packed_floats)(const Conv2dFilterForm& form);
  void (*pack)(const Conv2dFilterForm& form, const float* filter, float* packed);
  /// Scratch of each thread that packs; null: none.
  int64_t (*pack_scratch_bytes)(const Conv2dFilterForm& form) = nullptr;
  // Null: not for this pass.
  MakePlan* forward = nullptr;
  MakePlan* backward_input = nullptr;
  MakePlan* backward_filter = nullptr;

  MakePlan* Planner(Conv2dPass pass) const;
};

/// Best first; the last row takes everything.
std::span<const Conv2dAlgorithm> Conv2dTable();

/// Throws std::invalid_argument, with the names that a pass has, for any other name.
const Conv2dAlgorithm& FindConv2dAlgorithm(Conv2dPass pass, std::string_view name);

/// What decides about the row, besides the geometry.
struct Conv2dChoice {
  Conv2dPass pass;
  Precision precision;
  bool batch_invariant;
};

/// Why the dispatcher passes a row by; null when it takes it.
const char* WhyNot(const Conv2dAlgorithm& row, const Conv2dChoice& choice, const Conv2dGeometry& g);

/// The row called `name`, or the first that the dispatcher takes. Throws std::invalid_argument, `function` in front,
/// where the one named declines.
const Conv2dAlgorithm& ChooseConv2dAlgorithm(std::string_view function, Conv2dChoice choice, const Conv2dGeometry& g,
                                             std::string_view name);

// Register-tiled implicit matrix product; takes everything.
int64_t DirectPackedFloats(const Conv2dFilterForm& form);
void DirectPackFilter(const Conv2dFilterForm& form, const float* filter, float* packed);
Conv2dAlgorithm::MakePlan PlanDirectForward, PlanDirectBackwardInput, PlanDirectBackwardFilter;

// Vectorised over channels: one filter a channel. "Packed" is the filter itself.
const char* DepthwiseDeclines(const Conv2dGeometry& g);
int64_t DepthwisePackedFloats(const Conv2dFilterForm& form);
void DepthwisePackFilter(const Conv2dFilterForm& form, const float* filter, float* packed);
Conv2dAlgorithm::MakePlan PlanDepthwiseForward, PlanDepthwiseBackwardInput, PlanDepthwiseBackwardFilter;

// F(m×m,3×3), m = 2 or 4: winograd.cc.
const char* WinogradDeclines(const Conv2dGeometry& g);
const char* WinogradDoesNotPay(const Conv2dGeometry& g, int64_t m);
int64_t WinogradPackedFloats(const Conv2dFilterForm& form);
void WinogradPackFilter(const Conv2dFilterForm& form, const float* filter, float* packed);
int64_t WinogradPackScratchBytes(const Conv2dFilterForm& form);
Conv2dAlgorithm::MakePlan PlanWinogradForward, PlanWinogradBackwardInput, PlanWinogradBackwardFilter;

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_ALGORITHMS_H_
