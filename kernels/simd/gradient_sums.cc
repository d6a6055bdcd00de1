#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/simd/gradient_sums.cc"
#include "hwynn/kernels/simd/gradient_sums.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>
#include <limits>

#include "hwynn/kernels/simd/normalize-inl.h"
#include "hwynn/kernels/simd/tail-inl.h"

#ifndef HWYNN_KERNELS_SIMD_GRADIENT_SUMS_TASK_
#define HWYNN_KERNELS_SIMD_GRADIENT_SUMS_TASK_
namespace hwynn {
// Rows [begin, end) of those that come, of one block, and its sums so far. Refers to structs: a copy that is read as
// soon as it is made waits for its stores.
struct GradientTask {
  const GradientRows& rows;
  int64_t begin, end;
  const GradientEpilogue& epilogue;
  int64_t channels;
  float* grad;
  float* grad_centered;
  float last;  // see ClipGradient
};
}  // namespace hwynn
#endif  // HWYNN_KERNELS_SIMD_GRADIENT_SUMS_TASK_

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

// Where the y of a mask comes from, and whether it has an upper end too.
enum class MaskOf { kNothing, kInput, kOutput };

// kVectors vectors of channels from c on. All branches but those on `task` vanish: it is the same for all rows.
template <MaskOf kMask, bool kUpper, int kVectors, class D, class Access>
HWY_INLINE void AddVectors(D d, const Access& access, const GradientTask& task, int64_t c) {
  using V = hn::Vec<D>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const GradientRows& rows = task.rows;
  const Normalization& norm = task.epilogue.norm;
  const V last = hn::Set(d, task.last);
  V mean[kVectors], mul[kVectors], bias[kVectors], sum[kVectors], centered_sum[kVectors];
  HWY_UNROLL(4) for (int v = 0; v < kVectors; ++v) {
    const int64_t at = c + v * lanes;
    mean[v] = access.Load(d, norm.mean + at);
    mul[v] = kMask == MaskOf::kInput ? access.Load(d, norm.mul + at) : hn::Zero(d);
    bias[v] = kMask == MaskOf::kInput ? access.Load(d, norm.bias + at) : hn::Zero(d);
    sum[v] = access.Load(d, task.grad + at);
    centered_sum[v] = access.Load(d, task.grad_centered + at);
  }
  const int64_t from_pitch = rows.from_pitch;
  const int64_t to_pitch = rows.to_pitch;
  const int64_t* const offsets = rows.offsets;
  const bool accumulate = rows.accumulate;
  const bool stream = rows.stream;
  const int64_t ahead = rows.ahead;
  const float* from = rows.from + task.begin * from_pitch + c;
  float* const to = rows.to + c;
  const float* const input = task.epilogue.input + (to - task.epilogue.grad);
  const float* const output = kMask == MaskOf::kOutput ? task.epilogue.output + (to - task.epilogue.grad) : nullptr;
  for (int64_t r = task.begin; r < task.end; ++r, from += from_pitch) {
    const int64_t at = offsets != nullptr ? offsets[r] : r * to_pitch;
    constexpr int64_t kLine = 16;  // floats
    for (int64_t line = at + ahead; ahead != 0 && line < at + ahead + kVectors * lanes; line += kLine) {
      __builtin_prefetch(to + line, 1, 2);
      __builtin_prefetch(input + line, 0, 2);
      if constexpr (kMask == MaskOf::kOutput) __builtin_prefetch(output + line, 0, 2);
    }
    V grad[kVectors];
    HWY_UNROLL(4) for (int v = 0; v < kVectors; ++v) grad[v] = access.Load(d, from + v * lanes);
    if (accumulate) {
      HWY_UNROLL(4) for (int v = 0; v < kVectors; ++v) {
        grad[v] = hn::Add(grad[v], access.Load(d, to + at + v * lanes));
      }
    }
    HWY_UNROLL(4) for (int v = 0; v < kVectors; ++v) {
      const V centered = hn::Sub(access.Load(d, input + at + v * lanes), mean[v]);
      if constexpr (kMask != MaskOf::kNothing) {
        const V y =
            kMask == MaskOf::kInput ? Normalized(centered, mul[v], bias[v]) : access.Load(d, output + at + v * lanes);
        grad[v] = kUpper ? ClipGradient(d, y, last, grad[v]) : ReluGradient(d, y, grad[v]);
      }
      sum[v] = hn::Add(sum[v], grad[v]);
      centered_sum[v] = hn::MulAdd(grad[v], centered, centered_sum[v]);
    }
    if (stream) {
      HWY_UNROLL(4) for (int v = 0; v < kVectors; ++v) hn::Stream(grad[v], d, to + at + v * lanes);
    } else {
      HWY_UNROLL(4) for (int v = 0; v < kVectors; ++v) access.Store(grad[v], d, to + at + v * lanes);
    }
  }
  HWY_UNROLL(4) for (int v = 0; v < kVectors; ++v) {
    access.Store(sum[v], d, task.grad + c + v * lanes);
    access.Store(centered_sum[v], d, task.grad_centered + c + v * lanes);
  }
}

