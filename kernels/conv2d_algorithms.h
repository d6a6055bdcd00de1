#ifndef HWYNN_KERNELS_CONV2D_ALGORITHMS_H_
#define HWYNN_KERNELS_CONV2D_ALGORITHMS_H_

// Not for users: the rows of the algorithm table in conv2d.cc. Arguments were checked by conv2d.cc.

#include "hwynn/kernels/conv2d.h"

namespace hwynn {

// Register-tiled implicit matrix product; supports everything.
void DirectForward(const Conv2dGeometry& g, const float* input, const float* filter, float* output,
                   const Workspace& workspace, const Conv2dOptions& options);
void DirectBackwardInput(const Conv2dGeometry& g, const float* grad_output, const float* filter, float* grad_input,
                         const Workspace& workspace);
void DirectBackwardFilter(const Conv2dGeometry& g, const float* input, const float* grad_output, float* grad_filter,
                          const Workspace& workspace);

// Vectorised over channels: one filter a channel.
void DepthwiseForward(const Conv2dGeometry& g, const float* input, const float* filter, float* output,
                      const Workspace& workspace, const Conv2dOptions& options);
void DepthwiseBackwardInput(const Conv2dGeometry& g, const float* grad_output, const float* filter, float* grad_input,
                            const Workspace& workspace);
void DepthwiseBackwardFilter(const Conv2dGeometry& g, const float* input, const float* grad_output, float* grad_filter,
                             const Workspace& workspace);

// F(4×4,3×3), see conv2d_winograd.cc. Null where it can be used, and where it pays; else the reason why not.
const char* WinogradDeclines(const Conv2dGeometry& g);
const char* WinogradDoesNotPay(const Conv2dGeometry& g);
void WinogradForward(const Conv2dGeometry& g, const float* input, const float* filter, float* output,
                     const Workspace& workspace, const Conv2dOptions& options);
void WinogradBackwardInput(const Conv2dGeometry& g, const float* grad_output, const float* filter, float* grad_input,
                           const Workspace& workspace);
void WinogradBackwardFilter(const Conv2dGeometry& g, const float* input, const float* grad_output, float* grad_filter,
                            const Workspace& workspace);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_ALGORITHMS_H_
