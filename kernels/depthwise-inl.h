// Vector code of depthwise convolution: one row of pixels, vectors of channels.

#if defined(HWYNN_KERNELS_DEPTHWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_DEPTHWISE_INL_H_
#undef HWYNN_KERNELS_DEPTHWISE_INL_H_
#else
#define HWYNN_KERNELS_DEPTHWISE_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "hwynn/kernels/channel_vectors-inl.h"
#include "hwynn/kernels/depthwise.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

// output[c] = Σ over terms of x[term.x + c]·w[term.w + c], then the epilogue.
template <class D>
HWY_INLINE void DepthwisePixel(D d, const DepthwiseTerm* terms, int64_t num_terms, const float* x, const float* w,
                               int64_t channels, const TileEpilogue& epilogue, float* output) {
  ForChannels(channels, static_cast<int64_t>(hn::Lanes(d)), [&](int64_t c, int64_t n) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (int64_t t = 0; t < num_terms; ++t) {
      sum = hn::MulAdd(LoadUpTo(d, x + terms[t].x + c, n), LoadUpTo(d, w + terms[t].w + c, n), sum);
    }
    if (epilogue.scale != nullptr) sum = hn::Mul(sum, LoadUpTo(d, epilogue.scale + c, n));
    if (epilogue.bias != nullptr) sum = hn::Add(sum, LoadUpTo(d, epilogue.bias + c, n));
    if (epilogue.residual != nullptr) sum = hn::Add(sum, LoadUpTo(d, epilogue.residual + c, n));
    if (epilogue.relu) sum = Relu(sum);
    StoreUpTo(d, sum, output + c, n);
  });
}

// sums[c] += Σ over pixels p of x[p·x_stride + c]·dy[p·channels + c]: one tap of the filter's gradient, one row.
template <class D>
HWY_INLINE void DepthwiseTapGradient(D d, const float* x, int64_t x_stride, const float* dy, int64_t pixels,
                                     int64_t channels, float* sums) {
  ForChannels(channels, static_cast<int64_t>(hn::Lanes(d)), [&](int64_t c, int64_t n) HWY_ATTR {
    auto sum0 = LoadUpTo(d, sums + c, n);
    auto sum1 = hn::Zero(d);  // two chains hide the latency of the sum
    int64_t p = 0;
    for (; p + 2 <= pixels; p += 2) {
      sum0 = hn::MulAdd(LoadUpTo(d, x + p * x_stride + c, n), LoadUpTo(d, dy + p * channels + c, n), sum0);
      sum1 = hn::MulAdd(LoadUpTo(d, x + (p + 1) * x_stride + c, n), LoadUpTo(d, dy + (p + 1) * channels + c, n), sum1);
    }
    if (p < pixels) {
      sum0 = hn::MulAdd(LoadUpTo(d, x + p * x_stride + c, n), LoadUpTo(d, dy + p * channels + c, n), sum0);
    }
    StoreUpTo(d, hn::Add(sum0, sum1), sums + c, n);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_DEPTHWISE_INL_H_
