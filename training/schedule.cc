#include "hwynn/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "hwynn/core/check.h"
#include "hwynn/core/math.h"

namespace hwynn {

Schedule::Schedule(const ScheduleOptions& options, int64_t epochs, int64_t steps_per_epoch)
    : options_(options), steps_per_epoch_(steps_per_epoch) {
  Check(epochs >= 1 && steps_per_epoch >= 1, "Schedule: epochs (", epochs, ") and steps per epoch (", steps_per_epoch,
        ") must be at least 1");
  Check(epochs <= std::numeric_limits<int64_t>::max() / steps_per_epoch, "Schedule: ", epochs, " epochs are too many");
  Check(options.learning_rate > 0 && std::isfinite(options.learning_rate), "Schedule: learning rate (",
        options.learning_rate, ") must be positive");
  Check(options.warmup_epochs >= 0 && options.warmup_epochs <= static_cast<double>(epochs), "Schedule: warm-up (",
        options.warmup_epochs, " epochs) must be between 0 and the ", epochs, " epochs of the run");
  Check(options.decay_factor > 0 && options.decay_factor <= 1, "Schedule: decay factor (", options.decay_factor,
        ") must be above 0 and at most 1");
  Check(options.kind != ScheduleKind::kStep || !options.decay_epochs.empty(),
        "Schedule: a step schedule needs its decay epochs");
  Check(std::is_sorted(options.decay_epochs.begin(), options.decay_epochs.end()), "Schedule: decay epochs must ascend");
  warmup_steps_ = std::llround(options.warmup_epochs * static_cast<double>(steps_per_epoch));
  total_steps_ = epochs * steps_per_epoch;
}

float Schedule::operator()(int64_t step) const {
  double rate = options_.learning_rate;
  if (step < warmup_steps_) {
    rate *= static_cast<double>(step) / static_cast<double>(warmup_steps_);
  } else if (options_.kind == ScheduleKind::kCosine && total_steps_ > warmup_steps_) {
    const double length = static_cast<double>(total_steps_ - warmup_steps_);
    const double position = std::min(static_cast<double>(step - warmup_steps_), length);
    rate *= 0.5 * (1 + Cos(std::numbers::pi * position / length));
  } else if (options_.kind == ScheduleKind::kStep) {
    for (const int64_t epoch : options_.decay_epochs) {
      if (step / steps_per_epoch_ >= epoch) rate *= options_.decay_factor;
    }
  }
  return static_cast<float>(rate);
}

}  // namespace hwynn
