#include "hwynn/data/rand_augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::ExpectError;
using enum AugmentOperation;

constexpr int64_t kMost = 30;

// A key of sets; GCC 12 warns of comparisons of vectors of bytes.
std::string Text(const Bytes& bytes) { return {bytes.begin(), bytes.end()}; }

Bytes Numbered(int64_t count) {
  Bytes bytes;
  for (int64_t i = 0; i < count; ++i) bytes.push_back(static_cast<uint8_t>(i + 1));
  return bytes;
}

// 20 × 20 pixels of three channels, which every operation changes.
Bytes Varied() {
  Bytes bytes;
  for (int64_t i = 0; i < 400 * 3; ++i) bytes.push_back(static_cast<uint8_t>(i * i % 191 + i % 3 * 20));
  return bytes;
}

Bytes Result(AugmentOperation operation, int64_t magnitude, bool negative, Bytes bytes, int64_t height, int64_t width,
             int64_t channels = 1) {
  Apply(operation, magnitude, negative, {height, width, channels, bytes});
  return bytes;
}

TEST(RandAugmentTest, Shears) {
  // Row y is moved by 0.3·(y + 1/2) pixels, rounded: 0.15, 0.45, 0.75, 1.05.
  EXPECT_EQ(Result(kShearX, kMost, false, Numbered(16), 4, 4),
            (Bytes{1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 0, 14, 15, 16, 0}));
  EXPECT_EQ(Result(kShearX, kMost, true, Numbered(16), 4, 4),
            (Bytes{1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 10, 11, 0, 13, 14, 15}));
  EXPECT_EQ(Result(kShearY, kMost, false, Numbered(16), 4, 4),
            (Bytes{1, 2, 7, 8, 5, 6, 11, 12, 9, 10, 15, 16, 13, 14, 0, 0}));
  EXPECT_EQ(Result(kShearX, 0, false, Numbered(16), 4, 4), Numbered(16));
}

