#include "hwynn/data/color.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::ExpectError;

// A key of sets; GCC 12 warns of comparisons of vectors of bytes.
std::string Text(const Bytes& bytes) { return {bytes.begin(), bytes.end()}; }

ByteImage View(Bytes& bytes, int64_t height, int64_t width, int64_t channels) {
  return {height, width, channels, bytes};
}

TEST(ColorTest, Brightness) {
  Bytes image{0, 10, 99, 200, 255, 1};
  AdjustBrightness(View(image, 1, 2, 3), 1.5);
  EXPECT_EQ(image, (Bytes{0, 15, 148, 255, 255, 1}));  // without fractions
  AdjustBrightness(View(image, 1, 2, 3), 0.0);
  EXPECT_EQ(image, Bytes(6, 0));
}

TEST(ColorTest, ContrastIsAboutTheMeanOfGrey) {
  // Luma of (100, 50, 200) is 29.9 + 29.35 + 22.8 = 82.05, of (10, 10, 10) is 10: the mean, 46, is (82 + 10)/2.
  Bytes image{100, 50, 200, 10, 10, 10};
  AdjustContrast(View(image, 1, 2, 3), 0.5);
  EXPECT_EQ(image, (Bytes{73, 48, 123, 28, 28, 28}));
  Bytes grey{0, 100, 201};  // the mean, 100.33, is rounded
  AdjustContrast(View(grey, 3, 1, 1), 2.0);
  EXPECT_EQ(grey, (Bytes{0, 100, 255}));
}

TEST(ColorTest, SaturationIsAboutEachPixelsGrey) {
  Bytes image{100, 50, 200, 7, 7, 7};
  AdjustSaturation(View(image, 1, 2, 3), 0.0);
  EXPECT_EQ(image, (Bytes{82, 82, 82, 7, 7, 7}));
  image = {100, 50, 200, 7, 7, 7};
  AdjustSaturation(View(image, 1, 2, 3), 2.0);
  EXPECT_EQ(image, (Bytes{118, 18, 255, 7, 7, 7}));
  Bytes grey{1, 2};
  AdjustSaturation(View(grey, 1, 2, 1), 0.0);
  EXPECT_EQ(grey, (Bytes{1, 2}));
}

TEST(ColorTest, SharpnessIsAboutASmoothedImage) {
  const Bytes source{1,  2,  3,   4,   //
                     5,  60, 7,   8,   //
                     9,  10, 110, 12,  //
                     13, 14, 15,  16};
  Bytes image = source;
  AdjustSharpness(View(image, 4, 4, 1), 0.0);
  Bytes smooth = source;  // (5·60 + 147)/13 = 34.4, (5·7 + 208)/13 = 18.7, …; the sides stay
  smooth[5] = 34, smooth[6] = 19, smooth[9] = 22, smooth[10] = 53;
  EXPECT_EQ(image, smooth);
  image = source;
  AdjustSharpness(View(image, 4, 4, 1), 1.0);
  EXPECT_EQ(image, source);
  image = source;
  AdjustSharpness(View(image, 4, 4, 1), 2.0);
  EXPECT_EQ(image[5], 86);
  EXPECT_EQ(image[9], 0);  // 22 − 2·12 is cut
  // Channels are apart.
  Bytes colors;
  for (const uint8_t value : source) colors.insert(colors.end(), {value, 77, static_cast<uint8_t>(255 - value)});
  AdjustSharpness(View(colors, 4, 4, 3), 0.0);
  for (size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(colors[3 * i], smooth[i]);
    EXPECT_EQ(colors[3 * i + 1], 77);
    EXPECT_EQ(colors[3 * i + 2], 255 - smooth[i]);
  }
}

TEST(ColorTest, HueTurnsTheCircleOfColors) {
  const std::array<Bytes, 6> circle{Bytes{200, 50, 50}, {200, 200, 50}, {50, 200, 50},
                                    {50, 200, 200},     {50, 50, 200},  {200, 50, 200}};
  for (size_t from = 0; from < 6; ++from) {
    for (const int sixths : {-3, -2, -1, 0, 1, 2, 3}) {
      Bytes pixel = circle[from];
      TurnHue(View(pixel, 1, 1, 3), sixths / 6.0);
      EXPECT_EQ(pixel, circle[(from + 6 + static_cast<size_t>(sixths + 6)) % 6]) << from << ' ' << sixths;
    }
  }
  Bytes pixel{200, 50, 50};
  TurnHue(View(pixel, 1, 1, 3), 1.0 / 12.0);  // half of the way to yellow
  EXPECT_EQ(pixel, (Bytes{200, 125, 50}));
  Bytes grey{9, 9, 9};
  TurnHue(View(grey, 1, 1, 3), 0.3);
  EXPECT_EQ(grey, (Bytes{9, 9, 9}));
  Bytes one_channel{9, 200};
  TurnHue(View(one_channel, 1, 2, 1), 0.3);
  EXPECT_EQ(one_channel, (Bytes{9, 200}));
}

TEST(ColorTest, JitterDrawsFactorsInTheRangeInEveryOrder) {
  std::set<std::string> results;
  int lowest = 255, highest = 0;
  double sum = 0.0;
  for (int64_t index = 0; index < 2000; ++index) {
    Bytes pixel{100, 100, 100};
    JitterColors({.brightness = 0.4}, {.seed = 1, .index = index}, View(pixel, 1, 1, 3));
    ASSERT_GE(pixel[0], 60);
    ASSERT_LE(pixel[0], 140);
    lowest = std::min<int>(lowest, pixel[0]);
    highest = std::max<int>(highest, pixel[0]);
    sum += pixel[0];
    Bytes orders{10, 200, 90, 40, 40, 41};  // brightness cuts, so that its place shows
    JitterColors({.brightness = 3.0, .contrast = 0.9}, {.seed = 1, .index = index}, View(orders, 1, 2, 3));
    results.insert(Text(orders));
  }
  EXPECT_EQ(lowest, 60);
  EXPECT_GE(highest, 138);
  EXPECT_NEAR(sum / 2000, 99.5, 2.0);
  EXPECT_GT(results.size(), 1500u);
}

TEST(ColorTest, AnOptionDoesNotChangeWhatTheOthersDraw) {
  const ImageDraw draw{.seed = 4, .epoch = 5, .index = 6};
  Bytes alone{100, 100, 100}, together{100, 100, 100};
  JitterColors({.brightness = 0.4}, draw, View(alone, 1, 1, 3));
  JitterColors({.brightness = 0.4, .saturation = 0.7, .hue = 0.5}, draw, View(together, 1, 1, 3));
  EXPECT_EQ(alone, together);  // grey has neither saturation nor hue
  EXPECT_NE(alone, (Bytes{100, 100, 100}));
}

TEST(ColorTest, RejectsWhatIsNoImage) {
  using Error = std::invalid_argument;
  Bytes bytes(8);
  ExpectError<Error>([&] { AdjustContrast(View(bytes, 2, 2, 2), 1.0); }, {"1 or 3 channels, not of 2"});
  ExpectError<Error>([&] { AdjustContrast(View(bytes, 3, 3, 1), 1.0); }, {"3x3x1", "8 bytes"});
}

}  // namespace
}  // namespace hwynn
