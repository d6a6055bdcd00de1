#ifndef HWYNN_MODULE_NNX_H_
#define HWYNN_MODULE_NNX_H_

// Modules as flax.nnx has them: objects that own their variables and their mode. A thin cover over the same layers;
// training/nnx_optimizer.h has the optimizer.

#include <concepts>
#include <memory>
#include <string_view>
#include <utility>

#include "hwynn/core/export.h"
#include "hwynn/module/functional.h"
#include "hwynn/module/pending_updates.h"
#include "hwynn/module/rngs.h"

namespace HWYNN_EXPORT hwynn {
namespace nnx {

/// A module with its variables, initialised by the draws of `rngs` in the order in which the module creates them.
///
///     Sequential layers;
///     layers.Add("linear", Dense({.features = 8})).Add("bn", BatchNorm()).Add(Relu());
///     nnx::Rngs rngs(0);
///     nnx::Model model(layers, {1, 3}, rngs);
///
/// A call that throws leaves the model as it was.
///
/// Variables: in variables(), by collection: nnx.Param is params, nnx.BatchStat batch_stats.
/// Threads: one call at a time.
class Model {
 public:
  /// `input` is the shape of an input; the number of rows doesn't matter.
  Model(std::shared_ptr<const Module> module, const Shape& input, Rngs& rngs);
  template <std::derived_from<Module> M>
  Model(M module, const Shape& input, Rngs& rngs) : Model(std::make_shared<const M>(std::move(module)), input, rngs) {}

  /// model.train() and model.eval(): batch statistics and Dropout's draws, or running statistics. A new model trains.
  void Train() { mode_ = Mode::kTrain; }
  void Eval() { mode_ = Mode::kEval; }
  Mode mode() const { return mode_; }

  /// model(input). A training call updates the running statistics.
  Activation operator()(ConstTensorView input);

  /// nnx.state(model): all variables, in place.
  Variables& variables() { return variables_; }
  const Variables& variables() const { return variables_; }

  /// One variable, as model.bn.mean: Get("batch_stats", "bn/mean"). Throws std::invalid_argument when there is none.
  TensorView Get(std::string_view collection, std::string_view path);

 private:
  friend ValueAndGradResult ValueAndGrad(Model& model, ConstTensorView input, const LossFunction& loss);
  // A call that writes its updates apart, until it has succeeded.
  CallContext BeginCall(CallRules& rules);

  std::shared_ptr<const Module> module_;
  Variables variables_;
  RngStreams dropout_streams_;
  PendingUpdates updates_;
  Mode mode_ = Mode::kTrain;
  Workspace workspace_;
};

/// loss, gradients = nnx.value_and_grad(loss_fn)(model), for a loss of the model's output. Params alone have gradients.
/// In training mode the running statistics are updated, in the model; the result's updates are empty.
ValueAndGradResult ValueAndGrad(Model& model, ConstTensorView input, const LossFunction& loss);

}  // namespace nnx
}  // namespace hwynn

#endif  // HWYNN_MODULE_NNX_H_
