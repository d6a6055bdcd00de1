#ifndef HWYNN_TRAINING_SCHEDULE_H_
#define HWYNN_TRAINING_SCHEDULE_H_

// The learning rate as a function of the step.

#include <cstdint>
#include <vector>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

enum class ScheduleKind { kConstant, kCosine, kStep };

/// Lengths in epochs, so that the same options fit any batch size.
struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kCosine;
  double learning_rate = 0.1;  // the highest
  double warmup_epochs = 0;    // linear from 0; any kind
  /// kStep: the learning rate is multiplied by decay_factor at the start of each of these epochs (ascending).
  std::vector<int64_t> decay_epochs = {};
  double decay_factor = 0.1;
};

/// With B the highest rate, W the steps of warm-up and T all steps (Flax's ImageNet example; the first step is 0):
///   step < W:   B·step/W
///   kConstant:  B
///   kCosine:    B·½(1 + cos(π·min(step − W, T − W)/(T − W)))
///   kStep:      B·decay_factor^(number of decay epochs begun)
class Schedule {
 public:
  /// Throws std::invalid_argument for options out of range, warm-up longer than the run included.
  Schedule(const ScheduleOptions& options, int64_t epochs, int64_t steps_per_epoch);

  float operator()(int64_t step) const;

 private:
  ScheduleOptions options_;
  int64_t steps_per_epoch_;
  int64_t warmup_steps_;
  int64_t total_steps_;
};

}  // namespace hwynn

#endif  // HWYNN_TRAINING_SCHEDULE_H_
