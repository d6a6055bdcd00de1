#include "hwynn/kernels/reference/pool.h"

#include <cmath>
#include <limits>

namespace hwynn::reference {
namespace {

// Calls body(output index, tap index) for every tap that lies inside the image, windows and taps in row-major order.
template <class Body>
void ForTaps(const PoolParams& params, const Shape& input, const Body& body) {
  const Shape output = PoolOutputShape("reference", params, input);
  const auto axis = [&](int a) {
    return ResolveAxis(params.padding, a, input[a + 1], params.window[static_cast<size_t>(a)],
                       params.stride[static_cast<size_t>(a)], 1);
  };
  const int64_t top = axis(0).before;
  const int64_t left = axis(1).before;
  for (int64_t n = 0; n < output[0]; ++n) {
    for (int64_t oy = 0; oy < output[1]; ++oy) {
      for (int64_t ox = 0; ox < output[2]; ++ox) {
        for (int64_t ky = 0; ky < params.window[0]; ++ky) {
          for (int64_t kx = 0; kx < params.window[1]; ++kx) {
            const int64_t iy = oy * params.stride[0] - top + ky;
            const int64_t ix = ox * params.stride[1] - left + kx;
            if (iy < 0 || iy >= input[1] || ix < 0 || ix >= input[2]) continue;
            for (int64_t c = 0; c < input[3]; ++c) {
              body(static_cast<size_t>(((n * output[1] + oy) * output[2] + ox) * output[3] + c),
                   static_cast<size_t>(((n * input[1] + iy) * input[2] + ix) * input[3] + c));
            }
          }
        }
      }
    }
  }
}

double At(ConstTensorView values, size_t i) { return static_cast<double>(values.span()[i]); }

void AddTerm(Sums& sums, size_t i, double term) {
  sums.values[i] += term;
  sums.magnitudes[i] += std::abs(term);
}

double WindowSize(const PoolParams& params) { return static_cast<double>(params.window[0] * params.window[1]); }

}  // namespace

Sums MaxPoolForward(const PoolParams& params, ConstTensorView input) {
  Sums output(PoolOutputShape("reference", params, input.shape()).num_elements());
  for (double& value : output.values) value = -std::numeric_limits<double>::infinity();
  ForTaps(params, input.shape(), [&](size_t out, size_t in) {
    const double x = At(input, in);
    if (x > output.values[out] || std::isnan(x)) output.values[out] = x;
  });
  return output;
}

Sums MaxPoolBackward(const PoolParams& params, ConstTensorView input, ConstTensorView grad_output) {
  constexpr size_t kNone = std::numeric_limits<size_t>::max();
  std::vector<size_t> first(static_cast<size_t>(grad_output.size()), kNone);
  ForTaps(params, input.shape(), [&](size_t out, size_t in) {
    if (first[out] == kNone || At(input, in) > At(input, first[out])) first[out] = in;
  });
  Sums grad_input(input.size());
  for (size_t out = 0; out < first.size(); ++out) {
    if (first[out] != kNone) AddTerm(grad_input, first[out], At(grad_output, out));
  }
  return grad_input;
}

Sums AveragePoolForward(const PoolParams& params, ConstTensorView input) {
  Sums output(PoolOutputShape("reference", params, input.shape()).num_elements());
  ForTaps(params, input.shape(), [&](size_t out, size_t in) { AddTerm(output, out, At(input, in)); });
  for (double& value : output.values) value /= WindowSize(params);
  for (double& magnitude : output.magnitudes) magnitude /= WindowSize(params);
  return output;
}

Sums AveragePoolBackward(const PoolParams& params, ConstTensorView grad_output, const Shape& input_shape) {
  Sums grad_input(input_shape.num_elements());
  ForTaps(params, input_shape,
          [&](size_t out, size_t in) { AddTerm(grad_input, in, At(grad_output, out) / WindowSize(params)); });
  return grad_input;
}

Sums GlobalAveragePoolForward(ConstTensorView input) {
  return AveragePoolForward({.window = {input.shape()[1], input.shape()[2]}}, input);
}

Sums GlobalAveragePoolBackward(ConstTensorView grad_output, const Shape& input_shape) {
  return AveragePoolBackward({.window = {input_shape[1], input_shape[2]}}, grad_output, input_shape);
}

}  // namespace hwynn::reference
