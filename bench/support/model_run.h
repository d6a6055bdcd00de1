#ifndef HWYNN_BENCH_SUPPORT_MODEL_RUN_H_
#define HWYNN_BENCH_SUPPORT_MODEL_RUN_H_

// One training step or one inference of a model, ready to be repeated.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hwynn/bench/support/model_convs.h"
#include "hwynn/inference/inference_model.h"
#include "hwynn/training/train_state.h"

namespace hwynn::bench {

struct ModelCase {
  std::string model;
  int64_t size, channels, batch;
  bool train;
  StepOptions step = {};

  /// ImageNet's 1000 for large images, 10 for small ones.
  int64_t classes() const { return size >= 64 ? 1000 : 10; }
};

/// "TrainStep/resnet18/224/batch:32", "Inference/…".
std::string ModelCaseName(const ModelCase& model_case);

/// Holds the model, its variables, made-up images and the memory that repetitions share.
class ModelRun {
 public:
  explicit ModelRun(const ModelCase& model_case);

  /// Training: forward, loss, backward, SGD with momentum and weight decay. Inference: forward alone.
  void Run(CallObserver* observer = nullptr);

  const std::vector<ModelConv>& convs() const { return convs_; }
  /// Multiplications and additions of one run in convolutions and dense layers, by the direct algorithm: in training
  /// three times the forward pass, less the first layer's d loss / d image, which nobody computes.
  double flops() const;

 private:
  ModelCase case_;
  std::unique_ptr<const Module> model_;
  TrainState state_;
  Stepper stepper_;
  std::optional<InferenceContext> context_;  // of inference, in the caller's arena
  Tensor images_;
  std::vector<int32_t> labels_;
  std::vector<ModelConv> convs_;
};

}  // namespace hwynn::bench

#endif  // HWYNN_BENCH_SUPPORT_MODEL_RUN_H_
