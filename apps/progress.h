#ifndef HWYNN_APPS_PROGRESS_H_
#define HWYNN_APPS_PROGRESS_H_

#include <chrono>
#include <string>

#include "hwynn/apps/history.h"
#include "hwynn/training/trainer.h"

namespace hwynn::apps {

/// What a run shows while it goes: a bar on a terminal, a plain line now and then in a log, a line for each epoch in
/// both. Writes to standard output.
class Progress {
 public:
  Progress(int64_t first_step, int64_t last_step, int64_t steps_per_epoch, int64_t batch_size);

  void Step(const StepReport& report);
  void Epoch(const HistoryRow& row, int64_t epochs);
  /// Takes the bar away, before something else is written.
  void Clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::string StepText(const StepReport& report) const;

  int64_t first_step_;
  int64_t last_step_;
  int64_t steps_per_epoch_;
  int64_t batch_size_;
  bool terminal_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_ = start_;
  bool bar_shown_ = false;
};

}  // namespace hwynn::apps

#endif  // HWYNN_APPS_PROGRESS_H_
