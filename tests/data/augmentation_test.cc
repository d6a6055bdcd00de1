#include "hwynn/data/augmentation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;

constexpr int64_t kHeight = 7;
constexpr int64_t kWidth = 5;
constexpr int64_t kChannels = 3;
const Shape kShape{kHeight, kWidth, kChannels};
const std::vector<float> kPadding{-1, -2, -3};

std::vector<float> Numbers(const Shape& shape) {
  std::vector<float> image(static_cast<size_t>(shape.num_elements()));
  std::iota(image.begin(), image.end(), 1.0f);
  return image;
}

// What cropping at (dy, dx) and flipping must give, by definition.
std::vector<float> Expected(const std::vector<float>& image, const Shape& shape, int64_t dy, int64_t dx, bool flip) {
  const int64_t height = shape[0], width = shape[1], channels = shape[2];
  std::vector<float> out;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t source_y = y + dy;
      const int64_t source_x = (flip ? width - 1 - x : x) + dx;
      const bool inside = source_y >= 0 && source_y < height && source_x >= 0 && source_x < width;
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t source = (source_y * width + source_x) * channels + c;
        out.push_back(inside ? image[static_cast<size_t>(source)] : kPadding[static_cast<size_t>(c)]);
      }
    }
  }
  return out;
}

// All that cropping and flipping may give.
std::set<std::vector<float>> AllExpected(const std::vector<float>& image, const Shape& shape, int64_t pad, bool flip) {
  std::set<std::vector<float>> possible;
  for (int64_t dy = -pad; dy <= pad; ++dy) {
    for (int64_t dx = -pad; dx <= pad; ++dx) {
      possible.insert(Expected(image, shape, dy, dx, false));
      if (flip) possible.insert(Expected(image, shape, dy, dx, true));
    }
  }
  return possible;
}

// Every result is one of the crops and flips, and each of them turns up.
TEST(AugmentationTest, CropAndFlipGiveEveryWindowAndNothingElse) {
  const std::vector<float> image = Numbers(kShape);
  for (const int64_t pad : {0, 1, 2, 6}) {  // 6: wider than the image
    for (const bool flip : {false, true}) {
      const std::set<std::vector<float>> possible = AllExpected(image, kShape, pad, flip);
      std::set<std::vector<float>> seen;
      for (int64_t index = 0; index < 4000; ++index) {
        std::vector<float> result = image;
        Augment({.pad_crop = pad, .horizontal_flip = flip}, {1, 2, index}, kShape, kPadding, result);
        ASSERT_TRUE(possible.contains(result)) << "pad " << pad << " flip " << flip << " index " << index;
        seen.insert(std::move(result));
      }
      EXPECT_EQ(seen.size(), possible.size()) << "pad " << pad << " flip " << flip;
    }
  }
}

TEST(AugmentationTest, PadsWithZeroByDefault) {
  for (int64_t index = 0; index < 50; ++index) {
    std::vector<float> image(static_cast<size_t>(kShape.num_elements()), 1.0f);
    Augment({.pad_crop = 2}, {1, 2, index}, kShape, {}, image);
    for (const float value : image) ASSERT_TRUE(value == 0.0f || value == 1.0f);
  }
}

TEST(AugmentationTest, DependsOnSeedEpochAndIndexAlone) {
  const AugmentationOptions options{.pad_crop = 2, .horizontal_flip = true, .random_erasing = 1.0};
  const auto run = [&](const ImageDraw& draw) {
    std::vector<float> image = Numbers({28, 28, 3});
    Augment(options, draw, {28, 28, 3}, kPadding, image);
    return image;
  };
  const std::vector<float> result = run({5, 6, 7});
  EXPECT_NE(run({4, 6, 7}), result);
  EXPECT_NE(run({5, 5, 7}), result);
  EXPECT_NE(run({5, 6, 6}), result);
  EXPECT_NE(run({5, 7, 6}), result);
  EXPECT_EQ(run({5, 6, 7}), result);
}

struct Rectangle {
  int64_t height = 0, width = 0;
};

// The bounding box of what differs from 1, which must be all of it.
Rectangle Erased(const std::vector<float>& image, const Shape& shape) {
  const auto changed = [&](int64_t y, int64_t x) {
    const float* pixel = image.data() + (y * shape[1] + x) * shape[2];
    const auto count = std::count_if(pixel, pixel + shape[2], [](float value) { return value != 1.0f; });
    EXPECT_TRUE(count == 0 || count == shape[2]) << "a pixel is erased in part";
    return count != 0;
  };
  int64_t top = shape[0], left = shape[1], bottom = -1, right = -1, count = 0;
  for (int64_t y = 0; y < shape[0]; ++y) {
    for (int64_t x = 0; x < shape[1]; ++x) {
      if (!changed(y, x)) continue;
      top = std::min(top, y), bottom = std::max(bottom, y), left = std::min(left, x), right = std::max(right, x);
      ++count;
    }
  }
  if (count == 0) return {};
  EXPECT_EQ(count, (bottom - top + 1) * (right - left + 1)) << "not a full rectangle";
  return {bottom - top + 1, right - left + 1};
}

