#ifndef HWYNN_MODULE_OBSERVER_H_
#define HWYNN_MODULE_OBSERVER_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// What a kernel does for a layer.
enum class WorkKind {
  kConvolution,
  kDense,
  kPooling,
  kPass,  // reads and writes arrays, and does little besides
};

/// A kernel that ran.
struct Work {
  std::string path;       // of its module: "ResNetBlock_0/Conv_0"
  std::string_view what;  // "forward", "backward filter", "statistics", …
  WorkKind kind = WorkKind::kPass;
  int64_t bytes = 0;  // that it must read and write at least: each array once
  std::chrono::steady_clock::time_point start{};
  double seconds = 0;
};

/// Is told what a call does, as it happens, on the call's thread (CallContext::observer).
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  /// Can't throw, as it also hears of kernels whose block an exception leaves: what fails in it, it keeps to itself.
  virtual void OnWork(const Work& work) noexcept = 0;
  /// Between Forward and Backward, for each module that keeps arrays for Backward: their bytes. Of an array that
  /// several keep, the first one's.
  virtual void OnKept(const std::string& path, int64_t bytes) = 0;
};

/// Times the block in which it lives.
class WorkTimer {
 public:
  /// `observer` may be null.
  WorkTimer(CallObserver* observer, Work work) : observer_(observer), work_(std::move(work)) {
    if (observer_ != nullptr) work_.start = std::chrono::steady_clock::now();
  }
  WorkTimer(const WorkTimer&) = delete;
  WorkTimer& operator=(const WorkTimer&) = delete;
  ~WorkTimer() {
    if (observer_ == nullptr) return;
    work_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - work_.start).count();
    observer_->OnWork(work_);
  }

 private:
  CallObserver* observer_;
  Work work_;
};

}  // namespace hwynn

#endif  // HWYNN_MODULE_OBSERVER_H_
