#ifndef HWYNN_TRAINING_PROFILE_H_
#define HWYNN_TRAINING_PROFILE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/module/observer.h"

namespace HWYNN_EXPORT hwynn {

/// Writes down what a step did: CallContext::observer, or Stepper::Train's.
class StepProfile final : public CallObserver {
 public:
  /// Where memory runs out, it writes down no more; the step goes on.
  void OnWork(const Work& work) noexcept override;
  void OnKept(const std::string& path, int64_t bytes) override { kept_.emplace_back(path, bytes); }

  /// In the order in which it was done.
  const std::vector<Work>& work() const { return work_; }
  /// Whether all of it is there.
  bool complete() const { return complete_; }
  /// Bytes that Forward kept for Backward: of each module, in the order of the modules' first array, and of all.
  const std::vector<std::pair<std::string, int64_t>>& kept() const { return kept_; }
  int64_t kept_bytes() const;
  /// Of all work of a kind.
  double Seconds(WorkKind kind) const;

  /// One line a module and kind of work: milliseconds, MB moved and GB/s; MB kept; then sums by kind. Says so where it
  /// isn't complete.
  std::string Table() const;
  /// The same as events of the Trace Event Format, which chrome://tracing and Perfetto open: JSON.
  std::string TraceJson() const;

  void Clear();

 private:
  std::vector<Work> work_;
  bool complete_ = true;
  std::vector<std::pair<std::string, int64_t>> kept_;
};

}  // namespace hwynn

#endif  // HWYNN_TRAINING_PROFILE_H_
