#ifndef HWYNN_TRAINING_CHECKPOINT_H_
#define HWYNN_TRAINING_CHECKPOINT_H_

// Checkpoints: one safetensors file with the arrays `params.…`, `batch_stats.…` and `opt_state.…` (paths joined with
// "."), and everything else in its metadata. The bytes depend on the state and the information alone, so equal runs
// write equal files. A program reads the files of earlier ones: options that they lack have the value that they had
// then (ValuesWhenAbsent), and programs that lack an option read files that don't use it.

#include <string>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/data/standardization.h"
#include "hwynn/formats/safetensors.h"
#include "hwynn/training/recipe.h"
#include "hwynn/training/train_state.h"

namespace HWYNN_EXPORT hwynn {

/// Image shapes of more elements are refused, so that a file of a few bytes can't make whoever uses it ask for all
/// memory: models of convolutions alone have arrays of the same shapes for any size of image.
inline constexpr int64_t kMaxImageElements = int64_t{1} << 26;

/// What someone needs besides the arrays, to go on training or to classify an image.
struct CheckpointInfo {
  Recipe recipe;
  Shape image_shape;  // [H,W,C]
  std::vector<std::string> class_names;
  Standardization standardization;
  // What makes an image of image_shape of a photograph; by default nothing.
  EvaluationTransform transform{};
};

/// Replaces the file at `path` as a whole, or leaves it as it was (WriteSafetensors). Throws std::invalid_argument for
/// information that couldn't be read back: an image shape that isn't [H,W,C] or has more than kMaxImageElements, no
/// class names or one that isn't UTF-8, a standardisation or a transform that doesn't fit the shape.
void SaveCheckpoint(const std::string& path, const CheckpointInfo& info, const TrainState& state);

/// A checkpoint that was read. Arrays are copied out by the Restore functions. Each of them checks every path, dtype,
/// shape and value before it changes anything, and throws std::runtime_error that names the array that doesn't fit or
/// isn't sound: with the element that is NaN or infinite or, in an array `batch_stats.….var`, negative.
class Checkpoint {
 public:
  /// Throws std::runtime_error for a file that isn't a checkpoint of this library.
  explicit Checkpoint(const std::string& path);
  /// The same for a file that was read already.
  explicit Checkpoint(SafetensorsFile file);

  const CheckpointInfo& info() const { return info_; }
  int64_t step() const { return step_; }
  /// Of all arrays: no model in this file has more.
  int64_t num_elements() const;

  /// All of it: `state` was made for the model and optimizer of the checkpoint. One of step 0 without any opt_state, as
  /// an import is, gives zeros: that is every optimizer's state before the first step.
  void Restore(TrainState& state) const;

  /// params and batch_stats alone, for inference.
  void RestoreVariables(Variables& variables) const;

  /// For fine-tuning: as RestoreVariables, but arrays of one module, the head, may differ in their last extent, the
  /// number of classes; those keep the values they have. Returns their names. No module but the last one can differ so:
  /// what follows another one would have to differ too.
  std::vector<std::string> RestoreBody(Variables& variables) const;

 private:
  SafetensorsFile file_;
  CheckpointInfo info_;
  int64_t step_ = 0;
  MetricSums epoch_sums_;
};

}  // namespace hwynn

#endif  // HWYNN_TRAINING_CHECKPOINT_H_
