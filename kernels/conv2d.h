#ifndef HWYNN_KERNELS_CONV2D_H_
#define HWYNN_KERNELS_CONV2D_H_

// 2-D convolution (cross-correlation) over NHWC images with HWIO filters, forward and both gradients:
//
//   output[n,oy,ox,o] = Σ_{ky,kx,c} input[n, oy·SH − top + ky·DH, ox·SW − left + kx·DW, c] · filter[ky,kx,c,o]
//
// with zeros outside the image. Names and geometry are Flax's. For calls that repeat, conv2d_plan.h has plans and
// packed filters.

#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"
#include "hwynn/core/workspace.h"
#include "hwynn/kernels/batch_norm.h"
#include "hwynn/kernels/padding.h"
#include "hwynn/kernels/precision.h"

namespace HWYNN_EXPORT hwynn {

enum class Conv2dPass { kForward, kBackwardInput, kBackwardFilter };

struct Conv2dParams {
  std::array<int64_t, 2> stride = {1, 1};    // {height, width}
  std::array<int64_t, 2> dilation = {1, 1};  // of the filter ("kernel_dilation" in Flax)
  Padding padding = Padding::Same();
  int64_t groups = 1;  // Flax's feature_group_count; depthwise: groups = IC
  Precision precision = Precision::kDefault;
  // An image's output, and the gradient of its input, have the same bits in whatever batch it comes: the algorithm and
  // all else that decides an order of sums is chosen as for a batch of 1. (Statistics and gradients of filters are sums
  // over the batch and can't.)
  bool batch_invariant = false;
};

/// Every extent of one convolution, resolved and checked.
struct Conv2dGeometry {
  int64_t N, IH, IW, IC, OH, OW, OC, KH, KW;
  int64_t stride_h, stride_w, dilation_h, dilation_w;
  int64_t pad_top, pad_bottom, pad_left, pad_right;
  int64_t groups;

  bool operator==(const Conv2dGeometry&) const = default;
  int64_t group_ic() const { return IC / groups; }
  int64_t group_oc() const { return OC / groups; }
  Shape input_shape() const { return {N, IH, IW, IC}; }
  Shape filter_shape() const { return {KH, KW, group_ic(), OC}; }
  Shape output_shape() const { return {N, OH, OW, OC}; }
  /// Multiplications and additions of the direct algorithm: 2·N·OH·OW·OC·KH·KW·IC/groups.
  double flops() const {
    const auto product = [](auto... factors) { return (static_cast<double>(factors) * ...); };
    return 2 * product(N, OH, OW, OC, KH, KW, group_ic());
  }
};

/// Resolves and checks a convolution of `input` [N,IH,IW,IC] with `filter` [KH,KW,IC/groups,OC].
/// Throws std::invalid_argument, with `function` in front, for ranks other than 4, a batch or extent of 0, strides
/// or dilations below 1, channels that don't divide by the groups, a filter that doesn't fit the input's channels,
/// or an output without pixels.
Conv2dGeometry ResolveConv2d(std::string_view function, const Conv2dParams& params, const Shape& input,
                             const Shape& filter);

/// What happens to the input on its way in, per input channel c: x ← (x − mean[c])·mul[c] + bias[c], then with relu
/// clipped to [0, upper]. With the mean of a BatchNorm and BatchNormMul it has the bits of BatchNormNormalize. Padding
/// stays 0. mean, mul and bias are all given or all empty.
struct Conv2dPrologue {
  ConstTensorView mean{};  // [IC]
  ConstTensorView mul{};   // [IC]
  ConstTensorView bias{};  // [IC]
  bool relu = false;
  float upper = std::numeric_limits<float>::infinity();  // 6: ReLU6

  /// Nothing happens to the input.
  bool empty() const { return mul.size() == 0 && !relu; }
};

/// What happens to an output on its way out, in this order: (y − center[o])·scale[o] + bias[o] with one rounding for
/// the multiplication and the addition, + residual, with relu clipped to [0, upper], statistics. An empty center or
/// bias is 0, an empty scale 1, so that a scale and a bias alone, or a BatchNorm, its mean as the center, are all this.
struct Conv2dEpilogue {
  ConstTensorView center{};    // [OC]
  ConstTensorView scale{};     // [OC]
  ConstTensorView bias{};      // [OC]
  ConstTensorView residual{};  // [N,OH,OW,OC]
  bool relu = false;
  float upper = std::numeric_limits<float>::infinity();
  // Results: moments of what was written, per channel over N·OH·OW values, as accurate as BatchNormStatistics' stable
  // form, biased. Both or none.
  TensorView mean{};  // [OC]
  TensorView var{};   // [OC]

