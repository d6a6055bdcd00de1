#include "hwynn/training/nnx_optimizer.h"

#include <utility>

#include "hwynn/core/check.h"

namespace hwynn::nnx {
namespace {

// Lends the selected arrays as a collection of their own, without a copy, until it dies.
class Selection {
 public:
  Selection(Collection& params, const Wrt& wrt) : params_(params) {
    for (auto next = params_.begin(); next != params_.end();) {
      const auto array = next++;
      if (!wrt.where || wrt.where(array->first)) arrays_.insert(params_.extract(array));
    }
  }
  ~Selection() { params_.merge(arrays_); }
  Selection(const Selection&) = delete;
  Selection& operator=(const Selection&) = delete;

  Collection& arrays() { return arrays_; }

 private:
  Collection& params_;
  Collection arrays_;
};

}  // namespace

Optimizer::Optimizer(const Model& model, const OptimizerOptions& options, Wrt wrt)
    : rule_(options), wrt_(std::move(wrt)) {
  Check(wrt_.collection == kParams, "nnx::Optimizer: wrt (\"", wrt_.collection,
        "\") must be \"params\": no other variables have gradients");
  Collection selected;
  for (const auto& [path, array] : GetCollection(model.variables(), kParams)) {
    if (!wrt_.where || wrt_.where(path)) selected.emplace(path, Tensor(array.shape()));
  }
  Check(!selected.empty(), "nnx::Optimizer: wrt selects none of the model's params");
  state_ = rule_.Init(selected);
}

void Optimizer::Update(Model& model, const Collection& gradients, float learning_rate) {
  Selection selection(GetCollection(model.variables(), kParams), wrt_);
  rule_.Update(learning_rate, step_ + 1, gradients, selection.arrays(), state_);
  ++step_;
}

}  // namespace hwynn::nnx
