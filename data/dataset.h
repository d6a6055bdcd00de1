#ifndef HWYNN_DATA_DATASET_H_
#define HWYNN_DATA_DATASET_H_

// Labelled images: what a data set is, data sets over memory, and the ones known by name.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/core/shape.h"

namespace HWYNN_EXPORT hwynn {

/// One image of one epoch of one run: all that the image's random changes depend on.
struct ImageDraw {
  int64_t seed = 0;
  int64_t epoch = 0;
  int64_t index = 0;  // in the data set, not in the batch
  /// Above 0: in place of the image a random part of at least this share of its area (data/random_crop.h).
  double smallest_crop = 0.0;
};

/// Images of one shape, each with one label. A host program derives from it to feed its own data.
/// Threads: the const members may run on any thread, several at once; the Loader calls them from its own and from
/// those of whoever waits for a batch.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual int64_t size() const = 0;
  /// [H,W,C], the same for all images.
  virtual Shape image_shape() const = 0;
  /// One name per class.
  virtual const std::vector<std::string>& class_names() const = 0;
  int64_t num_classes() const { return static_cast<int64_t>(class_names().size()); }

  /// The class of image `index`: 0 … num_classes() − 1.
  virtual int32_t Label(int64_t index) const = 0;
  /// Writes image `index` to `hwc`, rows of pixels of channels. Units: 0 … 1 for images of 8 bits (value ÷ 255),
  /// whatever the source holds for images in float. `hwc` has image_shape().num_elements() elements.
  virtual void Image(int64_t index, std::span<float> hwc) const = 0;
  /// Writes image `draw.index` as training is to see it in that epoch. Here that is what Image writes, or the part of
  /// it that is drawn for `draw.smallest_crop`, resized. A data set whose images are random in other ways, or larger
  /// than image_shape() in their files, has its own. Determinism: must depend on `draw` alone.
  virtual void TrainingImage(const ImageDraw& draw, std::span<float> hwc) const;
};

/// A data set over memory that the caller holds and doesn't change while the data set lives: `labels.size()` images
/// of `image_shape` [H,W,C], one after another. Throws std::invalid_argument when there is no image, the number of
/// images and labels differ, or a label isn't a class.
std::unique_ptr<Dataset> MemoryDataset(const Shape& image_shape, std::span<const uint8_t> images,
                                       std::span<const int32_t> labels, std::vector<std::string> class_names);
std::unique_ptr<Dataset> MemoryDataset(const Shape& image_shape, std::span<const float> images,
                                       std::span<const int32_t> labels, std::vector<std::string> class_names);

/// The same over memory that the data set holds itself.
std::unique_ptr<Dataset> OwningDataset(const Shape& image_shape, std::vector<uint8_t> images,
                                       std::vector<int32_t> labels, std::vector<std::string> class_names);
std::unique_ptr<Dataset> OwningDataset(const Shape& image_shape, std::vector<float> images, std::vector<int32_t> labels,
                                       std::vector<std::string> class_names);

struct DatasetSplits {
  std::unique_ptr<Dataset> train;
  std::unique_ptr<Dataset> test;
};

/// Sizes of the synthetic data set (data/synthetic.h).
struct SyntheticOptions {
  int64_t train_size = 10000;
  int64_t test_size = 2000;
  Shape image_shape{28, 28, 1};
  int64_t num_classes = 10;
};

struct DatasetOptions {
  /// One of DatasetNames().
  std::string name = "fashion-mnist";
  /// The folder with the data set's files, of npz also a file; empty: where Debian's package puts them (fashion-mnist
  /// only).
  std::string directory{};
  /// What the synthetic images are drawn from.
  int64_t seed = 0;
  SyntheticOptions synthetic{};
};

/// "fashion-mnist", "mnist", "kmnist", "emnist-letters" and EMNIST's other splits, "cifar10", "cifar100", "npz",
/// "synthetic".
const std::vector<std::string>& DatasetNames();
/// "fashion-mnist, mnist, …".
const std::string& DatasetNamesText();

/// Reads or makes the data set of that name. Throws std::invalid_argument for an unknown name (the text lists the
/// known ones) or a folder that must be given and isn't, std::runtime_error with path and offset for bad files.
DatasetSplits LoadDataset(const DatasetOptions& options);

}  // namespace hwynn

#endif  // HWYNN_DATA_DATASET_H_