// As many vectors at a time as the registers hold with five values each: each vector's additions wait for one another.
template <MaskOf kMask, bool kUpper>
HWY_INLINE void AddAll(const GradientTask& task) {
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64  // 32 vector registers
  constexpr int kVectors = 4;
#else
  constexpr int kVectors = 2;
#endif
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t first = 0;
  for (; first + kVectors * lanes <= task.channels; first += kVectors * lanes) {
    AddVectors<kMask, kUpper, kVectors>(d, Whole<decltype(d)>(), task, first);
  }
  if constexpr (kVectors > 2) {
    for (; first + 2 * lanes <= task.channels; first += 2 * lanes) {
      AddVectors<kMask, kUpper, 2>(d, Whole<decltype(d)>(), task, first);
    }
  }
  ForChannels(task.channels - first, [&](const auto& access, auto dc, int64_t c)
                                         HWY_ATTR { AddVectors<kMask, kUpper, 1>(dc, access, task, first + c); });
}

void AddGradientRows(const GradientTask& task) {
  const bool upper = task.last != std::numeric_limits<float>::infinity();
  if (!task.epilogue.norm.relu) return AddAll<MaskOf::kNothing, false>(task);
  if (task.epilogue.output != nullptr) {
    return upper ? AddAll<MaskOf::kOutput, true>(task) : AddAll<MaskOf::kOutput, false>(task);
  }
  return upper ? AddAll<MaskOf::kInput, true>(task) : AddAll<MaskOf::kInput, false>(task);
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {

HWY_EXPORT(AddGradientRows);

void GradientSums::Open(const GradientEpilogue& epilogue, int64_t channel, int64_t channels, double* grad,
                        double* grad_centered) {
  epilogue_ = epilogue;
  epilogue_.norm = epilogue.norm.From(channel);
  last_ = LastBelow(epilogue.norm.upper);
  channels_ = channels;
  waiting_ = 0;
  first_ = true;
  grad_ = grad;
  grad_centered_ = grad_centered;
  std::fill_n(block_grad_, channels, 0.0f);
  std::fill_n(block_centered_, channels, 0.0f);
}

void GradientSums::Add(const GradientRows& rows) {
  for (int64_t begin = 0, end; begin < rows.rows; begin = end) {
    end = std::min(rows.rows, begin + kBlockRows - waiting_);
    HWY_DYNAMIC_DISPATCH(AddGradientRows)
    ({.rows = rows,
      .begin = begin,
      .end = end,
      .epilogue = epilogue_,
      .channels = channels_,
      .grad = block_grad_,
      .grad_centered = block_centered_,
      .last = last_});
    waiting_ += end - begin;
    if (waiting_ == kBlockRows) CloseBlock();
  }
}

void GradientSums::Close() {
  if (waiting_ > 0) CloseBlock();
}

void GradientSums::CloseBlock() {
  for (int64_t c = 0; c < channels_; ++c) {
    grad_[c] = first_ ? block_grad_[c] : grad_[c] + block_grad_[c];
    grad_centered_[c] = first_ ? block_centered_[c] : grad_centered_[c] + block_centered_[c];
  }
  std::fill_n(block_grad_, channels_, 0.0f);
  std::fill_n(block_centered_, channels_, 0.0f);
  waiting_ = 0;
  first_ = false;
}

}  // namespace hwynn
#endif  // HWY_ONCE
