// Vectors over channels whose number needn't divide by the lanes.

#if defined(HWYNN_KERNELS_SIMD_CHANNEL_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_SIMD_CHANNEL_VECTORS_INL_H_
#undef HWYNN_KERNELS_SIMD_CHANNEL_VECTORS_INL_H_
#else
#define HWYNN_KERNELS_SIMD_CHANNEL_VECTORS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The first n < Lanes(d) floats, then zeros. Masked loads may touch memory behind a mask on some targets.
template <class D>
HWY_INLINE hn::Vec<D> LoadPartial(D d, const float* from, size_t n) {
  HWY_ALIGN float lanes[hn::MaxLanes(D())] = {};
  std::memcpy(lanes, from, n * sizeof(float));
  return hn::Load(d, lanes);
}

template <class D>
HWY_INLINE void StorePartial(D d, hn::Vec<D> v, float* to, size_t n) {
  HWY_ALIGN float lanes[hn::MaxLanes(D())];
  hn::Store(v, d, lanes);
  std::memcpy(to, lanes, n * sizeof(float));
}

// max(v, 0), but NaN stays NaN: x86's maximum with 0 would hide it.
template <class V>
HWY_INLINE V Relu(V v) {
  return hn::IfThenZeroElse(hn::Lt(v, hn::Zero(hn::DFromV<V>())), v);
}

// Calls body(c, n) for the channels [c, c + n): whole vectors, then what is left.
template <class Body>
HWY_INLINE void ForChannels(int64_t channels, int64_t lanes, const Body& body) {
  int64_t c = 0;
  for (; c + lanes <= channels; c += lanes) body(c, lanes);
  if (c < channels) body(c, channels - c);
}

template <class D>
HWY_INLINE hn::Vec<D> LoadUpTo(D d, const float* from, int64_t n) {
  return n == static_cast<int64_t>(hn::Lanes(d)) ? hn::LoadU(d, from) : LoadPartial(d, from, static_cast<size_t>(n));
}

template <class D>
HWY_INLINE void StoreUpTo(D d, hn::Vec<D> v, float* to, int64_t n) {
  if (n == static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(v, d, to);
  } else {
    StorePartial(d, v, to, static_cast<size_t>(n));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_SIMD_CHANNEL_VECTORS_INL_H_
