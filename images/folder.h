#ifndef HWYNN_IMAGES_FOLDER_H_
#define HWYNN_IMAGES_FOLDER_H_

// Folders of photographs: a folder for each class.

#include <string>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/images/photo_files.h"

namespace HWYNN_EXPORT hwynn {

/// The photographs anywhere under `directory`, sorted by path. A file is one if its content is PNG's or JPEG's, or if
/// its name ends like that of an image, whose reader then says why it is none. Names that begin with a dot don't count;
/// symbolic links are followed, each folder is entered once. Throws std::runtime_error where the system lists no files.
std::vector<std::string> FindPhotos(const std::string& directory);

/// The photographs of a folder, by the name of their class's folder: `train/CLASS/…` and one of `val/CLASS/…`,
/// `valid/CLASS/…`, `validation/CLASS/…`, `test/CLASS/…` (the first that there is), or one of these alone, for
/// evaluation; otherwise `CLASS/…` or `train/CLASS/…`, split by seed.
///
/// Throws std::runtime_error with one sentence for a folder that is missing or holds no folders of classes, a class
/// without photographs in training, and what SplitPhotos throws.
PhotoFileSplits ListPhotoFolder(const std::string& directory, const PhotoSplitOptions& options = {});

}  // namespace hwynn

#endif  // HWYNN_IMAGES_FOLDER_H_
