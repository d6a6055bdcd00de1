#ifndef HWYNN_IMAGES_PHOTO_DATASET_H_
#define HWYNN_IMAGES_PHOTO_DATASET_H_

// Data sets of photographs: decoded, cropped and resized as they are asked for.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/data/dataset.h"
#include "hwynn/formats/preprocessing.h"
#include "hwynn/images/photo_files.h"

namespace HWYNN_EXPORT hwynn {

struct PhotoOptions {
  /// The square that images become.
  EvaluationTransform transform = PhotographTransform(224);
  /// Decoded images are kept in memory up to so many bytes, in the order in which they are asked for. 0: none.
  int64_t cache_bytes = 0;
  /// Keeps what Image gives, which is smaller, in place of the decoded images: for those that are evaluated only.
  bool keep_transformed = false;
};

/// The photographs of `files` as a data set of images [image_size, image_size, 3].
///
/// Image resizes the shorter side and cuts out the middle, as `transform` says. TrainingImage with a `smallest_crop`
/// resizes the part of the decoded image that DrawCrop draws (with the filter of `transform`), otherwise it is Image's.
/// Files are read and decoded when they are asked for, whole: libjpeg can decode at 1/2, 1/4 or 1/8, but the pixels
/// would not be those of decoding and resizing.
///
/// Throws std::invalid_argument for a transform without a size, labels that are no classes. Image and TrainingImage
/// throw std::runtime_error with path and reason for a file that can't be decoded. Determinism: the same bits with and
/// without cache. Threads: as Dataset.
std::unique_ptr<Dataset> MakePhotoDataset(PhotoFiles files, const PhotoOptions& options);

/// A file that is no image, or a damaged one.
struct BrokenPhoto {
  std::string path;
  std::string reason;  // holds the path
};

/// Decodes all files, on all threads, and takes those that can't be out of `files`. Returns them in their order.
std::vector<BrokenPhoto> TakeBrokenPhotos(PhotoFiles& files);

/// How much memory decoded images may take where nobody says it: a quarter of what the system, and the control group
/// that this process is in, have left.
int64_t DefaultCacheBytes();

/// ImageNet's means and standard deviations, which models of photographs are usually trained with: (0.485, 0.456,
/// 0.406) and (0.229, 0.224, 0.225).
Standardization PhotographStandardization();

}  // namespace hwynn

#endif  // HWYNN_IMAGES_PHOTO_DATASET_H_
