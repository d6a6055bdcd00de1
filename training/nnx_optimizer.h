#ifndef HWYNN_TRAINING_NNX_OPTIMIZER_H_
#define HWYNN_TRAINING_NNX_OPTIMIZER_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/module/nnx.h"
#include "hwynn/training/optimizer.h"

namespace HWYNN_EXPORT hwynn {
namespace nnx {

/// What an optimizer changes (`wrt`): the params, or those of them at whose paths `where` is true when it is made.
///
///     nnx::Wrt head{.collection = kParams, .where = [](std::string_view path) { return path.starts_with("head/"); }};
struct Wrt {
  std::string_view collection;  // kParams: no other has gradients
  std::function<bool(std::string_view path)> where{};
};

/// nnx.Optimizer(model, tx, wrt=nnx.Param): an update rule with its state, for the variables of a model.
class Optimizer {
 public:
  /// Throws std::invalid_argument when wrt selects nothing of the model or another collection than params.
  Optimizer(const Model& model, const OptimizerOptions& options, const Wrt& wrt);

  /// optimizer.update(model, gradients): one step. No other variable changes, and no other gradient counts for the
  /// norm that is clipped.
  /// Throws as hwynn::Optimizer::Update does, before anything is written.
  void Update(Model& model, const Gradients& gradients, float learning_rate);

  /// Steps made.
  int64_t step() const { return step_; }

 private:
  hwynn::Optimizer rule_;
  std::vector<std::string> paths_;  // of the params that it changes
  Collection state_;
  int64_t step_ = 0;
};

}  // namespace nnx
}  // namespace hwynn

#endif  // HWYNN_TRAINING_NNX_OPTIMIZER_H_
