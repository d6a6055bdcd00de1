#ifndef HWYNN_TRAINING_METRICS_H_
#define HWYNN_TRAINING_METRICS_H_

// Loss and accuracy over many batches.

#include <cstdint>

#include "hwynn/core/export.h"
#include "hwynn/kernels/loss.h"

namespace HWYNN_EXPORT hwynn {

/// Sums over the examples seen, so that batches of different sizes count by their size.
struct MetricSums {
  double loss = 0;
  int64_t correct = 0;
  int64_t examples = 0;

  void Add(const LossResult& batch, int64_t batch_size) {
    loss += batch.loss * static_cast<double>(batch_size);
    correct += batch.correct;
    examples += batch_size;
  }

  double MeanLoss() const { return examples ? loss / static_cast<double>(examples) : 0; }
  double Accuracy() const { return examples ? static_cast<double>(correct) / static_cast<double>(examples) : 0; }

  friend bool operator==(const MetricSums&, const MetricSums&) = default;
};

}  // namespace hwynn

#endif  // HWYNN_TRAINING_METRICS_H_