  /// Nothing happens to the output itself.
  bool empty() const {
    return center.size() == 0 && scale.size() == 0 && bias.size() == 0 && residual.size() == 0 && !relu;
  }
};

/// What happens to the gradient of an input on its way out, where that input was y = relu?((z − mean)·mul + bias): the
/// first step of a BatchNorm's backward pass (BatchNormBackwardSums), z being what it normalised. What is written is
/// g = grad_input where y let it pass, else 0; with a relu 0 < y < upper lets pass, without one all.
struct Conv2dGradientEpilogue {
  ConstTensorView input{};  // z, [N,IH,IW,IC]
  // y, likewise; needed where something was added before the ReLU. Empty, y is normalised from z again, with the bits
  // that BatchNormNormalize gives on the same target.
  ConstTensorView output{};
  ConstTensorView mean{};  // [IC]
  ConstTensorView mul{};   // [IC], as BatchNormMul makes it
  ConstTensorView bias{};  // [IC]
  bool relu = false;
  float upper = std::numeric_limits<float>::infinity();
  // Result, never null: Σ g and Σ g·(z − mean) over all N·IH·IW pixels, as accurate as BatchNormBackwardSums has them
  // where they don't overflow in f32. Pixels that the filter doesn't reach add nothing.
  BatchNormSums* sums = nullptr;

  /// Nothing happens to the gradient.
  bool empty() const { return input.size() == 0; }
};

// Options of a call. `algorithm` names a row of Conv2dAlgorithms(pass) to force it (an error if that row doesn't
// support the shape); empty: the first row that does.

struct Conv2dForwardOptions {
  Conv2dPrologue prologue{};
  Conv2dEpilogue epilogue{};
  std::string_view algorithm{};
};

struct Conv2dBackwardInputOptions {
  bool accumulate = false;            // grad_input += instead of =, where gradients meet
  Conv2dGradientEpilogue epilogue{};  // of the gradients' sum, with accumulate
  std::string_view algorithm{};
};

struct Conv2dBackwardFilterOptions {
  Conv2dPrologue prologue{};  // of the input, as in forward
  std::string_view algorithm{};
};

/// output = conv(input, filter), prologue and epilogue applied.
///
/// Shapes: input [N,IH,IW,IC]; filter [KH,KW,IC/groups,OC]; output [N,OH,OW,OC].
/// Aliasing: output may not overlap any input, residual excepted (it may be output itself).
/// Determinism: the same bits for any number of threads.
/// Throws: std::invalid_argument before anything is written.
void Conv2dForward(const Conv2dParams& params, ConstTensorView input, ConstTensorView filter, TensorView output,
                   const Workspace& workspace, const Conv2dForwardOptions& options = {});

/// grad_input = d loss / d input, given grad_output = d loss / d output. Overwrites all of grad_input, or adds to it
/// with `options.accumulate`; then the epilogue.
///
/// Aliasing: grad_input may overlap neither grad_output nor filter nor the epilogue's input and output.
/// Determinism: the same bits for any number of threads.
/// Throws: std::invalid_argument before anything is written.
void Conv2dBackwardInput(const Conv2dParams& params, ConstTensorView grad_output, ConstTensorView filter,
                         TensorView grad_input, const Workspace& workspace,
                         const Conv2dBackwardInputOptions& options = {});

/// grad_filter = d loss / d filter, prologue applied to the input; overwritten. The same bits as from an input that was
/// normalised before.
void Conv2dBackwardFilter(const Conv2dParams& params, ConstTensorView input, ConstTensorView grad_output,
                          TensorView grad_filter, const Workspace& workspace,
                          const Conv2dBackwardFilterOptions& options = {});

/// grad_bias[o] = Σ over all other axes of grad_output[…,o].
/// Shapes: grad_output [...,C]; grad_bias [C].
void BiasGradient(ConstTensorView grad_output, TensorView grad_bias, const Workspace& workspace);

/// Names of the algorithms of a pass, best first: the order in which the dispatcher asks them.
std::vector<std::string_view> Conv2dAlgorithms(Conv2dPass pass);

/// True when the named algorithm supports `geometry`.
bool Conv2dSupports(Conv2dPass pass, std::string_view algorithm, const Conv2dGeometry& geometry);

/// The name of the row that `geometry` takes. Depends on nothing but its arguments.
std::string_view ChooseConv2d(Conv2dPass pass, const Conv2dGeometry& geometry,
                              Precision precision = Precision::kDefault);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_H_
