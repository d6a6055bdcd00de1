#ifndef HWYNN_DATA_NPZ_H_
#define HWYNN_DATA_NPZ_H_

// Data sets in NumPy's archives of arrays (.npz), stored or compressed.

#include <string>

#include "hwynn/core/export.h"
#include "hwynn/data/dataset.h"

namespace HWYNN_EXPORT hwynn {

/// Images and labels from the arrays of .npz files, where `path` is one of
/// * a folder with train.npz and test.npz, or val.npz if there is no test.npz: arrays x and y in each;
/// * a file, or a folder with one .npz file, whose arrays are x_train, y_train, x_test, y_test, as in Keras' mnist.npz,
///   or train_images, train_labels, test_images, test_labels, as in MedMNIST's.
///
/// Shapes: images [N,H,W] or [N,H,W,C], of uint8 (as 0 … 1, by 255) or of floating point (as they are); labels [N] or
/// [N,1], of any integers. The classes are 0 … the largest label, named by their numbers; at most 65536.
/// Throws std::invalid_argument when `path` is empty, std::runtime_error with path and offset or array for files that
/// are missing or damaged, shapes and types that don't fit, a value that isn't finite, a negative label.
DatasetSplits LoadNpz(const std::string& path);

}  // namespace hwynn

#endif  // HWYNN_DATA_NPZ_H_
