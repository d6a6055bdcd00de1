#ifndef HWYNN_MODULE_INITIALIZERS_H_
#define HWYNN_MODULE_INITIALIZERS_H_

// jax.nn.initializers, bit for bit.

#include <functional>

#include "hwynn/core/export.h"
#include "hwynn/core/random.h"
#include "hwynn/core/tensor.h"

namespace HWYNN_EXPORT hwynn {

/// Fills a new array from a key.
using Initializer = std::function<void(Key key, TensorView values)>;

namespace initializers {

Initializer Zeros();
Initializer Ones();
Initializer Constant(float value);

enum class FanMode { kFanIn, kFanOut, kFanAvg };
enum class Distribution { kTruncatedNormal, kNormal, kUniform };

/// Variance scale/n with n the fan; fans of [..., in, out] as JAX counts them (conv kernels HWIO).
Initializer VarianceScaling(double scale, FanMode mode, Distribution distribution);

Initializer LecunNormal();  // 1, fan_in, truncated normal: Flax's default for kernels
Initializer LecunUniform();
Initializer HeNormal();  // 2, fan_in, truncated normal
Initializer HeUniform();
Initializer GlorotNormal();  // 1, fan_avg, truncated normal
Initializer GlorotUniform();
Initializer NormalInitializer(float stddev);  // jax's normal(stddev), default 1e-2

}  // namespace initializers
}  // namespace hwynn

#endif  // HWYNN_MODULE_INITIALIZERS_H_