TEST(AugmentationTest, ErasesRectanglesOfTheGivenAreaAndAspect) {
  const Shape shape{60, 50, 2};
  for (const ErasingFill fill : {ErasingFill::kMean, ErasingFill::kNoise}) {
    int64_t lying = 0;
    int64_t standing = 0;
    std::set<int64_t> rows, columns;  // erased at least once
    double smallest = 1.0, largest = 0.0, sum = 0.0, squares = 0.0, values = 0.0;
    for (int64_t index = 0; index < 2000; ++index) {
      std::vector<float> image(static_cast<size_t>(shape.num_elements()), 1.0f);
      Augment({.random_erasing = 1.0, .erasing_fill = fill}, {3, 4, index}, shape, {}, image);
      const auto [height, width] = Erased(image, shape);
      if (height == 0) continue;  // ten rectangles didn't fit
      const double area = static_cast<double>(height * width) / 3000.0;
      smallest = std::min(smallest, area);
      largest = std::max(largest, area);
      // Rounding to whole pixels moves area and aspect a little.
      ASSERT_GE(static_cast<double>(height) + 0.5, 0.3 * (static_cast<double>(width) - 0.5));
      ASSERT_LE(static_cast<double>(height) - 0.5, (static_cast<double>(width) + 0.5) / 0.3);
      (height > width ? standing : lying) += 1;
      for (int64_t i = 0; i < shape.num_elements(); ++i) {
        const float value = image[static_cast<size_t>(i)];
        if (value == 1.0f) continue;
        rows.insert(i / 100);
        columns.insert(i / 2 % 50);
        sum += value, squares += double{value} * value, values += 1.0;
      }
    }
    EXPECT_EQ(rows.size(), 60u);
    EXPECT_EQ(columns.size(), 50u);
    EXPECT_GE(smallest, 0.015);
    EXPECT_LE(smallest, 0.03);
    EXPECT_LE(largest, 0.42);
    EXPECT_GE(largest, 0.38);
    EXPECT_GT(lying + standing, 1950);
    EXPECT_NEAR(static_cast<double>(lying) / static_cast<double>(lying + standing), 0.5, 0.06);
    EXPECT_NEAR(sum / values, 0.0, 0.01);
    EXPECT_NEAR(squares / values, fill == ErasingFill::kNoise ? 1.0 : 0.0, 0.01);
  }
}

TEST(AugmentationTest, ErasesWithTheGivenProbability) {
  const Shape shape{28, 28, 1};
  int64_t erased = 0;
  for (int64_t index = 0; index < 4000; ++index) {
    std::vector<float> image(784, 1.0f);
    Augment({.random_erasing = 0.25}, {3, 4, index}, shape, {}, image);
    erased += Erased(image, shape).height > 0;
  }
  EXPECT_NEAR(static_cast<double>(erased), 1000.0, 110.0);  // four standard deviations
}

TEST(AugmentationTest, OptionsDoNotChangeEachOthersDraws) {
  // With mean filling, an erased image is the same without erasing but for the rectangle.
  const Shape shape{28, 28, 1};
  for (int64_t index = 0; index < 100; ++index) {
    std::vector<float> plain = Numbers(shape);
    std::vector<float> erased = plain;
    const std::vector<float> padding{1.0f};
    Augment({.pad_crop = 3, .horizontal_flip = true}, {1, 1, index}, shape, padding, plain);
    Augment({.pad_crop = 3, .horizontal_flip = true, .random_erasing = 1.0, .erasing_fill = ErasingFill::kMean},
            {1, 1, index}, shape, padding, erased);
    for (size_t i = 0; i < plain.size(); ++i) ASSERT_TRUE(erased[i] == plain[i] || erased[i] == 0.0f);
  }
}

