#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/optimizer_update/optimizer_update.cc"
#include "hwynn/kernels/optimizer_update.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <algorithm>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/math.h"
#include "hwynn/core/parallel.h"
#include "hwynn/kernels/optimizer_update/optimizer_update-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

// The elements begin … end − 1 of one leaf.

template <bool kMomentum, bool kNesterov>
HWY_INLINE void SgdElements(const SgdParams& params, const SgdLeaf& leaf, int64_t begin, int64_t end) {
  const SgdBody<kMomentum, kNesterov> body = {
      .learning_rate = params.learning_rate,
      .momentum = params.momentum,
      .decay = leaf.decay ? params.weight_decay : 0.0f,
      .grad_scale = params.grad_scale,
      .param = leaf.param.data(),
      .grad = leaf.grad.data(),
      .trace = leaf.trace.data(),
  };
  ForElements(hn::ScalableTag<float>(), begin, end, body);
}

void SgdLeafElements(const SgdParams& params, const SgdLeaf& leaf, int64_t begin, int64_t end) {
  if (params.momentum == 0.0f) {
    SgdElements<false, false>(params, leaf, begin, end);
  } else if (params.nesterov) {
    SgdElements<true, true>(params, leaf, begin, end);
  } else {
    SgdElements<true, false>(params, leaf, begin, end);
  }
}

void AdamLeafElements(const AdamParams& params, float correction1, float correction2, const AdamLeaf& leaf,
                      int64_t begin, int64_t end) {
  const float decay = leaf.decay ? params.weight_decay : 0.0f;
  const AdamBody body = {
      .learning_rate = params.learning_rate,
      .grad_scale = params.grad_scale,
      .l2 = params.decoupled ? 0.0f : decay,
      .decoupled_decay = params.decoupled ? decay : 0.0f,
      .b1 = static_cast<float>(params.b1),
      .one_minus_b1 = static_cast<float>(1.0 - params.b1),
      .b2 = static_cast<float>(params.b2),
      .one_minus_b2 = static_cast<float>(1.0 - params.b2),
      .correction1 = correction1,
      .correction2 = correction2,
      .epsilon = params.epsilon,
      .epsilon_root = params.epsilon_root,
      .param = leaf.param.data(),
      .grad = leaf.grad.data(),
      .mu = leaf.mu.data(),
      .nu = leaf.nu.data(),
  };
  ForElements(hn::ScalableTag<float>(), begin, end, body);
}

double SquaresOfRun(const float* x, int64_t count) { return SumOfSquaresRun(hn::ScalableTag<double>(), x, count); }

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
namespace {

HWY_EXPORT(SgdLeafElements);
HWY_EXPORT(AdamLeafElements);
HWY_EXPORT(SquaresOfRun);

// Elements of a task: SGD moves 320 KiB for them, some 20 µs.
constexpr int64_t kTaskElements = 16 * 1024;

// All leaves laid end to end and cut every kTaskElements, so that many small leaves share a task.
class LeafTasks {
 public:
  template <class Leaf, class SizeOf>
  LeafTasks(std::span<const Leaf> leaves, const SizeOf& size_of) {
    begins_.reserve(leaves.size() + 1);
    begins_.push_back(0);
    for (const Leaf& leaf : leaves) begins_.push_back(begins_.back() + size_of(leaf));
  }

  int64_t count() const { return (begins_.back() + kTaskElements - 1) / kTaskElements; }

  /// Calls run(leaf, begin, end) for each piece of a leaf that lies in `task`, in order.
  template <class Run>
  void ForPieces(int64_t task, const Run& run) const {
    const int64_t task_begin = task * kTaskElements;
    const int64_t task_end = std::min(begins_.back(), task_begin + kTaskElements);
    auto leaf = static_cast<size_t>(std::upper_bound(begins_.begin(), begins_.end(), task_begin) - begins_.begin()) - 1;
    for (; begins_[leaf] < task_end; ++leaf) {
      const int64_t begin = std::max(begins_[leaf], task_begin);
      const int64_t end = std::min(begins_[leaf + 1], task_end);
      if (begin < end) run(leaf, begin - begins_[leaf], end - begins_[leaf]);
    }
  }

