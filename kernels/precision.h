#ifndef HWYNN_KERNELS_PRECISION_H_
#define HWYNN_KERNELS_PRECISION_H_

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// How convolutions may round; JAX's names. kDefault may take algorithms that multiply less and round more (Winograd:
/// 2.3 to 5.6 times a direct sum's rms error, docs/numerics.md); kHighest is direct, with sums in
/// double, in 2 to 3 times the time.
enum class Precision { kDefault, kHighest };

}  // namespace hwynn

#endif  // HWYNN_KERNELS_PRECISION_H_
