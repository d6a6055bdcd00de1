#include "hwynn/data/dataset.h"

#include <algorithm>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/data/cifar.h"
#include "hwynn/data/mnist.h"
#include "hwynn/data/npz.h"
#include "hwynn/data/random_crop.h"
#include "hwynn/data/synthetic.h"

namespace hwynn {
namespace {

constexpr char kEmnist[] = "emnist-";

void CopyPixels(std::span<const float> source, std::span<float> out) { std::ranges::copy(source, out.begin()); }

void CopyPixels(std::span<const uint8_t> source, std::span<float> out) {
  for (size_t i = 0; i < source.size(); ++i) out[i] = static_cast<float>(source[i]) / 255.0f;
}

// Images and labels in memory: Images and Labels are spans of the caller's, or vectors.
template <class Images, class Labels>
class ArrayDataset : public Dataset {
 public:
  ArrayDataset(const Shape& image_shape, Images images, Labels labels, std::vector<std::string> class_names)
      : image_shape_(image_shape),
        images_(std::move(images)),
        labels_(std::move(labels)),
        class_names_(std::move(class_names)) {
    Check(image_shape.rank() == 3 && image_shape.num_elements() > 0, "Dataset: image shape ", image_shape,
          " is not [H,W,C]");
    Check(!labels_.empty(), "Dataset: there is no image");
    const auto num_pixels = static_cast<size_t>(image_shape.num_elements());
    Check(images_.size() % num_pixels == 0 && images_.size() / num_pixels == labels_.size(),
          "Dataset: ", images_.size(), " values are not the ", labels_.size(), " images of ", image_shape,
          " that there are labels for");
    for (size_t i = 0; i < labels_.size(); ++i) {
      Check(labels_[i] >= 0 && labels_[i] < num_classes(), "Dataset: label ", labels_[i], " of image ", i,
            " is not one of ", num_classes(), " classes");
    }
  }

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  Shape image_shape() const override { return image_shape_; }
  const std::vector<std::string>& class_names() const override { return class_names_; }

  int32_t Label(int64_t index) const override {
    CheckIndex(index);
    return labels_[static_cast<size_t>(index)];
  }

  void Image(int64_t index, std::span<float> hwc) const override {
    CheckIndex(index);
    const auto num_pixels = static_cast<size_t>(image_shape_.num_elements());
    Check(hwc.size() == num_pixels, "Dataset::Image: ", hwc.size(), " values for an image of ", image_shape_);
    CopyPixels(std::span(images_).subspan(static_cast<size_t>(index) * num_pixels, num_pixels), hwc);
  }

 private:
  void CheckIndex(int64_t index) const {
    Check(index >= 0 && index < size(), "Dataset: there is no image ", index, " among ", size());
  }

  const Shape image_shape_;
  const Images images_;
  const Labels labels_;
  const std::vector<std::string> class_names_;
};

}  // namespace

void Dataset::TrainingImage(const ImageDraw& draw, std::span<float> hwc) const {
  Image(draw.index, hwc);
  if (draw.smallest_crop > 0.0) CropAtRandom(draw, image_shape(), hwc);
}

std::unique_ptr<Dataset> MemoryDataset(const Shape& image_shape, std::span<const uint8_t> images,
                                       std::span<const int32_t> labels, std::vector<std::string> class_names) {
  return std::make_unique<ArrayDataset<std::span<const uint8_t>, std::span<const int32_t>>>(image_shape, images, labels,
                                                                                            std::move(class_names));
}

std::unique_ptr<Dataset> MemoryDataset(const Shape& image_shape, std::span<const float> images,
                                       std::span<const int32_t> labels, std::vector<std::string> class_names) {
  return std::make_unique<ArrayDataset<std::span<const float>, std::span<const int32_t>>>(image_shape, images, labels,
                                                                                          std::move(class_names));
}

std::unique_ptr<Dataset> OwningDataset(const Shape& image_shape, std::vector<uint8_t> images,
                                       std::vector<int32_t> labels, std::vector<std::string> class_names) {
  return std::make_unique<ArrayDataset<std::vector<uint8_t>, std::vector<int32_t>>>(
      image_shape, std::move(images), std::move(labels), std::move(class_names));
}

std::unique_ptr<Dataset> OwningDataset(const Shape& image_shape, std::vector<float> images, std::vector<int32_t> labels,
                                       std::vector<std::string> class_names) {
  return std::make_unique<ArrayDataset<std::vector<float>, std::vector<int32_t>>>(
      image_shape, std::move(images), std::move(labels), std::move(class_names));
}

const std::vector<std::string>& DatasetNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list{"fashion-mnist", "mnist", "kmnist"};
    for (const std::string& split : EmnistSplits()) list.push_back(kEmnist + split);
    list.insert(list.end(), {"cifar10", "cifar100", "npz", "synthetic"});
    return list;
  }();
  return names;
}

const std::string& DatasetNamesText() {
  static const std::string text = [] {
    std::string list;
    for (const std::string& name : DatasetNames()) list += (list.empty() ? "" : ", ") + name;
    return list;
  }();
  return text;
}

DatasetSplits LoadDataset(const DatasetOptions& options) {
  if (options.name == "fashion-mnist") return LoadFashionMnist(options.directory);
  if (options.name == "mnist") return LoadMnist(options.directory);
  if (options.name == "kmnist") return LoadKmnist(options.directory);
  for (const std::string& split : EmnistSplits()) {
    if (options.name == kEmnist + split) return LoadEmnist(split, options.directory);
  }
  if (options.name == "cifar10") return LoadCifar10(options.directory);
  if (options.name == "cifar100") return LoadCifar100(options.directory);
  if (options.name == "npz") return LoadNpz(options.directory);
  if (options.name == "synthetic") return MakeSynthetic(options.synthetic, options.seed);
  throw std::invalid_argument(
      StrCat("LoadDataset: unknown data set \"", options.name, "\"; known: ", DatasetNamesText()));
}

}  // namespace hwynn
