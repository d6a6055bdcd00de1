#ifndef HWYNN_DATA_IDX_H_
#define HWYNN_DATA_IDX_H_

// MNIST's file format IDX (big-endian header, then bytes), plain or compressed with gzip, and the two data sets that
// come in it.

#include <memory>
#include <string>
#include <vector>

#include "hwynn/data/dataset.h"

namespace hwynn {

/// Where Debian's package dataset-fashion-mnist puts its files.
inline constexpr char kDebianFashionMnistDirectory[] = "/usr/share/datasets/fashion-mnist";

/// Reads a file of images (magic 0x00000803; count, height, width; a byte a pixel) and one of labels (magic
/// 0x00000801; count; a byte a label) into a data set of shape [height,width,1]. Whether a file is compressed is
/// read from its first bytes, not from its name. Memory follows what the files hold, not what their headers claim.
/// Throws std::runtime_error with path and offset: truncated or wrong header, sizes that overflow, bytes missing or
/// left over, counts that differ, a label that isn't a class.
std::unique_ptr<Dataset> LoadIdx(const std::string& images_path, const std::string& labels_path,
                                 std::vector<std::string> class_names);

/// The four files {train,t10k}-{images-idx3,labels-idx1}-ubyte, each plain or with ".gz", also as
/// train-images.idx3-ubyte, of `directory`, or of its folder FashionMNIST/raw or raw, where torchvision has them.
/// Empty: kDebianFashionMnistDirectory. Throws std::runtime_error that names the folder, and what helps, when it is
/// missing.
DatasetSplits LoadFashionMnist(const std::string& directory = "");

/// The same four files of MNIST, or of MNIST/raw; `directory` must be given.
DatasetSplits LoadMnist(const std::string& directory);

}  // namespace hwynn

#endif  // HWYNN_DATA_IDX_H_
