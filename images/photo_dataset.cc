#include "hwynn/images/photo_dataset.h"

#include <exception>
#include <optional>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/data/random_crop.h"
#include "hwynn/images/decoded_image.h"
#include "hwynn/images/image_cache.h"
#include "hwynn/images/transform.h"

namespace hwynn {
namespace {

constexpr int64_t kChannels = 3;

class PhotoDataset : public Dataset {
 public:
  PhotoDataset(PhotoFiles files, const PhotoOptions& options)
      : files_(std::move(files)), options_(options), cache_(size(), options.cache_bytes) {
    const int64_t image_size = options_.transform.image_size;
    Check(image_size > 0, "MakePhotoDataset: the transform has no image_size");
    CheckEvaluationTransform(options_.transform, image_shape());
    Check(files_.labels.size() == files_.paths.size(), "MakePhotoDataset: ", files_.paths.size(), " files have ",
          files_.labels.size(), " labels");
    for (const int32_t label : files_.labels) {
      Check(label >= 0 && label < num_classes(), "MakePhotoDataset: label ", label, " is not one of ", num_classes(),
            " classes");
    }
  }

  int64_t size() const override { return std::ssize(files_.paths); }
  Shape image_shape() const override {
    return {options_.transform.image_size, options_.transform.image_size, kChannels};
  }
  const std::vector<std::string>& class_names() const override { return files_.class_names; }

  int32_t Label(int64_t index) const override {
    CheckIndex(index);
    return files_.labels[static_cast<size_t>(index)];
  }

  void Image(int64_t index, std::span<float> hwc) const override {
    CheckIndex(index);
    if (!options_.keep_transformed) {
      WithDecoded(index, [&](const DecodedImage& image) { Write(ApplyTransform(image, options_.transform), hwc); });
    } else if (const DecodedImage* kept = cache_.Find(index)) {
      Write(*kept, hwc);
    } else {
      DecodedImage image = ApplyTransform(ReadImage(Path(index)), options_.transform);
      Write(image, hwc);
      cache_.Keep(index, std::move(image));
    }
  }

  void TrainingImage(const ImageDraw& draw, std::span<float> hwc) const override {
    if (draw.smallest_crop == 0.0) return Image(draw.index, hwc);
    CheckIndex(draw.index);
    WithDecoded(draw.index, [&](const DecodedImage& image) {
      const CropRectangle part = DrawCrop(draw, image.height, image.width);
      const int64_t side = options_.transform.image_size;
      Write(ResizedCrop(image, {part.top, part.left, part.height, part.width}, side, side,
                        options_.transform.interpolation),
            hwc);
    });
  }

 private:
  const std::string& Path(int64_t index) const { return files_.paths[static_cast<size_t>(index)]; }

  void CheckIndex(int64_t index) const {
    Check(index >= 0 && index < size(), "PhotoDataset: there is no image ", index, " among ", size());
  }

  template <class Function>
  void WithDecoded(int64_t index, const Function& function) const {
    const DecodedImage* kept = options_.keep_transformed ? nullptr : cache_.Find(index);
    if (kept != nullptr) return function(*kept);
    DecodedImage image = ReadImage(Path(index));
    function(image);
    if (!options_.keep_transformed) cache_.Keep(index, std::move(image));
  }

  static void Write(const DecodedImage& image, std::span<float> hwc) { ToInput(image, {}, hwc); }

  const PhotoFiles files_;
  const PhotoOptions options_;
  mutable ImageCache cache_;
};

}  // namespace

std::unique_ptr<Dataset> MakePhotoDataset(PhotoFiles files, const PhotoOptions& options) {
  return std::make_unique<PhotoDataset>(std::move(files), options);
}

std::vector<BrokenPhoto> TakeBrokenPhotos(PhotoFiles& files) {
  std::vector<std::optional<std::string>> reasons(files.paths.size());
  ParallelFor(std::ssize(files.paths), [&](int64_t i) {
    const auto index = static_cast<size_t>(i);
    try {
      ReadImage(files.paths[index]);
    } catch (const std::runtime_error& error) {
      reasons[index] = error.what();
    }
  });
  std::vector<BrokenPhoto> broken;
  const PhotoFiles all = std::exchange(files, {.paths = {}, .labels = {}, .class_names = files.class_names});
  for (size_t i = 0; i < all.paths.size(); ++i) {
    if (reasons[i]) {
      broken.push_back({all.paths[i], *reasons[i]});
    } else {
      files.paths.push_back(all.paths[i]);
      files.labels.push_back(all.labels[i]);
    }
  }
  return broken;
}

Standardization PhotographStandardization() {
  return {.mean = {0.485f, 0.456f, 0.406f}, .stddev = {0.229f, 0.224f, 0.225f}};
}

}  // namespace hwynn