 private:
  std::vector<int64_t> begins_;  // of each leaf, and the end of the last
};

void CheckShape(const char* function, size_t leaf, const char* name, const Shape& shape, const Shape& param) {
  Check(shape == param, function, ": ", name, " ", shape, " of leaf ", leaf, " must be shaped as its param ", param);
}

}  // namespace

void SgdUpdate(const SgdParams& params, std::span<const SgdLeaf> leaves) {
  for (size_t i = 0; i < leaves.size(); ++i) {
    const Shape& shape = leaves[i].param.shape();
    CheckShape("SgdUpdate", i, "grad", leaves[i].grad.shape(), shape);
    if (params.momentum != 0.0f) CheckShape("SgdUpdate", i, "trace", leaves[i].trace.shape(), shape);
  }
  const LeafTasks tasks(leaves, [](const SgdLeaf& leaf) { return leaf.param.size(); });
  ParallelFor(tasks.count(), [&](int64_t task) {
    tasks.ForPieces(task, [&](size_t leaf, int64_t begin, int64_t end) {
      HWY_DYNAMIC_DISPATCH(SgdLeafElements)(params, leaves[leaf], begin, end);
    });
  });
}

void AdamUpdate(const AdamParams& params, int64_t count, std::span<const AdamLeaf> leaves) {
  Check(count >= 1, "AdamUpdate: count (", count, ") must be 1 in the first step");
  Check(params.b1 >= 0.0 && params.b1 < 1.0 && params.b2 >= 0.0 && params.b2 < 1.0, "AdamUpdate: b1 (", params.b1,
        ") and b2 (", params.b2, ") must be in [0,1)");
  for (size_t i = 0; i < leaves.size(); ++i) {
    const Shape& shape = leaves[i].param.shape();
    CheckShape("AdamUpdate", i, "grad", leaves[i].grad.shape(), shape);
    CheckShape("AdamUpdate", i, "mu", leaves[i].mu.shape(), shape);
    CheckShape("AdamUpdate", i, "nu", leaves[i].nu.shape(), shape);
  }
  // 1 − powf(b, count) with a correctly rounded power, as XLA computes it under jit.
  const auto correction = [count](double b) {
    const auto rounded = static_cast<double>(static_cast<float>(b));
    return 1.0f - static_cast<float>(Pow(rounded, count));
  };
  const float correction1 = correction(params.b1);
  const float correction2 = correction(params.b2);
  const LeafTasks tasks(leaves, [](const AdamLeaf& leaf) { return leaf.param.size(); });
  ParallelFor(tasks.count(), [&](int64_t task) {
    tasks.ForPieces(task, [&](size_t leaf, int64_t begin, int64_t end) {
      HWY_DYNAMIC_DISPATCH(AdamLeafElements)(params, correction1, correction2, leaves[leaf], begin, end);
    });
  });
}

double SumOfSquares(std::span<const ConstTensorView> arrays) {
  const LeafTasks tasks(arrays, [](const ConstTensorView& array) { return array.size(); });
  std::vector<double> partial(static_cast<size_t>(tasks.count()));
  ParallelFor(tasks.count(), [&](int64_t task) {
    double sum = 0.0;
    tasks.ForPieces(task, [&](size_t array, int64_t begin, int64_t end) {
      sum += HWY_DYNAMIC_DISPATCH(SquaresOfRun)(arrays[array].data() + begin, end - begin);
    });
    partial[static_cast<size_t>(task)] = sum;
  });
  double total = 0.0;
  for (const double sum : partial) total += sum;
  return total;
}

}  // namespace hwynn
#endif  // HWY_ONCE
