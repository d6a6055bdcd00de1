#include "hwynn/kernels/reference/pool.h"

#include <cmath>
#include <limits>

namespace hwynn::reference {
namespace {

// One axis of the pool: where its windows start and which pixels count.
struct Axis {
  Axis(const PoolParams& params, const Shape& input, int a)
      : pixels(input[a + 1]),
        window(params.window[static_cast<size_t>(a)]),
        stride(params.stride[static_cast<size_t>(a)]),
        dilation(params.dilation[static_cast<size_t>(a)]) {
    const WindowAxis resolved = ResolveAxis(params.padding, a, pixels, window, stride, dilation);
    before = resolved.before;
    after = resolved.after;
  }
  int64_t Pixel(int64_t o, int64_t k) const { return o * stride - before + k * dilation; }
  bool Inside(int64_t i) const { return i >= 0 && i < pixels && i >= -before && i < pixels + after; }
  // What an average over window o counts.
  double Counted(int64_t o, bool include_pad) const {
    double counted = 0;
    for (int64_t k = 0; k < window; ++k) {
      const int64_t i = Pixel(o, k);
      if (include_pad ? i < pixels + after : Inside(i)) ++counted;
    }
    return counted;
  }
  int64_t pixels, window, stride, dilation, before, after;
};

// Calls body(output index, tap index) for every tap that lies inside the image, windows and taps in row-major order.
template <class Body>
void ForTaps(const PoolParams& params, const Shape& input, const Body& body) {
  const Shape output = PoolOutputShape("reference", params, input);
  const Axis y(params, input, 0), x(params, input, 1);
  for (int64_t n = 0; n < output[0]; ++n) {
    for (int64_t oy = 0; oy < output[1]; ++oy) {
      for (int64_t ox = 0; ox < output[2]; ++ox) {
        for (int64_t ky = 0; ky < y.window; ++ky) {
          for (int64_t kx = 0; kx < x.window; ++kx) {
            const int64_t iy = y.Pixel(oy, ky);
            const int64_t ix = x.Pixel(ox, kx);
            if (!y.Inside(iy) || !x.Inside(ix)) continue;
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

// What each output of an average is divided by; 1 where the window is empty.
std::vector<double> Areas(const PoolParams& params, const Shape& input) {
  const Shape output = PoolOutputShape("reference", params, input);
  const Axis y(params, input, 0), x(params, input, 1);
  std::vector<double> areas;
  for (int64_t i = 0; i < output.num_elements(); ++i) {
    const int64_t ox = i / output[3] % output[2];
    const int64_t oy = i / output[3] / output[2] % output[1];
    const double area = y.Counted(oy, params.count_include_pad) * x.Counted(ox, params.count_include_pad);
    areas.push_back(area == 0 ? 1 : area);
  }
  return areas;
}

double At(ConstTensorView values, size_t i) { return static_cast<double>(values.span()[i]); }

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
    if (first[out] != kNone) grad_input.Add(static_cast<int64_t>(first[out]), At(grad_output, out));
  }
  return grad_input;
}

Sums AveragePoolForward(const PoolParams& params, ConstTensorView input) {
  const std::vector<double> areas = Areas(params, input.shape());
  Sums output(static_cast<int64_t>(areas.size()));
  ForTaps(params, input.shape(), [&](size_t out, size_t in) { output.Add(static_cast<int64_t>(out), At(input, in)); });
  for (size_t out = 0; out < areas.size(); ++out) {
    output.values[out] /= areas[out];
    output.magnitudes[out] /= areas[out];
  }
  return output;
}

Sums AveragePoolBackward(const PoolParams& params, ConstTensorView grad_output, const Shape& input_shape) {
  const std::vector<double> areas = Areas(params, input_shape);
  Sums grad_input(input_shape.num_elements());
  ForTaps(params, input_shape,
          [&](size_t out, size_t in) { grad_input.Add(static_cast<int64_t>(in), At(grad_output, out) / areas[out]); });
  return grad_input;
}

Sums GlobalAveragePoolForward(ConstTensorView input) {
  return AveragePoolForward({.window = {input.shape()[1], input.shape()[2]}}, input);
}

Sums GlobalAveragePoolBackward(ConstTensorView grad_output, const Shape& input_shape) {
  return AveragePoolBackward({.window = {input_shape[1], input_shape[2]}}, grad_output, input_shape);
}

}  // namespace hwynn::reference
