#include "hwynn/data/random_crop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;

// In a square every part of up to 3/4 of the area fits, so that these areas are uniform.
TEST(RandomCropTest, AreaRatioAndPlaceAreTheOnesAskedFor) {
  constexpr int64_t kSize = 1000, kDraws = 4000;
  for (const double smallest : {0.08, 0.5}) {
    double least = 1.0, most = 0.0, below = 0.0, above = 0.0, lying = 0.0, high = 0.0, left = 0.0, places = 0.0;
    const double middle = 0.5 * (smallest + 0.74);
    for (int64_t index = 0; index < kDraws; ++index) {
      const CropRectangle part =
          DrawCrop({.seed = 1, .epoch = 2, .index = index, .smallest_crop = smallest}, kSize, kSize);
      ASSERT_GE(part.top, 0);
      ASSERT_GE(part.left, 0);
      ASSERT_LE(part.top + part.height, kSize);
      ASSERT_LE(part.left + part.width, kSize);
      const double area = static_cast<double>(part.height * part.width) / (kSize * kSize);
      const double ratio = static_cast<double>(part.width) / static_cast<double>(part.height);
      ASSERT_NEAR(area, std::clamp(area, smallest, 1.0), 0.002);
      ASSERT_NEAR(ratio, std::clamp(ratio, 0.75, 4.0 / 3.0), 0.005);
      least = std::min(least, area);
      most = std::max(most, area);
      below += area < middle ? 1.0 : 0.0;
      above += area >= middle && area < 0.74 ? 1.0 : 0.0;
      lying += part.width > part.height ? 1.0 : 0.0;
      if (area > 0.6) continue;  // there is much room
      places += 1.0;
      high += 2 * part.top < kSize - part.height ? 1.0 : 0.0;
      left += 2 * part.left < kSize - part.width ? 1.0 : 0.0;
    }
    EXPECT_LT(least, smallest + 0.01);
    EXPECT_GT(most, 0.95);
    EXPECT_NEAR(below / above, 1.0, 0.1);
    EXPECT_NEAR(lying / kDraws, 0.5, 0.05);
    EXPECT_NEAR(high / places, 0.5, 0.05);
    EXPECT_NEAR(left / places, 0.5, 0.05);
  }
}

TEST(RandomCropTest, WhereNothingFitsItIsTheMiddle) {
  // The whole area is asked for, which has none of the ratios.
  const ImageDraw whole{.smallest_crop = 1.0};
  EXPECT_EQ(DrawCrop(whole, 100, 400), (CropRectangle{0, 133, 100, 133}));
  EXPECT_EQ(DrawCrop(whole, 400, 100), (CropRectangle{133, 0, 133, 100}));
  EXPECT_EQ(DrawCrop(whole, 1, 1), (CropRectangle{0, 0, 1, 1}));
}

TEST(RandomCropTest, DependsOnSeedEpochAndIndexAlone) {
  const auto draw = [](int64_t seed, int64_t epoch, int64_t index) {
    return DrawCrop({seed, epoch, index, 0.08}, 1000, 1000);
  };
  const CropRectangle first = draw(1, 2, 3);
  EXPECT_EQ(draw(1, 2, 3), first);
  EXPECT_NE(draw(2, 2, 3), first);
  EXPECT_NE(draw(1, 1, 3), first);
  EXPECT_NE(draw(1, 2, 4), first);
}

// Along both axes, channel by channel: a plane stays the same plane, seen through the part.
TEST(RandomCropTest, EnlargesThePart) {
  constexpr int64_t kHeight = 12, kWidth = 9;
  const Shape shape{kHeight, kWidth, 2};
  std::vector<float> image;
  for (int64_t y = 0; y < kHeight; ++y) {
    for (int64_t x = 0; x < kWidth; ++x) {
      image.push_back(static_cast<float>(8 * y + x));
      image.push_back(static_cast<float>(y - 4 * x));
    }
  }
  for (int64_t index = 0; index < 50; ++index) {
    const ImageDraw draw{.index = index, .smallest_crop = 0.1};
    const CropRectangle part = DrawCrop(draw, kHeight, kWidth);
    std::vector<float> result = image;
    CropAtRandom(draw, shape, result);
    const auto at = [](int64_t t, int64_t begin, int64_t size, int64_t target) {
      const double scale = static_cast<double>(size) / static_cast<double>(target);
      return static_cast<double>(begin) +
             std::clamp((static_cast<double>(t) + 0.5) * scale - 0.5, 0.0, static_cast<double>(size - 1));
    };
    for (int64_t y = 0; y < kHeight; ++y) {
      for (int64_t x = 0; x < kWidth; ++x) {
        const double source_y = at(y, part.top, part.height, kHeight), source_x = at(x, part.left, part.width, kWidth);
        const auto i = static_cast<size_t>((y * kWidth + x) * 2);
        ASSERT_NEAR(result[i], 8.0 * source_y + source_x, 1e-4) << y << ' ' << x;
        ASSERT_NEAR(result[i + 1], source_y - 4.0 * source_x, 1e-4) << y << ' ' << x;
      }
    }
  }
}

TEST(RandomCropTest, TheWholeStaysAsItIs) {
  std::vector<float> image{1, 2, 3, 4, 5, 6, 7, 8, 9};
  CropAtRandom({.smallest_crop = 1.0}, {3, 3, 1}, image);
  EXPECT_EQ(image, (std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(RandomCropTest, RejectsWhatIsNoShare) {
  using Error = std::invalid_argument;
  for (const double share : {0.0, -0.5, 1.5}) {
    ExpectError<Error>([&] { DrawCrop({.smallest_crop = share}, 4, 4); }, {"smallest_crop"});
  }
  ExpectError<Error>([] { DrawCrop({.smallest_crop = 0.5}, 0, 4); }, {"0x4 pixels"});
}

}  // namespace
}  // namespace hwynn
