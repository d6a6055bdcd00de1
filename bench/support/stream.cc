#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/bench/support/stream.cc"
#include "hwynn/bench/support/stream.h"

#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/kernels/simd/flat.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn::bench {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <int kInputs>
HWY_INLINE hn::Vec<hn::ScalableTag<float>> SumAt(const float* const* inputs, size_t i) {
  const hn::ScalableTag<float> d;
  for (int k = 0; k < kInputs; ++k) __builtin_prefetch(inputs[k] + i + kFetchAhead, 0, 2);
  auto sum = hn::LoadU(d, inputs[0] + i);
  for (int k = 1; k < kInputs; ++k) sum = hn::Add(sum, hn::LoadU(d, inputs[k] + i));
  return sum;
}

template <int kInputs>
HWY_INLINE float ReadRange(const float* const* inputs, size_t begin, size_t end) {
  const hn::ScalableTag<float> d;
  const size_t L = hn::Lanes(d);
  auto a = hn::Zero(d), b = a, c = a, e = a;
  for (size_t i = begin; i + 4 * L <= end; i += 4 * L) {
    a = hn::Add(a, SumAt<kInputs>(inputs, i));
    b = hn::Add(b, SumAt<kInputs>(inputs, i + L));
    c = hn::Add(c, SumAt<kInputs>(inputs, i + 2 * L));
    e = hn::Add(e, SumAt<kInputs>(inputs, i + 3 * L));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(a, b), hn::Add(c, e))));
}

template <int kInputs>
HWY_INLINE void StreamRange(const float* const* inputs, float* output, size_t begin, size_t end) {
  const hn::ScalableTag<float> d;
  const size_t L = hn::Lanes(d);
  size_t i = begin;
  for (; i + 4 * L <= end; i += 4 * L) {
    hn::Stream(SumAt<kInputs>(inputs, i), d, output + i);
    hn::Stream(SumAt<kInputs>(inputs, i + L), d, output + i + L);
    hn::Stream(SumAt<kInputs>(inputs, i + 2 * L), d, output + i + 2 * L);
    hn::Stream(SumAt<kInputs>(inputs, i + 3 * L), d, output + i + 3 * L);
  }
  hwy::FlushStream();
}

float Read(const float* const* inputs, int count, size_t begin, size_t end) {
  if (count == 1) return ReadRange<1>(inputs, begin, end);
  if (count == 2) return ReadRange<2>(inputs, begin, end);
  if (count == 3) return ReadRange<3>(inputs, begin, end);
  return ReadRange<4>(inputs, begin, end);
}

void StreamSum(const float* const* inputs, int count, float* output, size_t begin, size_t end) {
  if (count == 1) return StreamRange<1>(inputs, output, begin, end);
  if (count == 2) return StreamRange<2>(inputs, output, begin, end);
  if (count == 3) return StreamRange<3>(inputs, output, begin, end);
  return StreamRange<4>(inputs, output, begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn::bench {
namespace {

HWY_EXPORT(Read);
HWY_EXPORT(StreamSum);

constexpr int64_t kTaskElements = int64_t{1} << 16;

// The yardsticks may leave the last few elements out; they are not kernels.
struct Pass {
  Pass(std::initializer_list<ConstTensorView> views) : inputs(views.size()) {
    Check(views.size() >= 1 && views.size() <= 4, "bench: a pass takes one to four inputs, not ", views.size());
    std::transform(views.begin(), views.end(), inputs.begin(), [](const auto& view) { return view.data(); });
    elements = views.begin()->size();
    tasks = (elements + kTaskElements - 1) / kTaskElements;
  }
  size_t begin(int64_t task) const { return static_cast<size_t>(task * kTaskElements); }
  size_t end(int64_t task) const { return static_cast<size_t>(std::min(elements, (task + 1) * kTaskElements)); }

  std::vector<const float*> inputs;
  int64_t elements, tasks;
};

}  // namespace

float ReadPass(std::initializer_list<ConstTensorView> inputs) {
  const Pass pass(inputs);
  std::vector<float> sums(static_cast<size_t>(pass.tasks));
  ParallelFor(pass.tasks, [&](int64_t task) {
    sums[static_cast<size_t>(task)] = HWY_DYNAMIC_DISPATCH(Read)(pass.inputs.data(), static_cast<int>(inputs.size()),
                                                                 pass.begin(task), pass.end(task));
  });
  float sum = 0;
  for (const float value : sums) sum += value;
  return sum;
}

void StreamPass(std::initializer_list<ConstTensorView> inputs, TensorView output) {
  const Pass pass(inputs);
  ParallelFor(pass.tasks, [&](int64_t task) {
    HWY_DYNAMIC_DISPATCH(StreamSum)
    (pass.inputs.data(), static_cast<int>(inputs.size()), output.data(), pass.begin(task), pass.end(task));
  });
}

}  // namespace hwynn::bench
#endif  // HWY_ONCE
