#include "hwynn/core/thread_scratch.h"

#include "hwynn/core/parallel.h"
#include "hwynn/core/workspace.h"

namespace hwynn {

float* ThreadScratch(int64_t num_floats) {
  // Through a Workspace for its huge pages: packed panels are read by strides.
  thread_local const Workspace workspace;
  thread_local Tensor scratch;
  if (scratch.size() < num_floats) {
    scratch = Tensor();  // first, so that old and new don't stand side by side
    scratch = workspace.NewTensor(Shape{num_floats});
  }
  return scratch.data();
}

void ParallelForWithScratch(int64_t num_tasks, int64_t num_floats, FunctionRef<void(int64_t, float*)> task) {
  ParallelFor(num_tasks, [&](int64_t i) { task(i, ThreadScratch(num_floats)); });
}

}  // namespace hwynn
