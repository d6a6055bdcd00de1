#include "hwynn/data/dataset.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;

const std::vector<std::string> kNames{"cat", "dog", "owl"};
constexpr std::array<int32_t, 2> kLabels{2, 0};

template <class T>
std::vector<T> Count(size_t count) {
  std::vector<T> values(count);
  std::iota(values.begin(), values.end(), T{10});
  return values;
}

std::vector<float> ImageOf(const Dataset& dataset, int64_t index) {
  std::vector<float> image(static_cast<size_t>(dataset.image_shape().num_elements()));
  dataset.Image(index, image);
  return image;
}

TEST(DatasetTest, BytesAreScaledToOne) {
  std::vector<uint8_t> images = Count<uint8_t>(24);
  images[23] = 255;
  const auto borrowed = MemoryDataset({2, 3, 2}, images, kLabels, kNames);
  const auto owning = OwningDataset({2, 3, 2}, images, {kLabels.begin(), kLabels.end()}, kNames);
  for (const Dataset* dataset : {borrowed.get(), owning.get()}) {
    EXPECT_EQ(dataset->size(), 2);
    EXPECT_EQ(dataset->image_shape(), (Shape{2, 3, 2}));
    EXPECT_EQ(dataset->class_names(), kNames);
    EXPECT_EQ(dataset->num_classes(), 3);
    EXPECT_EQ(dataset->Label(0), 2);
    EXPECT_EQ(dataset->Label(1), 0);
    for (size_t image = 0; image < 2; ++image) {
      const std::vector<float> values = ImageOf(*dataset, static_cast<int64_t>(image));
      for (size_t i = 0; i < 12; ++i) EXPECT_EQ(values[i], static_cast<float>(images[image * 12 + i]) / 255.0f);
    }
    EXPECT_EQ(ImageOf(*dataset, 1).back(), 1.0f);
  }
}

TEST(DatasetTest, FloatsStayAsTheyAre) {
  const std::vector<float> images = Count<float>(24);
  const auto dataset = MemoryDataset({2, 3, 2}, images, kLabels, kNames);
  EXPECT_EQ(ImageOf(*dataset, 1), std::vector<float>(images.begin() + 12, images.end()));
}

TEST(DatasetTest, RejectsWhatDoesNotFit) {
  const std::vector<uint8_t> images = Count<uint8_t>(24);
  const auto make = [&](const Shape& shape, size_t num_values, const std::vector<int32_t>& labels) {
    return [=] { MemoryDataset(shape, std::span(images).first(num_values), labels, kNames); };
  };
  using Error = std::invalid_argument;
  ExpectError<Error>(make({2, 3, 2}, 24, {0}), {"24 values", "1 images of [2,3,2]"});
  ExpectError<Error>(make({2, 3, 2}, 23, {0, 1}), {"23 values"});
  ExpectError<Error>(make({2, 3, 2}, 0, {}), {"no image"});
  ExpectError<Error>(make({2, 3}, 24, {0, 1, 2, 0}), {"[2,3] is not [H,W,C]"});
  ExpectError<Error>(make({2, 0, 2}, 0, {0}), {"[2,0,2] is not [H,W,C]"});
  ExpectError<Error>(make({2, 3, 2}, 24, {0, 3}), {"label 3 of image 1", "3 classes"});
  ExpectError<Error>(make({2, 3, 2}, 24, {-1, 0}), {"label -1 of image 0"});

  const auto dataset = MemoryDataset({2, 3, 2}, images, kLabels, kNames);
  std::vector<float> image(12);
  ExpectError<Error>([&] { dataset->Image(2, image); }, {"no image 2 among 2"});
  ExpectError<Error>([&] { dataset->Label(-1); }, {"no image -1"});
  ExpectError<Error>([&] { dataset->Image(0, std::span(image).first(11)); }, {"11 values", "[2,3,2]"});
}

TEST(DatasetTest, UnknownNameListsTheKnownOnes) {
  ExpectError<std::invalid_argument>(
      [] { LoadDataset({.name = "fashion"}); },
      {"\"fashion\"", "fashion-mnist, mnist, kmnist, emnist-letters, ", "cifar10, cifar100, npz, synthetic"});
}

TEST(DatasetTest, EveryNameIsKnown) {
  const testing::TempFolder folder;
  for (const std::string& name : DatasetNames()) {
    if (name == "synthetic") {
      EXPECT_EQ(LoadDataset({.name = name, .synthetic = {.train_size = 20, .test_size = 10}}).train->size(), 20);
    } else {
      // Known, but its files aren't here.
      ExpectError([&] { LoadDataset({.name = name, .directory = folder / "none"}); }, {folder / "none"});
    }
  }
}

}  // namespace
}  // namespace hwynn
