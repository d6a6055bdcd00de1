// Vector loops over a dense array, element by element; per-target include guard.
#if defined(HWYNN_KERNELS_SIMD_FLAT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HWYNN_KERNELS_SIMD_FLAT_INL_H_
#undef HWYNN_KERNELS_SIMD_FLAT_INL_H_
#else
#define HWYNN_KERNELS_SIMD_FLAT_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstdint>

#include "hwynn/kernels/simd/flat.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes: tables that repeat per-channel values end with 4·16 more.
using FlatTag = hn::CappedTag<float, 16>;

/// Calls op(d, i, p) for consecutive vectors from element i = begin on, the last few elements one by one with a tag
/// of one lane. p = i mod period tells where a table of per-channel values stands; such a table repeats its first 64
/// values behind its `period` ≥ 64 ones, so that four vectors can be read from any p.
template <class Op>
HWY_INLINE void ForEachVector(const Op& op, int64_t begin, int64_t end, int64_t period) {
  const FlatTag d;
  const auto L = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = begin;
  int64_t p = begin % period;
  for (; i + 4 * L <= end; i += 4 * L) {
    op(d, i, p);
    op(d, i + L, p + L);
    op(d, i + 2 * L, p + 2 * L);
    op(d, i + 3 * L, p + 3 * L);
    p += 4 * L;
    if (p >= period) p -= period;
  }
  for (; i + L <= end; i += L) {
    op(d, i, p);
    p += L;
    if (p >= period) p -= period;
  }
  const hn::CappedTag<float, 1> one;
  for (; i < end; ++i) {
    op(one, i, p);
    if (++p == period) p = 0;
  }
}

/// Runs Op<flags…> on [begin, end), with the run-time flags turned into template arguments. Op derives from Task and
/// holds nothing else. All stores, streamed ones too, are visible to other threads when a later task starts.
template <template <bool...> class Op, bool... kFlags, class Task>
HWY_INLINE void RunFlat(const Task& task, int64_t begin, int64_t end, int64_t period) {
  ForEachVector(Op<kFlags...>{task}, begin, end, period);
  hwy::FlushStream();
}
template <template <bool...> class Op, bool... kFlags, class Task, class... Rest>
HWY_INLINE void RunFlat(const Task& task, int64_t begin, int64_t end, int64_t period, bool flag, Rest... rest) {
  if (flag) {
    RunFlat<Op, kFlags..., true>(task, begin, end, period, rest...);
  } else {
    RunFlat<Op, kFlags..., false>(task, begin, end, period, rest...);
  }
}

/// Loads a vector of a pass, and fetches ahead. Single lanes are the last few elements.
template <class D>
HWY_INLINE hn::Vec<D> Get(D d, const float* from) {
  if constexpr (hn::MaxLanes(D()) > 1) __builtin_prefetch(from + kFetchAhead, /*write=*/0, /*second-level cache*/ 2);
  return hn::LoadU(d, from);
}

/// Stores a vector of a pass, past the caches with kStream; single lanes always go the ordinary way.
template <bool kStream, class D>
HWY_INLINE void Put(hn::Vec<D> v, D d, float* to) {
  constexpr bool kSingle = hn::MaxLanes(D()) == 1;
  if constexpr (kStream && !kSingle) {
    hn::Stream(v, d, to);
  } else {
    if constexpr (!kSingle) __builtin_prefetch(to + kFetchAhead, /*write=*/1, /*second-level cache*/ 2);
    hn::StoreU(v, d, to);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#endif  // HWYNN_KERNELS_SIMD_FLAT_INL_H_
