#ifndef HWYNN_DATA_CIFAR_H_
#define HWYNN_DATA_CIFAR_H_

// The binary versions of CIFAR-10 and CIFAR-100: records of label bytes and 3·32·32 bytes, colour planes one after
// another.

#include <string>

#include "hwynn/data/dataset.h"

namespace hwynn {

/// CIFAR-10: data_batch_1.bin … data_batch_5.bin, test_batch.bin, names from batches.meta.txt if it is there.
/// `directory` holds them or their folder cifar-10-batches-bin. Throws std::invalid_argument when `directory` is
/// empty, std::runtime_error with path and offset for a folder or file that is missing, a size that isn't a whole
/// number of records, or a label that isn't a class; the text says so when the folder holds the Python or Matlab
/// version, or the archive.
DatasetSplits LoadCifar10(const std::string& directory);

/// CIFAR-100 with its 100 fine labels: train.bin, test.bin, names from fine_label_names.txt if it is there.
/// `directory` holds them or their folder cifar-100-binary.
DatasetSplits LoadCifar100(const std::string& directory);

}  // namespace hwynn

#endif  // HWYNN_DATA_CIFAR_H_
