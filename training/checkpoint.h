#ifndef HWYNN_TRAINING_CHECKPOINT_H_
#define HWYNN_TRAINING_CHECKPOINT_H_

// Checkpoints: one safetensors file with the arrays `params.…`, `batch_stats.…` and `opt_state.…` (paths joined with
// "."), and everything else in its metadata. The bytes depend on the state and the information alone, so equal runs
// write equal files.

#include <string>
#include <vector>

#include "hwynn/training/recipe.h"
#include "hwynn/training/safetensors.h"
#include "hwynn/training/standardization.h"
#include "hwynn/training/train_state.h"

namespace hwynn {

/// What someone needs besides the arrays, to go on training or to classify an image.
struct CheckpointInfo {
  Recipe recipe;
  Shape image_shape;  // [H,W,C]
  std::vector<std::string> class_names;
  Standardization standardization;
};

/// Replaces the file at `path` as a whole, or leaves it as it was (WriteSafetensors).
void SaveCheckpoint(const std::string& path, const CheckpointInfo& info, const TrainState& state);

/// A checkpoint that was read. Arrays are copied out by the Restore functions, each of which checks every path, dtype
/// and shape before it changes anything, and throws std::runtime_error that names the array that doesn't fit.
class Checkpoint {
 public:
  /// Throws std::runtime_error for a file that isn't a checkpoint of this library.
  explicit Checkpoint(const std::string& path);

  const CheckpointInfo& info() const { return info_; }
  int64_t step() const { return step_; }
  /// Of all arrays: no model in this file has more.
  int64_t num_elements() const;

  /// All of it: `state` was made for the model and optimizer of the checkpoint.
  void Restore(TrainState& state) const;

  /// params and batch_stats alone, for inference.
  void RestoreVariables(Variables& variables) const;

  /// For fine-tuning: as RestoreVariables, but arrays of one module, the head, may have other shapes; those keep the
  /// values they have. Returns their names.
  std::vector<std::string> RestoreBody(Variables& variables) const;

 private:
  SafetensorsFile file_;
  CheckpointInfo info_;
  int64_t step_ = 0;
  MetricSums epoch_sums_;
};

}  // namespace hwynn

#endif  // HWYNN_TRAINING_CHECKPOINT_H_
