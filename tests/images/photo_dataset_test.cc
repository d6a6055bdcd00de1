#include "hwynn/images/photo_dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/data/loader.h"
#include "hwynn/data/random_crop.h"
#include "hwynn/images/decoded_image.h"
#include "hwynn/images/transform.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/png.h"

namespace hwynn {
namespace {

using testing::ExpectError;
using testing::TempFolder;

constexpr int64_t kSide = 16;
const EvaluationTransform kTransform{.image_size = kSide, .resize = 18, .interpolation = Interpolation::kBilinear};

class PhotoDatasetTest : public ::testing::Test {
 protected:
  PhotoDatasetTest() {
    files_.class_names = {"across", "along"};
    for (uint32_t i = 0; i < 8; ++i) {
      const std::string name = std::to_string(i) + ".png";
      files_.paths.push_back(folder_.Write(name, testing::MakeStripes(20 + 3 * i, 40 - 2 * i, i)));
      files_.labels.push_back(static_cast<int32_t>(i % 2));
    }
  }

  std::vector<float> Bytes(const DecodedImage& image) const {
    std::vector<float> values;
    for (const uint8_t byte : image.pixels) values.push_back(static_cast<float>(byte) / 255.0f);
    return values;
  }

  TempFolder folder_;
  PhotoFiles files_;
};

std::vector<float> ImageOf(const Dataset& dataset, int64_t index) {
  std::vector<float> values(static_cast<size_t>(dataset.image_shape().num_elements()));
  dataset.Image(index, values);
  return values;
}

std::vector<float> TrainingImageOf(const Dataset& dataset, const ImageDraw& draw) {
  std::vector<float> values(static_cast<size_t>(dataset.image_shape().num_elements()));
  dataset.TrainingImage(draw, values);
  return values;
}

TEST_F(PhotoDatasetTest, ImagesAreTransformedAsForEvaluation) {
  const auto dataset = MakePhotoDataset(files_, {.transform = kTransform});
  EXPECT_EQ(dataset->size(), 8);
  EXPECT_EQ(dataset->image_shape(), (Shape{kSide, kSide, 3}));
  EXPECT_EQ(dataset->class_names(), files_.class_names);
  for (int64_t i = 0; i < 8; ++i) {
    EXPECT_EQ(dataset->Label(i), i % 2);
    const DecodedImage decoded = ReadImage(files_.paths[static_cast<size_t>(i)]);
    EXPECT_EQ(ImageOf(*dataset, i), Bytes(ApplyTransform(decoded, kTransform)));
    EXPECT_EQ(TrainingImageOf(*dataset, {.seed = 1, .epoch = 2, .index = i}), ImageOf(*dataset, i));
  }
}

TEST_F(PhotoDatasetTest, TrainingImagesAreTheDrawnPartsOfTheWholePhotograph) {
  const auto dataset = MakePhotoDataset(files_, {.transform = kTransform});
  for (int64_t i = 0; i < 8; ++i) {
    for (const int64_t epoch : {0, 1}) {
      const ImageDraw draw{.seed = 1, .epoch = epoch, .index = i, .smallest_crop = 0.08};
      const DecodedImage decoded = ReadImage(files_.paths[static_cast<size_t>(i)]);
      const CropRectangle part = DrawCrop(draw, decoded.height, decoded.width);
      const DecodedImage want = ResizedCrop(decoded, {part.top, part.left, part.height, part.width}, kSide, kSide);
      EXPECT_EQ(TrainingImageOf(*dataset, draw), Bytes(want));
    }
  }
}

TEST_F(PhotoDatasetTest, TheSameBitsWithAnyCacheAndNumberOfThreads) {
  struct Kept {
    int64_t bytes;
    bool transformed;
  };
  std::vector<std::vector<float>> first;
  for (const Kept& kept : {Kept{0, false}, Kept{1 << 20, false}, Kept{7000, false}, Kept{1 << 20, true}}) {
    for (const int threads : {1, 3}) {
      std::vector<std::vector<float>> batches;
      RunWithThreads(threads, [&] {
        const auto dataset = MakePhotoDataset(
            files_, {.transform = kTransform, .cache_bytes = kept.bytes, .keep_transformed = kept.transformed});
        for (const bool training : {true, false}) {
          Loader loader(*dataset, {.batch_size = 3,
                                   .seed = 5,
                                   .drop_last = false,
                                   .training = training,
                                   .augmentation = {.random_resized_crop = 0.3, .horizontal_flip = true}});
          for (const int64_t epoch : {0, 1, 2}) {
            loader.StartEpoch(epoch);
            while (const Batch* batch = loader.Next()) {
              batches.emplace_back(batch->images.span().begin(), batch->images.span().end());
            }
          }
        }
      });
      EXPECT_EQ(batches.size(), 18u);
      if (first.empty()) first = batches;
      EXPECT_TRUE(batches == first) << kept.bytes << ' ' << kept.transformed << ' ' << threads;
    }
  }
}

TEST_F(PhotoDatasetTest, KeptImagesAreNotReadAgain) {
  const auto decoded = MakePhotoDataset(files_, {.transform = kTransform, .cache_bytes = 1 << 20});
  const auto transformed =
      MakePhotoDataset(files_, {.transform = kTransform, .cache_bytes = 1 << 20, .keep_transformed = true});
  const auto none = MakePhotoDataset(files_, {.transform = kTransform});
  const ImageDraw draw{.index = 3, .smallest_crop = 0.1};
  const std::vector<float> image = ImageOf(*decoded, 3), drawn = TrainingImageOf(*decoded, draw);
  EXPECT_EQ(ImageOf(*transformed, 3), image);
  EXPECT_EQ(ImageOf(*none, 3), image);
  std::filesystem::remove(files_.paths[3]);
  EXPECT_EQ(ImageOf(*decoded, 3), image);
  EXPECT_EQ(TrainingImageOf(*decoded, draw), drawn);
  EXPECT_EQ(ImageOf(*transformed, 3), image);
  ExpectError([&] { ImageOf(*none, 3); }, {"3.png"});
  ExpectError([&] { TrainingImageOf(*transformed, draw); }, {"3.png"});
}

TEST_F(PhotoDatasetTest, BrokenFilesAreNamed) {
  folder_.Write("2.png", {'n', 'o', 'n', 'e'});
  testing::Bytes cut = testing::ReadBytes(files_.paths[5]);
  cut.resize(cut.size() / 2);
  folder_.Write("5.png", cut);
  const auto dataset = MakePhotoDataset(files_, {.transform = kTransform});
  ExpectError([&] { ImageOf(*dataset, 2); }, {files_.paths[2]});
  Loader loader(*dataset, {.batch_size = 8, .shuffle = false});
  loader.StartEpoch(0);
  ExpectError([&] { loader.Next(); }, {files_.paths[2]});

  PhotoFiles sound = files_;
  const std::vector<BrokenPhoto> broken = TakeBrokenPhotos(sound);
  ASSERT_EQ(broken.size(), 2u);
  EXPECT_EQ(broken[0].path, files_.paths[2]);
  EXPECT_EQ(broken[1].path, files_.paths[5]);
  for (const BrokenPhoto& photo : broken) EXPECT_EQ(photo.reason.find(photo.path + ": "), 0u) << photo.reason;
  EXPECT_EQ(sound.paths.size(), 6u);
  EXPECT_EQ(sound.labels, (std::vector<int32_t>{0, 1, 1, 0, 0, 1}));
  EXPECT_EQ(sound.class_names, files_.class_names);
  EXPECT_TRUE(TakeBrokenPhotos(sound).empty());
}

TEST_F(PhotoDatasetTest, RejectsWhatIsNoDataSet) {
  using Error = std::invalid_argument;
  ExpectError<Error>([&] { MakePhotoDataset(files_, {.transform = {}}); }, {"image_size"});
  ExpectError<Error>([&] { MakePhotoDataset(files_, {.transform = {.image_size = 8, .resize = 4}}); }, {"resize"});
  ExpectError<Error>([&] { MakePhotoDataset(files_, {.cache_bytes = -1}); }, {"-1 bytes"});
  files_.labels[7] = 2;
  ExpectError<Error>([&] { MakePhotoDataset(files_, {}); }, {"label 2", "2 classes"});
  files_.labels.pop_back();
  ExpectError<Error>([&] { MakePhotoDataset(files_, {}); }, {"8 files have 7 labels"});
  files_.paths.pop_back();
  const auto dataset = MakePhotoDataset(files_, {.transform = kTransform});
  ExpectError<Error>([&] { ImageOf(*dataset, 7); }, {"no image 7 among 7"});
  ExpectError<Error>([&] { TrainingImageOf(*dataset, {.index = -1, .smallest_crop = 0.5}); }, {"no image -1"});
  ExpectError<Error>([&] { dataset->Label(7); }, {"no image 7"});
}

TEST(PhotographStandardizationTest, IsImageNets) {
  const Standardization standardization = PhotographStandardization();
  EXPECT_EQ(standardization.mean, (std::vector<float>{0.485f, 0.456f, 0.406f}));
  EXPECT_EQ(standardization.stddev, (std::vector<float>{0.229f, 0.224f, 0.225f}));
}

}  // namespace
}  // namespace hwynn
