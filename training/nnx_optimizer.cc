#include "hwynn/training/nnx_optimizer.h"

#include "hwynn/core/check.h"

namespace hwynn::nnx {

Optimizer::Optimizer(const Model& model, const OptimizerOptions& options, const Wrt& wrt) : rule_(options) {
  Check(wrt.collection == kParams, "nnx::Optimizer: wrt (\"", wrt.collection,
        "\") must be \"params\": no other variables have gradients");
  Collection selected;
  for (const auto& [path, array] : GetCollection(model.variables(), kParams)) {
    if (wrt.where && !wrt.where(path)) continue;
    paths_.push_back(path);
    selected.emplace(path, Tensor(array.shape()));
  }
  Check(!selected.empty(), "nnx::Optimizer: wrt selects none of the model's params");
  state_ = rule_.Init(selected);
}

void Optimizer::Update(Model& model, const Gradients& gradients, float learning_rate) {
  std::vector<hwynn::Optimizer::Param> params;
  for (const std::string& path : paths_) params.push_back({path, model.Get(kParams, path)});
  rule_.Update(learning_rate, step_ + 1, gradients, params, state_);
  ++step_;
}

}  // namespace hwynn::nnx
