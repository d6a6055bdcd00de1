#ifndef HWYNN_DATA_CIFAR_H_
#define HWYNN_DATA_CIFAR_H_

// CIFAR-10 and CIFAR-100, the binary version (records of label bytes and 3·32·32 bytes, colour planes one after
// another) or the Python version that torchvision downloads (pickles, read by formats/pickle.h). Which one a folder
// holds is seen from its files.

#include <string>

#include "hwynn/core/export.h"
#include "hwynn/data/dataset.h"

namespace HWYNN_EXPORT hwynn {

/// CIFAR-10: data_batch_1.bin … data_batch_5.bin and test_batch.bin, with names from batches.meta.txt if it is there;
/// or data_batch_1 … data_batch_5 and test_batch, with names from batches.meta if it is there. `directory` holds them
/// or their folder cifar-10-batches-bin or cifar-10-batches-py. Throws std::invalid_argument when `directory` is empty,
/// std::runtime_error with path and offset for a folder or file that is missing, a size that isn't a whole number of
/// records, a pickle that isn't of a batch, or a label that isn't a class; the text says so when the folder holds the
/// Matlab version, or an archive.
DatasetSplits LoadCifar10(const std::string& directory);

/// CIFAR-100 with its 100 fine labels: train.bin and test.bin, with names from fine_label_names.txt if it is there; or
/// train and test, with names from meta if it is there. `directory` holds them or their folder cifar-100-binary or
/// cifar-100-python.
DatasetSplits LoadCifar100(const std::string& directory);

}  // namespace hwynn

#endif  // HWYNN_DATA_CIFAR_H_
