#ifndef HWYNN_MODULE_PACKED_FILTERS_H_
#define HWYNN_MODULE_PACKED_FILTERS_H_

// Inference packs each filter once: what a model's convolutions keep between calls.

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "hwynn/core/export.h"
#include "hwynn/kernels/conv2d_plan.h"

namespace HWYNN_EXPORT hwynn {

/// The packed filters of one set of params. Give it to every Predict with these params, and Clear() it when they
/// change: it can't know. A convolution has one filter for each algorithm that it takes, whatever sizes of images and
/// batches it sees: memory of one to four times the filters' each.
///
/// Threads: calls may share one.
class PackedFilters {
 public:
  /// The filter of the convolution at `path`, packed for a plan's calls by the first of them.
  std::shared_ptr<const PackedConv2dFilter> Get(const std::string& path, const Conv2dPlan& plan,
                                                ConstTensorView filter);
  /// Takes over the filter of the convolution at `path`, as Get would have packed it.
  void Add(const std::string& path, PackedConv2dFilter packed);
  void Clear();
  int64_t bytes() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const PackedConv2dFilter>> filters_;
  Workspace workspace_;  // huge pages
};

}  // namespace hwynn

#endif  // HWYNN_MODULE_PACKED_FILTERS_H_