// A rectangle is smaller than the image each way, so that images of one row or column keep all their pixels.
TEST(AugmentationTest, SmallestImages) {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{1, 3, 2}, Shape{3, 1, 1}}) {
    const std::vector<float> numbers = Numbers(shape);
    const std::span padding = std::span(kPadding).first(static_cast<size_t>(shape[2]));
    const std::set<std::vector<float>> possible = AllExpected(numbers, shape, 2, true);
    std::set<std::vector<float>> seen;
    for (int64_t index = 0; index < 400; ++index) {
      std::vector<float> image = numbers;
      Augment({.pad_crop = 2, .horizontal_flip = true, .random_erasing = 1.0}, {1, 1, index}, shape, padding, image);
      seen.insert(std::move(image));
    }
    EXPECT_EQ(seen, possible) << shape;
  }
  const Shape shape{2, 2, 1};
  std::set<std::vector<float>> seen;
  for (int64_t index = 0; index < 400; ++index) {
    std::vector<float> image(4, 1.0f);
    Augment({.random_erasing = 1.0, .erasing_fill = ErasingFill::kMean}, {1, 1, index}, shape, {}, image);
    const Rectangle erased = Erased(image, shape);
    if (erased.height == 0) continue;  // ten rectangles didn't fit
    EXPECT_EQ(erased.height * erased.width, 1) << index;
    seen.insert(std::move(image));
  }
  EXPECT_EQ(seen, (std::set<std::vector<float>>{{0, 1, 1, 1}, {1, 0, 1, 1}, {1, 1, 0, 1}, {1, 1, 1, 0}}));
}

TEST(AugmentationTest, ColorsAreChangedInBytes) {
  const Shape shape{5, 4, 3};
  std::vector<float> image, changed;
  std::vector<uint8_t> bytes;
  for (int i = 0; i < 60; ++i) {
    bytes.push_back(static_cast<uint8_t>(4 * i + 7));
    image.push_back(static_cast<float>(bytes.back()) / 255.0f);
  }
  const AugmentationOptions options{.color_jitter = {0.4, 0.4, 0.4, 0.1}, .rand_augment = {.operations = 2}};
  const ImageDraw draw{1, 2, 3};
  changed = image;
  ChangeColors({.pad_crop = 3}, draw, shape, changed);
  EXPECT_EQ(changed, image);
  ChangeColors(options, draw, shape, changed);
  const ByteImage view{5, 4, 3, bytes};
  JitterColors(options.color_jitter, draw, view);
  RandAugment(options.rand_augment, draw, view);
  for (size_t i = 0; i < 60; ++i) EXPECT_EQ(changed[i], static_cast<float>(bytes[i]) / 255.0f) << i;
  EXPECT_NE(changed, image);

  std::vector<float> outside{-1.0f, 0.5f, 2.0f};
  ChangeColors({.color_jitter = {.hue = 1e-9}}, draw, {1, 1, 3}, outside);
  EXPECT_EQ(outside, (std::vector<float>{0.0f, 128.0f / 255.0f, 1.0f}));
}

TEST(AugmentationTest, RejectsOptionsOutOfRange) {
  using Error = std::invalid_argument;
  EXPECT_NO_THROW(CheckAugmentation({.pad_crop = 4, .random_erasing = 1.0}));
  ExpectError<Error>([] { CheckAugmentation({.pad_crop = -1}); }, {"pad_crop -1"});
  ExpectError<Error>([] { CheckAugmentation({.pad_crop = int64_t{1} << 40}); }, {"pad_crop"});
  ExpectError<Error>([] { CheckAugmentation({.random_erasing = 1.5}); }, {"random_erasing 1.5"});
  EXPECT_NO_THROW(CheckAugmentation({.color_jitter = {.hue = 0.5}, .rand_augment = {14, 30}, .mixup = 8.0}));
  ExpectError<Error>([] { CheckAugmentation({.random_resized_crop = 1.5}); }, {"random_resized_crop 1.5"});
  ExpectError<Error>([] { CheckAugmentation({.random_resized_crop = -0.1}); }, {"random_resized_crop -0.1"});
  ExpectError<Error>([] { CheckAugmentation({.color_jitter = {.contrast = -1.0}}); }, {"color_jitter -1"});
  ExpectError<Error>([] { CheckAugmentation({.color_jitter = {.hue = 0.6}}); }, {"hue 0.6"});
  ExpectError<Error>([] { CheckAugmentation({.rand_augment = {15, 9}}); }, {"15 operations"});
  ExpectError<Error>([] { CheckAugmentation({.rand_augment = {-1, 9}}); }, {"-1 operations"});
  ExpectError<Error>([] { CheckAugmentation({.rand_augment = {2, 31}}); }, {"magnitude 31"});
  ExpectError<Error>([] { CheckAugmentation({.mixup = -0.5}); }, {"mixup -0.5"});
  EXPECT_NO_THROW(CheckAugmentation({.mixup = 1.0}, 2));
  ExpectError<Error>([] { CheckAugmentation({.color_jitter = {.hue = 0.1}}, 2); }, {"1 or 3 channels, not of 2"});
  ExpectError<Error>([] { CheckAugmentation({.rand_augment = {1, 9}}, 4); }, {"1 or 3 channels, not of 4"});
  ExpectError<Error>([] { CheckAugmentation({.random_erasing = std::numeric_limits<double>::quiet_NaN()}); }, {"nan"});
}

}  // namespace
}  // namespace hwynn
