#ifndef HWYNN_MODULE_STATISTICS_AVERAGES_H_
#define HWYNN_MODULE_STATISTICS_AVERAGES_H_

// What BatchNorms see over several calls.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/core/tensor.h"
#include "hwynn/module/variables.h"

namespace HWYNN_EXPORT hwynn {

/// Means of the batch statistics of each BatchNorm over the batches that it saw, weighted by their images, in double.
class StatisticsAverages {
 public:
  /// Adds a batch, or a ghost batch, of `images` that the BatchNorm at `path` saw. Shapes: mean, var [C].
  void Add(std::string_view path, double images, ConstTensorView mean, ConstTensorView var);

  /// Sets the running statistics of those BatchNorms, `mean` and `var` at their paths in batch_stats.
  /// Throws std::invalid_argument, before anything is written, where they aren't there or have another shape.
  void Store(Variables& variables) const;

 private:
  struct Sums {
    double images = 0;
    std::vector<double> mean, var;  // times images
  };
  std::map<std::string, Sums, std::less<>> sums_;
};

}  // namespace hwynn

#endif  // HWYNN_MODULE_STATISTICS_AVERAGES_H_
