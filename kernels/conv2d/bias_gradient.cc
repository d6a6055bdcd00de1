// A bias's gradient: grad_output summed over all axes but the channels'.

#include <algorithm>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/simd/channel_sums.h"

namespace hwynn {

void BiasGradient(ConstTensorView grad_output, TensorView grad_bias, const Workspace& workspace) {
  const Shape& shape = grad_output.shape();
  Check(shape.rank() >= 1 && grad_output.size() > 0 && grad_bias.shape() == Shape{shape.back()},
        "BiasGradient: grad_bias must be [C] for grad_output [...,C], not empty; grad_output ", shape, ", grad_bias ",
        grad_bias.shape());
  const int64_t C = shape.back();
  const std::vector<double> sums = SumRows({grad_output.data(), grad_output.size() / C, C}, workspace);
  std::transform(sums.begin(), sums.end(), grad_bias.data(), [](double sum) { return static_cast<float>(sum); });
}

}  // namespace hwynn
