#include "hwynn/data/synthetic.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hwynn/core/parallel.h"
#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;

std::vector<float> ImageOf(const Dataset& dataset, int64_t index) {
  std::vector<float> image(static_cast<size_t>(dataset.image_shape().num_elements()));
  dataset.Image(index, image);
  return image;
}

// Mean squares of differences between pixels that lie apart by a few vectors: how stripes look without their phase,
// each divided by their mean so that contrast drops out.
std::vector<float> StripeFeatures(const std::vector<float>& image, int64_t height, int64_t width) {
  std::vector<float> features;
  for (int64_t dy = 0; dy <= 3; ++dy) {
    for (int64_t dx = 0; dx <= 3; ++dx) {
      double sum = 0.0;
      for (int64_t y = 0; y + dy < height; ++y) {
        for (int64_t x = 0; x + dx < width; ++x) {
          const auto at = [&](int64_t row, int64_t column) { return image[static_cast<size_t>(row * width + column)]; };
          sum += std::pow(at(y, x) - at(y + dy, x + dx), 2) + std::pow(at(y + dy, x) - at(y, x + dx), 2);
        }
      }
      features.push_back(static_cast<float>(sum / static_cast<double>((height - dy) * (width - dx))));
    }
  }
  float mean = 0.0f;
  for (const float feature : features) mean += feature / static_cast<float>(features.size());
  for (float& feature : features) feature /= mean;
  return features;
}

// The part of test images whose class has the nearest mean among training images.
template <class Features>
double NearestMeanAccuracy(const DatasetSplits& splits, const Features& features) {
  std::vector<std::vector<float>> means(10);
  for (int64_t index = 0; index < splits.train->size(); ++index) {
    const std::vector<float> values = features(ImageOf(*splits.train, index));
    std::vector<float>& mean = means[static_cast<size_t>(splits.train->Label(index))];
    mean.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) mean[i] += values[i] * 10.0f / static_cast<float>(splits.train->size());
  }
  int64_t correct = 0;
  for (int64_t index = 0; index < splits.test->size(); ++index) {
    const std::vector<float> values = features(ImageOf(*splits.test, index));
    double nearest = INFINITY;
    int32_t label = -1;
    for (int32_t candidate = 0; candidate < 10; ++candidate) {
      double distance = 0.0;
      for (size_t i = 0; i < values.size(); ++i) {
        distance += std::pow(values[i] - means[static_cast<size_t>(candidate)][i], 2);
      }
      if (distance < nearest) nearest = distance, label = candidate;
    }
    correct += label == splits.test->Label(index);
  }
  return static_cast<double>(correct) / static_cast<double>(splits.test->size());
}

TEST(SyntheticTest, TheClassIsInTheStripesAndNotInThePixels) {
  const DatasetSplits splits = MakeSynthetic({.train_size = 2000, .test_size = 1000}, 1);
  const double pixels = NearestMeanAccuracy(splits, [](std::vector<float> image) { return image; });
  const double stripes =
      NearestMeanAccuracy(splits, [](const std::vector<float>& image) { return StripeFeatures(image, 28, 28); });
  // Half of the images agree in sign with what is left of the stripes in their class's mean: so not quite chance.
  EXPECT_LT(pixels, 0.3);
  EXPECT_GT(stripes, 0.7);
}

TEST(SyntheticTest, DependsOnSeedSplitAndIndexAlone) {
  const auto make = [](int64_t seed, int64_t train_size) {
    return MakeSynthetic({.train_size = train_size, .test_size = 50, .image_shape = {9, 8, 3}, .num_classes = 4}, seed);
  };
  const DatasetSplits splits = make(7, 100);
  EXPECT_EQ(splits.train->size(), 100);
  EXPECT_EQ(splits.test->size(), 50);
  EXPECT_EQ(splits.train->image_shape(), (Shape{9, 8, 3}));
  EXPECT_EQ(splits.train->num_classes(), 4);
  for (const int threads : {1, 2, 3}) {
    RunWithThreads(threads, [&] {
      const DatasetSplits again = make(7, 200);
      for (int64_t index = 0; index < 100; ++index) {
        EXPECT_EQ(splits.train->Label(index), index % 4);
        ASSERT_EQ(ImageOf(*again.train, index), ImageOf(*splits.train, index));
      }
    });
  }
  const DatasetSplits other = make(8, 100);
  for (int64_t index = 0; index < 50; ++index) {
    EXPECT_NE(ImageOf(*splits.train, index), ImageOf(*splits.test, index));
    EXPECT_NE(ImageOf(*splits.train, index), ImageOf(*splits.train, index + 4));
    EXPECT_NE(ImageOf(*splits.train, index), ImageOf(*other.train, index));
  }
}

TEST(SyntheticTest, RejectsWhatItCanNotDraw) {
  using Error = std::invalid_argument;
  ExpectError<Error>([] { MakeSynthetic({.train_size = 0}, 1); }, {"0 training"});
  ExpectError<Error>([] { MakeSynthetic({.test_size = -1}, 1); }, {"-1 test"});
  ExpectError<Error>([] { MakeSynthetic({.image_shape = {7, 8, 1}}, 1); }, {"[7,8,1]"});
  ExpectError<Error>([] { MakeSynthetic({.image_shape = {8, 8}}, 1); }, {"[8,8]"});
  ExpectError<Error>([] { MakeSynthetic({.num_classes = 1}, 1); }, {"1 classes"});
  ExpectError<Error>([] { MakeSynthetic({.train_size = int64_t{1} << 40}, 1); }, {"2^40"});
}

}  // namespace
}  // namespace hwynn
