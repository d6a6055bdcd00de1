#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hwynn/kernels/elementwise/elementwise.cc"
#include "hwynn/kernels/elementwise.h"

#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <limits>

#include "hwynn/core/check.h"
#include "hwynn/kernels/simd/epilogue.h"
#include "hwynn/kernels/simd/flat.h"

#ifndef HWYNN_KERNELS_ELEMENTWISE_TASK_
#define HWYNN_KERNELS_ELEMENTWISE_TASK_
namespace hwynn {
struct ElementwiseTask {
  const float* a;
  const float* b = nullptr;
  const uint8_t* keep = nullptr;
  float scale = 1.0f;
  float upper = 0.0f;
  float last = 0.0f;  // see ClipGradient
  float* output;
};
}  // namespace hwynn
#endif  // HWYNN_KERNELS_ELEMENTWISE_TASK_

#include "hwynn/kernels/elementwise/elementwise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hwynn {
namespace HWY_NAMESPACE {

// No per-channel tables here: a period that is never reached.
void ReluForwardRange(const ElementwiseTask& task, bool upper, bool stream, int64_t begin, int64_t end) {
  RunFlat<ReluForwardOp>(task, begin, end, end + 1, upper, stream);
}
void ReluBackwardRange(const ElementwiseTask& task, bool upper, bool stream, int64_t begin, int64_t end) {
  RunFlat<ReluBackwardOp>(task, begin, end, end + 1, upper, stream);
}
void AddRange(const ElementwiseTask& task, bool relu, bool stream, int64_t begin, int64_t end) {
  RunFlat<AddOp>(task, begin, end, end + 1, relu, stream);
}
void MaskScaleRange(const ElementwiseTask& task, bool stream, int64_t begin, int64_t end) {
  RunFlat<MaskScaleOp>(task, begin, end, end + 1, stream);
}

}  // namespace HWY_NAMESPACE
}  // namespace hwynn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hwynn {
namespace {

HWY_EXPORT(ReluForwardRange);
HWY_EXPORT(ReluBackwardRange);
HWY_EXPORT(AddRange);
HWY_EXPORT(MaskScaleRange);

void CheckSameShape(const char* function, const char* name, const Shape& shape, const char* other_name,
                    const Shape& other) {
  Check(shape == other, function, ": ", name, " ", shape, " != ", other_name, " ", other);
}

// Whether the options have an upper end.
bool CheckUpper(const char* function, const ReluOptions& options) {
  Check(options.upper >= 0, function, ": upper (", options.upper, ") must be 0 or more");
  return options.upper < std::numeric_limits<float>::infinity();
}

}  // namespace

void ReluForward(ConstTensorView input, TensorView output, const ReluOptions& options) {
  CheckSameShape("ReluForward", "output", output.shape(), "input", input.shape());
  const bool upper = CheckUpper("ReluForward", options);
  const ElementwiseTask task{.a = input.data(), .upper = options.upper, .output = output.data()};
  const bool stream = WorthStreaming(output, {input});
  ParallelForFlat(input.size(), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(ReluForwardRange)(task, upper, stream, begin, end);
  });
}

void ReluBackward(ConstTensorView output, ConstTensorView grad_output, TensorView grad_input,
                  const ReluOptions& options) {
  CheckSameShape("ReluBackward", "grad_output", grad_output.shape(), "output", output.shape());
  CheckSameShape("ReluBackward", "grad_input", grad_input.shape(), "output", output.shape());
  const bool upper = CheckUpper("ReluBackward", options);
  const ElementwiseTask task{
      .a = output.data(), .b = grad_output.data(), .last = LastBelow(options.upper), .output = grad_input.data()};
  const bool stream = WorthStreaming(grad_input, {output, grad_output});
  ParallelForFlat(output.size(), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(ReluBackwardRange)(task, upper, stream, begin, end);
  });
}

void AddForward(ConstTensorView a, ConstTensorView b, TensorView output, const AddOptions& options) {
  CheckSameShape("AddForward", "b", b.shape(), "a", a.shape());
  CheckSameShape("AddForward", "output", output.shape(), "a", a.shape());
  const ElementwiseTask task{.a = a.data(), .b = b.data(), .output = output.data()};
  const bool stream = WorthStreaming(output, {a, b});
  ParallelForFlat(a.size(), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(AddRange)(task, options.relu, stream, begin, end);
  });
}

void AddAccumulate(ConstTensorView addend, TensorView accumulator) {
  CheckSameShape("AddAccumulate", "addend", addend.shape(), "accumulator", accumulator.shape());
  AddForward(accumulator, addend, accumulator);
}

void MaskScale(ConstTensorView input, std::span<const uint8_t> keep, float scale, TensorView output) {
  CheckSameShape("MaskScale", "output", output.shape(), "input", input.shape());
  Check(static_cast<int64_t>(keep.size()) == input.size(), "MaskScale: keep has ", keep.size(), " values for input ",
        input.shape());
  const ElementwiseTask task{.a = input.data(), .keep = keep.data(), .scale = scale, .output = output.data()};
  const bool stream = WorthStreaming(output, {input});
  ParallelForFlat(input.size(), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(MaskScaleRange)(task, stream, begin, end);
  });
}

}  // namespace hwynn
#endif  // HWY_ONCE
