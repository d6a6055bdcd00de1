// A matrix product is a 1×1 convolution over a batch of one-pixel images: rows are pixels, columns channels.

#include "hwynn/kernels/matmul.h"

#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d/algorithms.h"

namespace hwynn {
namespace {

// Of a [M,K] times b [K,N].
Conv2dGeometry MatmulGeometry(const char* function, const Shape& a, const Shape& b, const Shape& output) {
  const bool fits =
      a.rank() == 2 && b.rank() == 2 && output.rank() == 2 && a[1] == b[0] && output[0] == a[0] && output[1] == b[1];
  Check(fits, function, ": shapes must be a [M,K], b [K,N], output [M,N]; they are ", a, ", ", b, ", ", output);
  Check(a.num_elements() > 0 && b.num_elements() > 0, function, ": an extent is 0; a ", a, ", b ", b);
  return ResolveConv2d(function, {.padding = Padding::Valid()}, {1, 1, a[0], a[1]}, {1, 1, b[0], b[1]});
}

Tensor Pack(Conv2dPass pass, const Conv2dGeometry& g, ConstTensorView b, const Workspace& workspace) {
  Tensor packed = workspace.NewTensor({DirectPackedFloats(pass, g)});
  DirectPackFilter(pass, g, b.data(), packed.data());
  return packed;
}

}  // namespace

void MatmulForward(ConstTensorView a, ConstTensorView b, ConstTensorView bias, TensorView output,
                   const Workspace& workspace) {
  const Conv2dGeometry g = MatmulGeometry("MatmulForward", a.shape(), b.shape(), output.shape());
  Check(bias.size() == 0 || bias.shape() == Shape{g.OC}, "MatmulForward: bias must be [", g.OC, "], is ", bias.shape());
  const Tensor packed = Pack(Conv2dPass::kForward, g, b, workspace);
  DirectForward(g, a.data(), packed.data(), output.data(), workspace, {.epilogue = {.bias = bias}});
}

void MatmulBackwardA(ConstTensorView grad_output, ConstTensorView b, TensorView grad_a, const Workspace& workspace) {
  const Conv2dGeometry g = MatmulGeometry("MatmulBackwardA", grad_a.shape(), b.shape(), grad_output.shape());
  const Tensor packed = Pack(Conv2dPass::kBackwardInput, g, b, workspace);
  DirectBackwardInput(g, grad_output.data(), packed.data(), grad_a.data(), workspace, {});
}

void MatmulBackwardB(ConstTensorView a, ConstTensorView grad_output, TensorView grad_b, const Workspace& workspace) {
  const Conv2dGeometry g = MatmulGeometry("MatmulBackwardB", a.shape(), grad_b.shape(), grad_output.shape());
  DirectBackwardFilter(g, a.data(), grad_output.data(), grad_b.data(), workspace);
}

}  // namespace hwynn