TEST(RandAugmentTest, Translates) {
  // ⌊150/331·4⌋ = 1 pixel, with all channels.
  EXPECT_EQ(Result(kTranslateX, kMost, false, Numbered(12), 1, 4, 3), (Bytes{0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(Result(kTranslateX, kMost, true, Numbered(12), 1, 4, 3), (Bytes{4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 0}));
  EXPECT_EQ(Result(kTranslateY, kMost, false, Numbered(8), 4, 2), (Bytes{0, 0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(Result(kTranslateY, kMost, true, Numbered(8), 4, 2), (Bytes{3, 4, 5, 6, 7, 8, 0, 0}));
  EXPECT_EQ(Result(kTranslateX, 15, false, Numbered(4), 1, 4), Numbered(4));  // ⌊0.9⌋
}

TEST(RandAugmentTest, RotatesAboutTheCenter) {
  constexpr int64_t kSize = 7;
  const Bytes source = Numbered(kSize * kSize);
  constexpr double kCos = 0.93969262078590838, kSin = 0.34202014332566873;  // of 20 degrees
  for (const bool negative : {false, true}) {
    const Bytes result = Result(kRotate, 20, negative, source, kSize, kSize);
    for (int64_t y = 0; y < kSize; ++y) {
      for (int64_t x = 0; x < kSize; ++x) {
        const double dx = static_cast<double>(x) - 3.0, dy = static_cast<double>(y) - 3.0;
        const double sin = negative ? -kSin : kSin;
        const auto from_x = static_cast<int64_t>(std::floor(3.5 + kCos * dx - sin * dy));
        const auto from_y = static_cast<int64_t>(std::floor(3.5 + sin * dx + kCos * dy));
        const bool inside = from_x >= 0 && from_x < kSize && from_y >= 0 && from_y < kSize;
        const uint8_t want = inside ? source[static_cast<size_t>(from_y * kSize + from_x)] : uint8_t{0};
        EXPECT_EQ(result[static_cast<size_t>(y * kSize + x)], want) << y << ' ' << x;
      }
    }
    EXPECT_EQ(result[24], source[24]);
    EXPECT_EQ(result[0], 0);
  }
}

TEST(RandAugmentTest, BlendsWithTheFactorOfTheMagnitude) {
  const auto expect = [](AugmentOperation operation, const auto& adjust) {
    for (const bool negative : {false, true}) {
      for (const int64_t magnitude : {0, 10, 30}) {
        Bytes want = Numbered(48);
        adjust(ByteImage{4, 4, 3, want}, 1.0 + (negative ? -0.9 : 0.9) * (static_cast<double>(magnitude) / 30.0));
        EXPECT_EQ(Result(operation, magnitude, negative, Numbered(48), 4, 4, 3), want);
      }
    }
  };
  expect(kBrightness, AdjustBrightness);
  expect(kSaturation, AdjustSaturation);
  expect(kContrast, AdjustContrast);
  expect(kSharpness, AdjustSharpness);
}

TEST(RandAugmentTest, PosterizesAndSolarizes) {
  const Bytes source{0, 1, 17, 127, 128, 255};
  EXPECT_EQ(Result(kPosterize, 0, false, source, 1, 6), source);
  EXPECT_EQ(Result(kPosterize, 9, false, source, 1, 6), (Bytes{0, 0, 16, 126, 128, 254}));  // one bit less
  EXPECT_EQ(Result(kPosterize, kMost, true, source, 1, 6), (Bytes{0, 0, 16, 112, 128, 240}));
  EXPECT_EQ(Result(kSolarize, 0, false, source, 1, 6), (Bytes{0, 1, 17, 127, 128, 0}));
  EXPECT_EQ(Result(kSolarize, 15, false, source, 1, 6), (Bytes{0, 1, 17, 127, 127, 0}));
  EXPECT_EQ(Result(kSolarize, kMost, false, source, 1, 6), (Bytes{255, 254, 238, 128, 127, 0}));
}

TEST(RandAugmentTest, AutoContrastStretchesEachChannel) {
  EXPECT_EQ(Result(kAutoContrast, 9, false, {10, 0, 7, 20, 100, 7, 30, 255, 7}, 1, 3, 3),
            (Bytes{0, 0, 7, 127, 100, 7, 255, 255, 7}));
}

TEST(RandAugmentTest, EqualizesEachChannel) {
  // Of 1024 pixels half have 10, a quarter 20, a quarter 30: the step is ⌊(1024 − 256)/255⌋ = 3.
  Bytes image;
  for (int64_t i = 0; i < 1024; ++i) {
    image.push_back(i % 2 == 0 ? 10 : i % 4 == 1 ? 20 : 30);
    image.push_back(99);
    image.push_back(static_cast<uint8_t>(i / 4));
  }
  const Bytes result = Result(kEqualize, 9, false, image, 32, 32, 3);
  for (size_t i = 0; i < 1024; ++i) {
    EXPECT_EQ(result[3 * i], i % 2 == 0 ? 0 : i % 4 == 1 ? 171 : 255);
    EXPECT_EQ(result[3 * i + 1], 99);
    EXPECT_EQ(result[3 * i + 2], i / 4);  // even already
  }
  EXPECT_EQ(Result(kEqualize, 9, false, Numbered(100), 10, 10), Numbered(100));  // too few to step
}

TEST(RandAugmentTest, DrawsAllOperationsAlike) {
  const Bytes source = Varied();
  std::map<std::string, int64_t> number_of;  // by result
  for (int64_t number = 0; number < kNumAugmentOperations; ++number) {
    for (const bool negative : {false, true}) {
      number_of.emplace(Text(Result(static_cast<AugmentOperation>(number), 12, negative, source, 20, 20, 3)), number);
    }
  }
  ASSERT_EQ(number_of.size(), 23u);  // nine have a sign
  std::map<int64_t, int64_t> counts;
  std::set<std::string> seen;
  constexpr int64_t kDraws = 2800;
  for (int64_t index = 0; index < kDraws; ++index) {
    Bytes image = source;
    RandAugment({.operations = 1, .magnitude = 12}, {1, 2, index}, {20, 20, 3, image});
    ASSERT_TRUE(number_of.contains(Text(image)));
    ++counts[number_of[Text(image)]];
    seen.insert(Text(image));
  }
  EXPECT_EQ(seen.size(), 23u);
  for (int64_t number = 0; number < kNumAugmentOperations; ++number) EXPECT_NEAR(counts[number], 200, 60) << number;
}

TEST(RandAugmentTest, AppliesOneAfterAnotherAndDependsOnItsDrawAlone) {
  const Bytes source = Varied();
  const auto run = [&](const RandAugmentOptions& options, const ImageDraw& draw) {
    Bytes image = source;
    RandAugment(options, draw, {20, 20, 3, image});
    return image;
  };
  EXPECT_EQ(run({.operations = 0}, {1, 2, 3}), source);
  std::set<std::string> results;
  int64_t differ = 0;
  for (int64_t index = 0; index < 200; ++index) {
    const ImageDraw draw{1, 2, index};
    results.insert(Text(run({.operations = 3}, draw)));
    EXPECT_EQ(run({.operations = 3}, draw), run({.operations = 3}, draw));
    differ += run({.operations = 3}, draw) != run({.operations = 3}, {1, 3, index}) ? 1 : 0;
  }
  EXPECT_GT(results.size(), 150u);
  EXPECT_GT(differ, 150);
}

TEST(RandAugmentTest, RejectsOtherChannels) {
  ExpectError<std::invalid_argument>([] { Result(kRotate, 9, false, Numbered(8), 2, 2, 2); }, {"channels, not of 2"});
}

}  // namespace
}  // namespace hwynn
