#ifndef HWYNN_CORE_THREAD_SCRATCH_H_
#define HWYNN_CORE_THREAD_SCRATCH_H_

#include "hwynn/core/scratch.h"

namespace hwynn {

/// Memory of the calling thread: `bytes` at least, from a cache line on, kept until the thread ends; the next call may
/// move it. Only core/parallel uses it, and lends it to one task at a time.
Scratch ThreadScratch(int64_t bytes);

}  // namespace hwynn

#endif  // HWYNN_CORE_THREAD_SCRATCH_H_
