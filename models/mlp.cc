#include "hwynn/models/mlp.h"

#include "hwynn/core/check.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/flatten.h"
#include "hwynn/layers/relu.h"

namespace hwynn {

Mlp::Mlp(const MlpOptions& options) {
  Check(!options.features.empty(), "Mlp: features must name at least the outputs");
  BatchNormOptions norm = options.norm;
  norm.relu = true;
  Add(Flatten());
  for (size_t i = 0; i < options.features.size(); ++i) {
    Add(Dense({.features = options.features[i], .input_gradient = i > 0 || options.input_gradient}));
    if (i + 1 == options.features.size()) break;
    if (options.batch_norm) {
      Add(BatchNorm(norm));
    } else {
      Add(Relu());
    }
  }
}

}  // namespace hwynn
