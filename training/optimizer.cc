#include "hwynn/training/optimizer.h"

#include <cmath>
#include <string>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/kernels/optimizer_update.h"

namespace hwynn {
namespace {

void CheckShape(const char* what, std::string_view path, const Shape& shape, const Shape& expected) {
  Check(shape == expected, "Optimizer::Update: ", what, " \"", path, "\" has shape ", shape, ", its param has ",
        expected);
}

ConstTensorView FindGradient(const Gradients& gradients, std::string_view path, const Shape& shape) {
  Check(gradients.contains(path), "Optimizer::Update: gradients has no array \"", path, "\"");
  CheckShape("gradients", path, gradients.at(path).shape(), shape);
  return gradients.at(path);
}

TensorView FindState(Collection& state, const char* name, std::string_view path, const Shape& shape) {
  const auto found = state.find(std::string(name).append("/").append(path));
  Check(found != state.end(), "Optimizer::Update: state has no array \"", name, "/", path, "\"");
  CheckShape("state", found->first, found->second.shape(), shape);
  return found->second;
}

// The global norm, which is finite when all gradients are: the sum is in double.
double FiniteNorm(std::span<const ConstTensorView> gradients, std::span<const Optimizer::Param> params, int64_t count) {
  const double sum = SumOfSquares(gradients);
  for (size_t i = 0; !std::isfinite(sum) && i < gradients.size(); ++i) {
    CheckData(std::isfinite(SumOfSquares(gradients.subspan(i, 1))), "the gradient of \"", params[i].path,
              "\" isn't finite in step ", count, "; a lower learning rate or a longer warm-up may help");
  }
  return std::sqrt(sum);
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

void Optimizer::Update(float learning_rate, int64_t count, const Gradients& gradients, Collection& params,
                       Collection& state) const {
  std::vector<Param> all;
  all.reserve(params.size());
  for (auto& [path, param] : params) all.push_back({path, param});
  Update(learning_rate, count, gradients, all, state);
}

void Optimizer::Update(float learning_rate, int64_t count, const Gradients& gradients, std::span<const Param> params,
                       Collection& state) const {
  std::vector<ConstTensorView> of_params;
  std::vector<SgdLeaf> sgd;
  std::vector<AdamLeaf> adam;
  of_params.reserve(params.size());
  for (const auto& [path, param] : params) {
    const Shape& shape = param.shape();
    const ConstTensorView gradient = of_params.emplace_back(FindGradient(gradients, path, shape));
    const bool decay = options_.decay_all || shape.rank() > 1;
    if (options_.kind == OptimizerKind::kSgd) {
      const TensorView trace = options_.momentum > 0 ? FindState(state, "trace", path, shape) : TensorView();
      sgd.push_back({param, gradient, trace, decay});
    } else {
      adam.push_back(
          {param, gradient, FindState(state, "mu", path, shape), FindState(state, "nu", path, shape), decay});
    }
  }
  const double norm = FiniteNorm(of_params, params, count);
  const bool clips = options_.clip_norm > 0 && norm > options_.clip_norm;
  const float grad_scale = clips ? static_cast<float>(options_.clip_norm / norm) : 1.0f;
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
