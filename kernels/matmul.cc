// A matrix product is a 1×1 convolution over a batch of one-pixel rows: rows are pixels, columns channels.

#include "hwynn/kernels/matmul.h"

#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d.h"

namespace hwynn {
namespace {

constexpr std::string_view kAlgorithm = "direct";
constexpr Conv2dParams kParams{.padding = Padding::Valid()};

// Of a [M,K] times b [K,N].
void CheckShapes(const char* function, const Shape& a, const Shape& b, const Shape& output) {
  const bool fits =
      a.rank() == 2 && b.rank() == 2 && output.rank() == 2 && a[1] == b[0] && output[0] == a[0] && output[1] == b[1];
  Check(fits, function, ": shapes must be a [M,K], b [K,N], output [M,N]; they are ", a, ", ", b, ", ", output);
  Check(a.num_elements() > 0 && b.num_elements() > 0, function, ": an extent is 0; a ", a, ", b ", b);
}

// A matrix as an image of one row, or as a filter of one tap.
template <class T>
BasicTensorView<T> As4d(BasicTensorView<T> matrix) {
  return {matrix.data(), {1, 1, matrix.shape()[0], matrix.shape()[1]}};
}

}  // namespace

void MatmulForward(ConstTensorView a, ConstTensorView b, ConstTensorView bias, TensorView output,
                   const Workspace& workspace) {
  CheckShapes("MatmulForward", a.shape(), b.shape(), output.shape());
  const int64_t columns = b.shape()[1];
  Check(bias.size() == 0 || bias.shape() == Shape{columns}, "MatmulForward: bias must be [", columns, "], is ",
        bias.shape());
  Conv2dForward(kParams, As4d(a), As4d(b), As4d(output), workspace,
                {.epilogue = {.bias = bias}, .algorithm = kAlgorithm});
}

void MatmulBackwardA(ConstTensorView grad_output, ConstTensorView b, TensorView grad_a, const Workspace& workspace) {
  CheckShapes("MatmulBackwardA", grad_a.shape(), b.shape(), grad_output.shape());
  Conv2dBackwardInput(kParams, As4d(grad_output), As4d(b), As4d(grad_a), workspace, {.algorithm = kAlgorithm});
}

void MatmulBackwardB(ConstTensorView a, ConstTensorView grad_output, TensorView grad_b, const Workspace& workspace) {
  CheckShapes("MatmulBackwardB", a.shape(), grad_b.shape(), grad_output.shape());
  Conv2dBackwardFilter(kParams, As4d(a), As4d(grad_output), As4d(grad_b), workspace, {.algorithm = kAlgorithm});
}

}  // namespace hwynn
