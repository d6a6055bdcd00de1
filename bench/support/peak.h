#ifndef HWYNN_BENCH_SUPPORT_PEAK_H_
#define HWYNN_BENCH_SUPPORT_PEAK_H_

// What arithmetic allows: the yardstick of convolution and matrix products.

namespace hwynn::bench {

/// Runs fused multiply-adds on registers, on the current target and on `threads` threads of the caller's arena, for
/// about a millisecond, and returns how many floating-point operations that were. Clocks differ by instruction set and
/// load, so time it beside the kernel.
double PeakPass(int threads);

}  // namespace hwynn::bench

#endif  // HWYNN_BENCH_SUPPORT_PEAK_H_
