#include "hwynn/kernels/reference/conv2d.h"

#include <algorithm>
#include <cmath>

namespace hwynn::reference {
namespace {

// Calls body(input index, filter index, output index) for every product of the convolution.
template <class Body>
void ForEachTerm(const Conv2dGeometry& g, const Body& body) {
  for (int64_t n = 0; n < g.N; ++n) {
    for (int64_t oy = 0; oy < g.OH; ++oy) {
      for (int64_t ox = 0; ox < g.OW; ++ox) {
        for (int64_t ky = 0; ky < g.KH; ++ky) {
          for (int64_t kx = 0; kx < g.KW; ++kx) {
            const int64_t iy = oy * g.stride_h - g.pad_top + ky * g.dilation_h;
            const int64_t ix = ox * g.stride_w - g.pad_left + kx * g.dilation_w;
            if (iy < 0 || iy >= g.IH || ix < 0 || ix >= g.IW) continue;
            for (int64_t o = 0; o < g.OC; ++o) {
              const int64_t first = o / g.group_oc() * g.group_ic();  // of the group's input channels
              for (int64_t c = 0; c < g.group_ic(); ++c) {
                body(((n * g.IH + iy) * g.IW + ix) * g.IC + first + c, ((ky * g.KW + kx) * g.group_ic() + c) * g.OC + o,
                     ((n * g.OH + oy) * g.OW + ox) * g.OC + o);
              }
            }
          }
        }
      }
    }
  }
}

double Product(float a, float b) { return static_cast<double>(a) * b; }

double ValueOr(ConstTensorView view, size_t channel, double otherwise) {
  return view.size() == 0 ? otherwise : view[static_cast<int64_t>(channel)];
}

// y ← (y − center)·scale + bias per channel: the last axis, of C.
void Affine(ConstTensorView center, ConstTensorView scale, ConstTensorView bias, size_t C, Sums& y) {
  for (size_t i = 0; i < y.values.size(); ++i) {
    const double centered = y.values[i] - ValueOr(center, i % C, 0);
    const double mul = ValueOr(scale, i % C, 1);
    const double add = ValueOr(bias, i % C, 0);
    y.values[i] = centered * mul + add;
    y.magnitudes[i] = (y.magnitudes[i] + std::abs(centered)) * std::abs(mul) + std::abs(add);
  }
}

void Clip(double upper, Sums& y) {
  for (double& value : y.values) value = std::clamp(value, 0.0, upper);
}

// What the products see of the input.
Sums AfterPrologue(ConstTensorView input, const Conv2dPrologue& prologue) {
  Sums x(input.size());
  for (int64_t i = 0; i < input.size(); ++i) x.values[static_cast<size_t>(i)] = input[i];
  Affine(prologue.mean, prologue.mul, prologue.bias, static_cast<size_t>(input.shape().back()), x);
  if (prologue.relu) Clip(prologue.upper, x);
  return x;
}

void ApplyEpilogue(const Conv2dEpilogue& epilogue, int64_t C, Sums& y) {
  if (epilogue.center.size() + epilogue.scale.size() + epilogue.bias.size() > 0) {
    Affine(epilogue.center, epilogue.scale, epilogue.bias, static_cast<size_t>(C), y);
  }
  for (int64_t i = 0; i < epilogue.residual.size(); ++i) y.Add(i, epilogue.residual[i]);
  if (epilogue.relu) Clip(epilogue.upper, y);
}

}  // namespace

Sums Conv2dForward(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView filter,
                   const Conv2dPrologue& prologue, const Conv2dEpilogue& epilogue) {
  const Sums x = AfterPrologue(input, prologue);
  Sums sums(g.output_shape().num_elements());
  ForEachTerm(g, [&](int64_t from, int64_t w, int64_t to) {
    const auto i = static_cast<size_t>(from);
    const auto o = static_cast<size_t>(to);
    sums.values[o] += x.values[i] * filter[w];
    sums.magnitudes[o] += x.magnitudes[i] * std::abs(filter[w]);
  });
  ApplyEpilogue(epilogue, g.OC, sums);
  return sums;
}

Sums BiasGradient(ConstTensorView grad_output) {
  const int64_t C = grad_output.shape().back();
  Sums sums(C);
  for (int64_t i = 0; i < grad_output.size(); ++i) sums.Add(i % C, grad_output[i]);
  return sums;
}

Moments Conv2dStatistics(ConstTensorView output) { return BatchNormStatistics(output); }

Sums Conv2dBackwardInput(const Conv2dGeometry& g, ConstTensorView grad_output, ConstTensorView filter) {
  Sums sums(g.input_shape().num_elements());
  ForEachTerm(g, [&](int64_t x, int64_t w, int64_t y) { sums.Add(x, Product(grad_output[y], filter[w])); });
  return sums;
}

InputGradient Conv2dBackwardInput(const Conv2dGeometry& g, ConstTensorView grad_output, ConstTensorView filter,
                                  const Conv2dGradientEpilogue& epilogue, ConstTensorView before) {
  InputGradient result{Conv2dBackwardInput(g, grad_output, filter), Sums(g.IC), Sums(g.IC)};
  for (int64_t i = 0; i < before.size(); ++i) result.grad_input.Add(i, before[i]);
  for (int64_t i = 0; i < epilogue.input.size(); ++i) {
    const int64_t c = i % g.IC;
    const double centered = static_cast<double>(epilogue.input[i]) - epilogue.mean[c];
    const double y = centered * epilogue.mul[c] + epilogue.bias[c];
    double& grad = result.grad_input.values[static_cast<size_t>(i)];
    if (epilogue.relu && !(y > 0 && (y < epilogue.upper || std::isinf(epilogue.upper)))) grad = 0;
    result.grad.Add(c, grad);
    result.grad_centered.Add(c, grad * centered);
  }
  return result;
}

Sums Conv2dBackwardFilter(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView grad_output,
                          const Conv2dPrologue& prologue) {
  const Sums x = AfterPrologue(input, prologue);
  Sums sums(g.filter_shape().num_elements());
  ForEachTerm(g, [&](int64_t from, int64_t w, int64_t y) {
    const auto i = static_cast<size_t>(from);
    const auto k = static_cast<size_t>(w);
    sums.values[k] += x.values[i] * grad_output[y];
    sums.magnitudes[k] += x.magnitudes[i] * std::abs(grad_output[y]);
  });
  return sums;
}

double Conv2dForwardAt(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView filter, int64_t n, int64_t oy,
                       int64_t ox, int64_t o) {
  double sum = 0;
  const int64_t first = o / g.group_oc() * g.group_ic();
  for (int64_t ky = 0; ky < g.KH; ++ky) {
    for (int64_t kx = 0; kx < g.KW; ++kx) {
      const int64_t iy = oy * g.stride_h - g.pad_top + ky * g.dilation_h;
      const int64_t ix = ox * g.stride_w - g.pad_left + kx * g.dilation_w;
      if (iy < 0 || iy >= g.IH || ix < 0 || ix >= g.IW) continue;
      for (int64_t c = 0; c < g.group_ic(); ++c) {
        sum += Product(input[((n * g.IH + iy) * g.IW + ix) * g.IC + first + c],
                       filter[((ky * g.KW + kx) * g.group_ic() + c) * g.OC + o]);
      }
    }
  }
  return sum;
}

double Conv2dBackwardInputAt(const Conv2dGeometry& g, ConstTensorView grad_output, ConstTensorView filter, int64_t n,
                             int64_t iy, int64_t ix, int64_t c) {
  double sum = 0;
  const int64_t group = c / g.group_ic();
  for (int64_t ky = 0; ky < g.KH; ++ky) {
    for (int64_t kx = 0; kx < g.KW; ++kx) {
      const int64_t y = iy + g.pad_top - ky * g.dilation_h;
      const int64_t x = ix + g.pad_left - kx * g.dilation_w;
      if (y < 0 || x < 0 || y % g.stride_h != 0 || x % g.stride_w != 0) continue;
      const int64_t oy = y / g.stride_h;
      const int64_t ox = x / g.stride_w;
      if (oy >= g.OH || ox >= g.OW) continue;
      for (int64_t o = group * g.group_oc(); o < (group + 1) * g.group_oc(); ++o) {
        sum += Product(grad_output[((n * g.OH + oy) * g.OW + ox) * g.OC + o],
                       filter[((ky * g.KW + kx) * g.group_ic() + c % g.group_ic()) * g.OC + o]);
      }
    }
  }
  return sum;
}

double Conv2dBackwardFilterAt(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView grad_output, int64_t ky,
                              int64_t kx, int64_t c, int64_t o) {
  double sum = 0;
  const int64_t first = o / g.group_oc() * g.group_ic();
  for (int64_t n = 0; n < g.N; ++n) {
    for (int64_t oy = 0; oy < g.OH; ++oy) {
      for (int64_t ox = 0; ox < g.OW; ++ox) {
        const int64_t iy = oy * g.stride_h - g.pad_top + ky * g.dilation_h;
        const int64_t ix = ox * g.stride_w - g.pad_left + kx * g.dilation_w;
        if (iy < 0 || iy >= g.IH || ix < 0 || ix >= g.IW) continue;
        sum += Product(input[((n * g.IH + iy) * g.IW + ix) * g.IC + first + c],
                       grad_output[((n * g.OH + oy) * g.OW + ox) * g.OC + o]);
      }
    }
  }
  return sum;
}

}  // namespace hwynn::reference
