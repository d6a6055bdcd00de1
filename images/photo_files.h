#ifndef HWYNN_IMAGES_PHOTO_FILES_H_
#define HWYNN_IMAGES_PHOTO_FILES_H_

// Files of photographs and their classes, and how they are split.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// The files of a data set of photographs.
struct PhotoFiles {
  std::vector<std::string> paths;
  std::vector<int32_t> labels;           // as many, indices of class_names
  std::vector<std::string> class_names;  // the same for training and test
};

struct PhotoFileSplits {
  PhotoFiles train;
  PhotoFiles test;
};

struct PhotoSplitOptions {
  /// The classes and their order, as a model has learnt them; empty: all that occur in the training images, sorted.
  std::vector<std::string> class_names{};
  /// Where nothing else says which images are for evaluation: this share of each class, at least one of two or more,
  /// drawn from (seed, class's number, sorted paths).
  double test_share = 0.1;
  int64_t seed = 0;
};

/// A file and the name of its class.
struct NamedPhoto {
  std::string path;
  std::string class_name;
};

/// Numbers the classes, and splits `train` unless there is `test`. `source` is what the photographs were found in, for
/// error texts. Throws std::runtime_error for no photographs, a class name that isn't UTF-8, or one that the classes
/// lack: the text lists both.
PhotoFileSplits SplitPhotos(std::vector<NamedPhoto> train, std::optional<std::vector<NamedPhoto>> test,
                            const PhotoSplitOptions& options, const std::string& source);

}  // namespace hwynn

#endif  // HWYNN_IMAGES_PHOTO_FILES_H_
