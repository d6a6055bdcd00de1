#ifndef HWYNN_MODELS_MLP_H_
#define HWYNN_MODELS_MLP_H_

#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/sequential.h"

namespace HWYNN_EXPORT hwynn {

struct MlpOptions {
  std::vector<int64_t> features = {256, 128, 10};  // of each Dense layer; the last are the outputs
  bool batch_norm = true;
  BatchNormOptions norm = {};
  bool input_gradient = false;  // whether Backward returns d loss / d input or an empty tensor
};

/// A multi-layer perceptron: Dense → BatchNorm → ReLU for all layers but the last, which is a Dense alone. Inputs
/// [N,…] of any rank are flattened to [N,K].
///
/// Variables: Flax's BatchNorm guide's tree: Dense_0/{kernel,bias}, BatchNorm_0/{scale,bias,mean,var}, Dense_1/…
class Mlp final : public Sequential {
 public:
  explicit Mlp(const MlpOptions& options = {});
  std::string_view TypeName() const override { return "Mlp"; }
};

}  // namespace hwynn

#endif  // HWYNN_MODELS_MLP_H_
