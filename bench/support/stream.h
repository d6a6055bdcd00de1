#ifndef HWYNN_BENCH_SUPPORT_STREAM_H_
#define HWYNN_BENCH_SUPPORT_STREAM_H_

// What memory allows: the yardsticks of kernels that are bound by it. They run on the current target and in the
// caller's arena, cut into the same tasks as the kernels.

#include <initializer_list>

#include "hwynn/core/tensor.h"

namespace hwynn::bench {

/// Reads every element of all `inputs`, element i of each together, and returns a number that depends on them.
float ReadPass(std::initializer_list<ConstTensorView> inputs);

/// output = Σ inputs, one to four of output's size, with non-temporal stores: with one input a streaming copy.
/// output must be 64-byte aligned.
void StreamPass(std::initializer_list<ConstTensorView> inputs, TensorView output);

}  // namespace hwynn::bench

#endif  // HWYNN_BENCH_SUPPORT_STREAM_H_
