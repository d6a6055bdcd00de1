#include "hwynn/core/thread_scratch.h"

#include "hwynn/core/parallel.h"
#include "hwynn/core/workspace.h"

namespace hwynn {

Scratch ThreadScratch(int64_t bytes) {
  // Through a Workspace for its huge pages: packed panels are read by strides.
  thread_local const Workspace workspace;
  thread_local Buffer buffer;
  if (buffer.bytes() < bytes) {
    buffer = Buffer();  // first, so that old and new don't stand side by side
    buffer = workspace.NewBuffer(bytes);
  }
  return {buffer.data(), bytes};
}

void ParallelForWithScratch(int64_t num_tasks, int64_t scratch_bytes, FunctionRef<void(int64_t, Scratch)> task) {
  ParallelFor(num_tasks, [&](int64_t i) { task(i, ThreadScratch(scratch_bytes)); });
}

}  // namespace hwynn
