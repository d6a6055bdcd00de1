#ifndef HWYNN_KERNELS_REFERENCE_CONV2D_H_
#define HWYNN_KERNELS_REFERENCE_CONV2D_H_

// Convolution by its definition: double accumulation, in the order of the formula. Each function also gives the sum
// of the terms' magnitudes, Σ|x||w|, from which a test derives its error bound.

#include <vector>

#include "hwynn/kernels/conv2d.h"

namespace hwynn::reference {

struct Sums {
  explicit Sums(int64_t size) : value(static_cast<size_t>(size)), magnitude(static_cast<size_t>(size)) {}
  void Add(int64_t i, double term) {
    value[static_cast<size_t>(i)] += term;
    magnitude[static_cast<size_t>(i)] += term < 0 ? -term : term;
  }
  std::vector<double> value;
  std::vector<double> magnitude;
};

/// Without prologue and epilogue.
Sums Conv2dForward(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView filter);
Sums Conv2dBackwardInput(const Conv2dGeometry& g, ConstTensorView grad_output, ConstTensorView filter);
Sums Conv2dBackwardFilter(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView grad_output);

/// One output of Conv2dForward: for sampled checks of large shapes.
double Conv2dForwardAt(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView filter, int64_t n, int64_t oy,
                       int64_t ox, int64_t o);
/// One element of the gradients.
double Conv2dBackwardInputAt(const Conv2dGeometry& g, ConstTensorView grad_output, ConstTensorView filter, int64_t n,
                             int64_t iy, int64_t ix, int64_t c);
double Conv2dBackwardFilterAt(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView grad_output, int64_t ky,
                              int64_t kx, int64_t c, int64_t o);

}  // namespace hwynn::reference

#endif  // HWYNN_KERNELS_REFERENCE_CONV2D_H_
