#ifndef HWYNN_IMAGES_LIST_H_
#define HWYNN_IMAGES_LIST_H_

// Lists of photographs: CSV files of paths and labels.

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/images/photo_files.h"

namespace HWYNN_EXPORT hwynn {

/// The photographs of a table (formats/csv.h) with a path and the name of a class in each row: its first two columns,
/// or those that the first row calls `path` and `label` (also `file`, `filename`, `filepath`, `image`, `image_path`,
/// and `class`, `class_name`, `category`; in any case). Paths are relative to the table's folder. Files aren't looked
/// at.
///
/// `path` is the table's. Throws std::runtime_error with path and line for a row without path or label, and as ParseCsv
/// does.
std::vector<NamedPhoto> ParsePhotoList(std::span<const std::byte> file, const std::string& path);

/// The photographs of a CSV file, split by seed, or of a folder's `train.csv` with one of `val.csv`, `valid.csv`,
/// `validation.csv`, `test.csv` (the first that there is) or without, split by seed, or of one of the latter alone, for
/// evaluation. Throws std::runtime_error for a missing file, the table's and those in it (with the first that is
/// missing), and what ParsePhotoList and SplitPhotos throw.
PhotoFileSplits ReadPhotoList(const std::string& path, const PhotoSplitOptions& options = {});

}  // namespace hwynn

#endif  // HWYNN_IMAGES_LIST_H_
