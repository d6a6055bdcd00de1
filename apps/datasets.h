#ifndef HWYNN_APPS_DATASETS_H_
#define HWYNN_APPS_DATASETS_H_

// The data sets that the program knows by name: those of data/, and photographs.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "hwynn/data/dataset.h"
#include "hwynn/formats/preprocessing.h"
#include "hwynn/images/photo_dataset.h"

namespace hwynn::apps {

/// Where a command finds its images, and how it treats the files.
struct DataOptions {
  std::string directory;
  bool skip_broken = false;
  std::string cache = "auto";  // what --cache-images said

  void AddTo(CLI::App& app);
};

/// "folder" and "csv": their images have any size, and become squares.
bool IsOfPhotographs(const std::string& dataset);

/// "fashion-mnist, mnist, …, folder, csv".
std::string AllDatasetNamesText();

/// What is wanted of a data set.
struct DatasetRequest {
  std::string name;  // as a checkpoint and the command line have it
  // Of photographs:
  EvaluationTransform transform{};
  std::vector<std::string> class_names{};  // that a model knows; empty: those that are found
  int64_t seed = 0;                        // of the split, where the files have none
  bool test_only = false;                  // the training images may be missing
};

struct LoadedDataset {
  DatasetSplits splits;
  std::vector<BrokenPhoto> left_out;  // with skip_broken
};

/// Reads, or finds, the images. What was left out is written to standard output, a line each.
LoadedDataset LoadNamedDataset(const DatasetRequest& request, const DataOptions& options);

}  // namespace hwynn::apps

#endif  // HWYNN_APPS_DATASETS_H_
