#ifndef HWYNN_KERNELS_TARGET_H_
#define HWYNN_KERNELS_TARGET_H_

// Which instruction set the kernels run on. The same binary holds all of them; Highway takes the best that the
// CPU has, unless a program says otherwise.

#include <string>
#include <string_view>
#include <vector>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// Highway's names of the targets compiled in that this CPU can run, best first: {"AVX3", "AVX2", "SSE4", …}.
std::vector<std::string> SupportedTargets();

/// The name of the target that kernels run on now.
std::string CurrentTarget();

/// Makes all kernels of the process run on `name`; "" gives the choice back to Highway. This choice is the library's
/// only global state: for programs at their start, tests and benchmarks. Threads: an atomic store; but a kernel that
/// runs meanwhile in another thread may mix both targets. Throws std::invalid_argument, with the supported names, for
/// any other name.
void SetTarget(std::string_view name);

}  // namespace hwynn

#endif  // HWYNN_KERNELS_TARGET_H_
