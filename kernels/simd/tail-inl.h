// Loads and stores of the first n lanes of a vector, for what is left over after whole vectors. They touch no memory
// behind those lanes.

#if defined(HWYNN_KERNELS_SIMD_TAIL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_SIMD_TAIL_INL_H_
#undef HWYNN_KERNELS_SIMD_TAIL_INL_H_
#else
#define HWYNN_KERNELS_SIMD_TAIL_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// AVX2 and AVX-512 have instructions for it. Elsewhere Highway's masked operations touch the whole vector's memory,
// beyond the array or floats that another thread is writing; there a tail is a few vectors of one lane.
#undef HWYNN_MASKED_MEMORY
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
#define HWYNN_MASKED_MEMORY 1
template <class D>
using TailTag = D;
#else
#define HWYNN_MASKED_MEMORY 0
template <class D>
using TailTag = hn::CappedTag<float, 1>;
#endif

/// Access to the first n ≥ 1 lanes of TailTag's vectors, all of them when n is larger. All that is left over:
///   const TailTag<D> d;
///   for (; i < end; i += Lanes(d)) … Tail(d, end − i).Load(d, from + i) …
template <class D>
class Tail {
 public:
  HWY_INLINE Tail(D d, int64_t n) : mask_(hn::FirstN(d, static_cast<size_t>(n))) {}

  /// Lanes n and up are 0.
  HWY_INLINE hn::Vec<D> Load(D d, const float* from) const {
#if HWYNN_MASKED_MEMORY
    return hn::MaskedLoad(mask_, d, from);
#else
    return hn::LoadU(d, from);
#endif
  }

  HWY_INLINE void Store(hn::Vec<D> v, D d, float* to) const {
#if HWYNN_MASKED_MEMORY
    hn::BlendedStore(v, mask_, d, to);
#else
    hn::StoreU(v, d, to);
#endif
  }

 private:
  [[maybe_unused]] hn::Mask<D> mask_;
};

/// The same interface for a whole vector, so that one body serves both.
template <class D>
struct Whole {
  HWY_INLINE hn::Vec<D> Load(D d, const float* from) const { return hn::LoadU(d, from); }
  HWY_INLINE void Store(hn::Vec<D> v, D d, float* to) const { hn::StoreU(v, d, to); }
};

// Calls body(access, d, c) for all channels: whole vectors, then what is left over.
template <class Body>
HWY_INLINE void ForChannels(int64_t channels, const Body& body) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t c = 0;
  for (; c + lanes <= channels; c += lanes) body(Whole<decltype(d)>(), d, c);
  if constexpr (hn::MaxLanes(decltype(d)()) > 1) {  // nothing is left over of vectors of one lane
    const TailTag<decltype(d)> t;
    for (; c < channels; c += static_cast<int64_t>(hn::Lanes(t))) body(Tail<decltype(t)>(t, channels - c), t, c);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_SIMD_TAIL_INL_H_
