#ifndef HWYNN_KERNELS_REFERENCE_CONV2D_H_
#define HWYNN_KERNELS_REFERENCE_CONV2D_H_

// Convolution by its definition, with prologue, epilogue and statistics: double accumulation, in the order of the
// formula. Each function also gives the sum of the terms' magnitudes, Σ|x||w|, from which a test derives its error
// bound.

#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/reference/batch_norm.h"
#include "hwynn/kernels/reference/sums.h"

namespace hwynn::reference {

/// The epilogue's results aren't looked at: Conv2dStatistics has them.
Sums Conv2dForward(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView filter,
                   const Conv2dPrologue& prologue = {}, const Conv2dEpilogue& epilogue = {});
Sums Conv2dBackwardInput(const Conv2dGeometry& g, ConstTensorView grad_output, ConstTensorView filter);
Sums Conv2dBackwardFilter(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView grad_output,
                          const Conv2dPrologue& prologue = {});

struct InputGradient {
  Sums grad_input;     // what passes the mask
  Sums grad;           // [IC], Σ of it
  Sums grad_centered;  // [IC], Σ of it times (z − mean)
};

/// The pass with its epilogue; with `before`, what grad_input held, accumulated. The epilogue's output isn't looked at.
InputGradient Conv2dBackwardInput(const Conv2dGeometry& g, ConstTensorView grad_output, ConstTensorView filter,
                                  const Conv2dGradientEpilogue& epilogue, ConstTensorView before);

/// Σ over all axes but the last.
Sums BiasGradient(ConstTensorView grad_output);

/// Mean and biased variance, per channel, of an output that was written.
Moments Conv2dStatistics(ConstTensorView output);

/// One output of Conv2dForward without prologue and epilogue: for sampled checks of large shapes.
double Conv2dForwardAt(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView filter, int64_t n, int64_t oy,
                       int64_t ox, int64_t o);
/// One element of the gradients.
double Conv2dBackwardInputAt(const Conv2dGeometry& g, ConstTensorView grad_output, ConstTensorView filter, int64_t n,
                             int64_t iy, int64_t ix, int64_t c);
double Conv2dBackwardFilterAt(const Conv2dGeometry& g, ConstTensorView input, ConstTensorView grad_output, int64_t ky,
                              int64_t kx, int64_t c, int64_t o);

}  // namespace hwynn::reference

#endif  // HWYNN_KERNELS_REFERENCE_CONV2D_H_
