#ifndef HWYNN_DATA_MNIST_H_
#define HWYNN_DATA_MNIST_H_

// MNIST and the data sets that come in its files (data/idx.h): images of 28×28 grey pixels, each file plain or with
// ".gz", under the names of the archives or of torchvision.

#include <string>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/data/dataset.h"

namespace HWYNN_EXPORT hwynn {

/// Where Debian's package dataset-fashion-mnist puts its files.
inline constexpr char kDebianFashionMnistDirectory[] = "/usr/share/datasets/fashion-mnist";

/// The four files {train,t10k}-{images-idx3,labels-idx1}-ubyte, each plain or with ".gz", also as
/// train-images.idx3-ubyte, of `directory`, or of its folder FashionMNIST/raw or raw, where torchvision has them.
/// Empty: kDebianFashionMnistDirectory. Throws std::runtime_error that names the folder, and what helps, when it is
/// missing.
DatasetSplits LoadFashionMnist(const std::string& directory = "");

/// The same four files of MNIST, or of MNIST/raw; `directory` must be given.
DatasetSplits LoadMnist(const std::string& directory);

/// The same of KMNIST, or of KMNIST/raw: ten characters of the Japanese cursive script, named by their sounds.
DatasetSplits LoadKmnist(const std::string& directory);

/// "letters", "balanced", "byclass", "bymerge", "digits", "mnist": how EMNIST is cut into classes.
const std::vector<std::string>& EmnistSplits();

/// One of EmnistSplits(): the files emnist-<split>-{train,test}-{images-idx3,labels-idx1}-ubyte of `directory`, of its
/// folder gzip or raw, or of EMNIST/raw. The files hold images mirrored along their diagonal: here they are upright, as
/// MNIST's. Classes are named by their characters: digits, then upper case, then lower case; in "balanced" and
/// "bymerge" 15 letters have one class for both cases, under the upper one, and in "letters" all have, under the lower
/// one: its labels begin at 1 in the file and at 0 here.
/// Source: Cohen, Afshar, Tapson and van Schaik, "EMNIST: Extending MNIST to handwritten letters" (IJCNN 2017); the
/// order of the classes is that of the mapping files beside the data.
DatasetSplits LoadEmnist(const std::string& split, const std::string& directory);

}  // namespace hwynn

#endif  // HWYNN_DATA_MNIST_H_
