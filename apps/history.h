#ifndef HWYNN_APPS_HISTORY_H_
#define HWYNN_APPS_HISTORY_H_

// The learning curve of a run: history.csv, and its picture.

#include <string>
#include <vector>

#include "hwynn/training/trainer.h"

namespace hwynn::apps {

/// One line of history.csv, in its order of columns.
struct HistoryRow {
  double epoch = 0;  // epochs made
  int64_t step = 0;
  double learning_rate = 0;
  double train_loss = 0;
  double train_accuracy = 0;
  double test_loss = 0;  // NaN, as the accuracy, when the run was stopped within an epoch
  double test_accuracy = 0;
  double images_per_second = 0;
  double seconds = 0;  // of this epoch, its evaluation included
};

HistoryRow MakeHistoryRow(const EpochReport& report);

/// The rows of a history.csv; none when there is no such file. Throws std::runtime_error that names path and line.
std::vector<HistoryRow> ReadHistory(const std::string& path);

/// Replaces the file; numbers read back to the same bits.
void WriteHistory(const std::string& path, const std::vector<HistoryRow>& rows);

/// Loss and accuracy by epoch, training and test, as a picture that needs no other file.
std::string HistorySvg(const std::string& title, const std::vector<HistoryRow>& rows);

}  // namespace hwynn::apps

#endif  // HWYNN_APPS_HISTORY_H_
