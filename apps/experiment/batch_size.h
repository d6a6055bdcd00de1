#ifndef HWYNN_APPS_EXPERIMENT_BATCH_SIZE_H_
#define HWYNN_APPS_EXPERIMENT_BATCH_SIZE_H_

// How accuracy depends on the batch size, with BatchNorm and without.

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "hwynn/apps/commands.h"

namespace hwynn::apps {

struct BatchSizeOptions {
  std::string output = "docs/results";  // the folder for batch-size.csv and batch-size.svg
  std::string dataset = "fashion-mnist";
  std::string data_dir;
  std::vector<int64_t> batch_sizes = {2, 4, 8, 16, 32, 64, 128, 256, 512};
  int64_t ghost_batch_size = 16;                         // of larger batches
  int64_t images = std::numeric_limits<int64_t>::max();  // the first so many training images; all if there are fewer
  int64_t epochs = 2;
  int64_t test_images = std::numeric_limits<int64_t>::max();
  int64_t recalibration_images = 10000;
  double width = 1.0;
  int64_t seed = 0;
  MachineOptions machine;
};

/// A network trained with one batch size and looked at in one way.
struct BatchSizeRow {
  int64_t batch_size = 0;
  std::string series;
  double accuracy = 0;  // of a guess where the loss wasn't finite any more
  double loss = 0;      // NaN there
  double seconds = 0;   // of the training or, in a recalibrated series, of the recalibration; with the evaluation
};

/// Accuracy by batch size, a curve for each series.
std::string BatchSizeSvg(const std::string& title, const std::vector<BatchSizeRow>& rows);

/// Runs the experiment and prints a line for each training; what it has so far is in the files after each of them.
void RunBatchSizeExperiment(const BatchSizeOptions& options);

}  // namespace hwynn::apps

#endif  // HWYNN_APPS_EXPERIMENT_BATCH_SIZE_H_
