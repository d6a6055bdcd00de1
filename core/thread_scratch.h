#ifndef HWYNN_CORE_THREAD_SCRATCH_H_
#define HWYNN_CORE_THREAD_SCRATCH_H_

#include <cstdint>

namespace hwynn {

/// Memory of the calling thread: at least `num_floats` floats, 64-byte aligned, kept until the thread ends; the
/// next call may move it. Only core/parallel uses it, and lends it to one task at a time.
float* ThreadScratch(int64_t num_floats);

}  // namespace hwynn

#endif  // HWYNN_CORE_THREAD_SCRATCH_H_
