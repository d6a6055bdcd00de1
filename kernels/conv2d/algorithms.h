#ifndef HWYNN_KERNELS_CONV2D_ALGORITHMS_H_
#define HWYNN_KERNELS_CONV2D_ALGORITHMS_H_

// Not for users: the rows of the algorithm table in conv2d.cc. Arguments were checked by conv2d.cc.
//
// Forward and backward-input read the filter packed: …PackedFloats says how many floats that takes, …PackFilter writes
// them. The form depends on the pass, the current target and the geometry, never on its batch.

#include "hwynn/kernels/conv2d.h"
#include "hwynn/kernels/simd/gemm_tile.h"

namespace hwynn {

// Register-tiled implicit matrix product; supports everything.
int64_t DirectPackedFloats(Conv2dPass pass, const Conv2dGeometry& g);
void DirectPackFilter(Conv2dPass pass, const Conv2dGeometry& g, const float* filter, float* packed);
void DirectForward(const Conv2dGeometry& g, const float* input, const float* packed, float* output,
                   const Workspace& workspace, const Conv2dOptions& options);
void DirectBackwardInput(const Conv2dGeometry& g, const float* grad_output, const float* packed, float* grad_input,
                         const Workspace& workspace, const Conv2dOptions& options);
void DirectBackwardFilter(const Conv2dGeometry& g, const float* input, const float* grad_output, float* grad_filter,
                          const Workspace& workspace);

// Vectorised over channels: one filter a channel. Null where it can be used, else the reason why not. "Packed" is the
// filter itself.
const char* DepthwiseDeclines(const Conv2dGeometry& g);
int64_t DepthwisePackedFloats(Conv2dPass pass, const Conv2dGeometry& g);
void DepthwisePackFilter(Conv2dPass pass, const Conv2dGeometry& g, const float* filter, float* packed);
void DepthwiseForward(const Conv2dGeometry& g, const float* input, const float* packed, float* output,
                      const Workspace& workspace, const Conv2dOptions& options);
void DepthwiseBackwardInput(const Conv2dGeometry& g, const float* grad_output, const float* packed, float* grad_input,
                            const Workspace& workspace, const Conv2dOptions& options);
void DepthwiseBackwardFilter(const Conv2dGeometry& g, const float* input, const float* grad_output, float* grad_filter,
                             const Workspace& workspace);

// F(kOutputs×kOutputs,3×3), 2 or 4, see conv2d_winograd.cc. Null where it can be used, and where it pays; else the
// reason why not.
const char* WinogradDeclines(const Conv2dGeometry& g);
template <int kOutputs>
const char* WinogradDoesNotPay(const Conv2dGeometry& g);
template <int kOutputs>
int64_t WinogradPackedFloats(Conv2dPass pass, const Conv2dGeometry& g);
template <int kOutputs>
void WinogradPackFilter(Conv2dPass pass, const Conv2dGeometry& g, const float* filter, float* packed);
template <int kOutputs>
void WinogradForward(const Conv2dGeometry& g, const float* input, const float* packed, float* output,
                     const Workspace& workspace, const Conv2dOptions& options);
template <int kOutputs>
void WinogradBackwardInput(const Conv2dGeometry& g, const float* grad_output, const float* packed, float* grad_input,
                           const Workspace& workspace, const Conv2dOptions& options);
/// The same with the filter as it is. False, and nothing done, where packing it first is better.
template <int kOutputs>
bool WinogradForwardUnpacked(const Conv2dGeometry& g, const float* input, const float* filter, float* output,
                             const Workspace& workspace, const Conv2dOptions& options);
template <int kOutputs>
bool WinogradBackwardInputUnpacked(const Conv2dGeometry& g, const float* grad_output, const float* filter,
                                   float* grad_input, const Workspace& workspace, const Conv2dOptions& options);
template <int kOutputs>
void WinogradBackwardFilter(const Conv2dGeometry& g, const float* input, const float* grad_output, float* grad_filter,
                            const Workspace& workspace);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_ALGORITHMS_H_
