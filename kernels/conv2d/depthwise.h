#ifndef HWYNN_KERNELS_CONV2D_DEPTHWISE_H_
#define HWYNN_KERNELS_CONV2D_DEPTHWISE_H_

// Not for users: what depthwise-inl.h shares over all targets.

#include <cstdint>

#include "hwynn/kernels/simd/gemm_tile.h"

namespace hwynn {

/// One tap: offsets of the first pixel's source and of the tap's weights.
struct DepthwiseTerm {
  int64_t x;
  int64_t w;
};

/// Neighbouring pixels of one or more rows that meet the same taps.
struct DepthwiseArgs {
  const DepthwiseTerm* terms;
  int64_t num_terms;
  const float* x;  // pixel p of row r meets x[r·x_row_stride + p·x_stride + term.x + channel]
  int64_t x_row_stride, x_stride;
  const float* w;
  float* output;  // and is at output + r·output_row_stride + p·output_stride
  int64_t output_row_stride, output_stride;
  int64_t rows;  // 1, or what DepthwiseRows says
  int64_t pixels;
  int64_t channels;
  const TileEpilogue* epilogue;
  bool stream;               // non-temporal stores: whole vectors of channels, aligned
  PrefetchStream* prefetch;  // in steps of a vector of a pixel of a row
};

/// The same for the gradient of the filter: w[term.w + channel] += Σ over pixels of x·grad_output.
struct DepthwiseGradientArgs {
  const DepthwiseTerm* terms;
  int64_t num_terms;
  const float* x;
  int64_t x_row_stride, x_stride;
  const float* grad_output;  // pixel p of row r at grad_output + r·grad_row_stride + p·channels
  int64_t grad_row_stride;
  float* w;
  int64_t rows;
  int64_t pixels;
  int64_t channels;
  PrefetchStream* prefetch;
};

}  // namespace hwynn

#endif  // HWYNN_KERNELS_CONV2D_DEPTHWISE_H_
