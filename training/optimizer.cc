#include "hwynn/training/optimizer.h"

#include <cmath>
#include <string>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/kernels/optimizer_update.h"

namespace hwynn {
namespace {

template <class C>
auto& Find(C& collection, const char* what, const std::string& path, const Shape& shape) {
  const auto found = collection.find(path);
  Check(found != collection.end(), "Optimizer::Update: ", what, " has no array \"", path, "\"");
  Check(found->second.shape() == shape, "Optimizer::Update: ", what, " \"", path, "\" has shape ",
        found->second.shape(), ", its param has ", shape);
  return found->second;
}

/// The factor that brings the gradients' global norm down to clip_norm; 1 when it is there already.
float ClipScale(float clip_norm, const Collection& gradients) {
  if (clip_norm == 0.0f) return 1.0f;
  std::vector<ConstTensorView> arrays;
  for (const auto& [path, gradient] : gradients) arrays.emplace_back(gradient);
  const double norm = std::sqrt(SumOfSquares(arrays));
  return norm > clip_norm ? static_cast<float>(clip_norm / norm) : 1.0f;
}

}  // namespace

Optimizer::Optimizer(const OptimizerOptions& options) : options_(options) {
  Check(options.momentum >= 0 && options.momentum < 1, "Optimizer: momentum (", options.momentum,
        ") must be at least 0 and below 1");
  Check(options.b1 >= 0 && options.b1 < 1 && options.b2 >= 0 && options.b2 < 1, "Optimizer: b1 (", options.b1,
        ") and b2 (", options.b2, ") must be at least 0 and below 1");
  Check(options.epsilon > 0 && std::isfinite(options.epsilon), "Optimizer: epsilon (", options.epsilon,
        ") must be positive");
  Check(options.weight_decay >= 0 && std::isfinite(options.weight_decay), "Optimizer: weight decay (",
        options.weight_decay, ") must be at least 0");
  Check(options.clip_norm >= 0 && std::isfinite(options.clip_norm), "Optimizer: clip norm (", options.clip_norm,
        ") must be at least 0");
}

Collection Optimizer::Init(const Collection& params) const {
  Collection state;
  for (const auto& [path, param] : params) {
    if (options_.kind != OptimizerKind::kSgd) {
      state.emplace("mu/" + path, Tensor(param.shape(), 0.0f));
      state.emplace("nu/" + path, Tensor(param.shape(), 0.0f));
    } else if (options_.momentum > 0) {
      state.emplace("trace/" + path, Tensor(param.shape(), 0.0f));
    }
  }
  return state;
}

void Optimizer::Update(float learning_rate, int64_t count, const Collection& gradients, Collection& params,
                       Collection& state) const {
  std::vector<SgdLeaf> sgd;
  std::vector<AdamLeaf> adam;
  for (auto& [path, param] : params) {
    const Shape& shape = param.shape();
    const ConstTensorView gradient = Find(gradients, "gradients", path, shape);
    const bool decay = options_.decay_all || shape.rank() > 1;
    if (options_.kind == OptimizerKind::kSgd) {
      TensorView trace;
      if (options_.momentum > 0) trace = Find(state, "state", "trace/" + path, shape);
      sgd.push_back({param, gradient, trace, decay});
    } else {
      adam.push_back({param, gradient, Find(state, "state", "mu/" + path, shape),
                      Find(state, "state", "nu/" + path, shape), decay});
    }
  }
  const float grad_scale = ClipScale(options_.clip_norm, gradients);
  if (options_.kind == OptimizerKind::kSgd) {
    SgdUpdate({.learning_rate = learning_rate,
               .momentum = options_.momentum,
               .nesterov = options_.nesterov,
               .weight_decay = options_.weight_decay,
               .grad_scale = grad_scale},
              sgd);
  } else {
    AdamUpdate({.learning_rate = learning_rate,
                .b1 = options_.b1,
                .b2 = options_.b2,
                .epsilon = options_.epsilon,
                .weight_decay = options_.weight_decay,
                .decoupled = options_.kind == OptimizerKind::kAdamW,
                .grad_scale = grad_scale},
               count, adam);
  }
}

}  // namespace hwynn
