#include "hwynn/kernels/reference/conv2d.h"

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

}  // namespace

Sums Conv2dForward(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView filter) {
  Sums sums(g.output_shape().num_elements());
  ForEachTerm(g, [&](int64_t x, int64_t w, int64_t y) { sums.Add(y, Product(input[x], filter[w])); });
  return sums;
}

Sums Conv2dBackwardInput(const Conv2dGeometry& g, ConstTensorView grad_output, ConstTensorView filter) {
  Sums sums(g.input_shape().num_elements());
  ForEachTerm(g, [&](int64_t x, int64_t w, int64_t y) { sums.Add(x, Product(grad_output[y], filter[w])); });
  return sums;
}

Sums Conv2dBackwardFilter(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView grad_output) {
  Sums sums(g.filter_shape().num_elements());
  ForEachTerm(g, [&](int64_t x, int64_t w, int64_t y) { sums.Add(w, Product(input[x], grad_output[y])); });
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
