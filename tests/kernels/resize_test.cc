#include "hwynn/kernels/resize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/core/parallel.h"
#include "hwynn/kernels/reference/resize.h"
#include "hwynn/tests/support/sha1_hex.h"
#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

using testing::ForEachTarget;
using testing::Sha1HexOfBytes;

constexpr Interpolation kBoth[] = {Interpolation::kBilinear, Interpolation::kBicubic};

// An image with guard bytes: rows are `gap` bytes longer than they need be, and what is between them is never read as
// pixels.
struct TestImage {
  TestImage(int64_t height, int64_t width, int64_t channels, int64_t gap = 0)
      : view{.height = height, .width = width, .channels = channels, .row_stride = width * channels + gap} {
    bytes.assign(static_cast<size_t>((height - 1) * view.row_stride + width * channels), 77);
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        for (int64_t c = 0; c < channels; ++c) {
          bytes[static_cast<size_t>(y * view.row_stride + x * channels + c)] =
              static_cast<uint8_t>((y * y * 7 + x * 13 + x * y * 3 + c * 101 + (x / 5 % 2) * 120) % 256);
        }
      }
    }
    view.data = bytes.data();
  }
  TestImage(const TestImage&) = delete;

  std::vector<uint8_t> bytes;
  ByteImageView view;
};

std::vector<uint8_t> Resized(const ResizeParams& params, const ByteImageView& input) {
  std::vector<uint8_t> output(static_cast<size_t>(params.window_height * params.window_width * input.channels), 99);
  ResizeImage(params, input, output);
  return output;
}

void ExpectAsDefined(const ResizeParams& params, const ByteImageView& input) {
  const std::vector<uint8_t> got = Resized(params, input);
  const std::vector<uint8_t> want = reference::ResizeImage(params, input);
  const auto differ = std::ranges::mismatch(got, want);
  ASSERT_TRUE(differ.in1 == got.end()) << "[" << input.height << "," << input.width << "," << input.channels << "] to ["
                                       << params.height << "," << params.width << "]: byte " << differ.in1 - got.begin()
                                       << " is " << int{*differ.in1} << ", not " << int{*differ.in2};
}

struct GoldenCase {
  int64_t height, width, channels, new_height, new_width;
  const char* bilinear;
  const char* bicubic;
};

// tests/golden/resize_golden.py: SHA-1 of what Pillow 12.0 gives.
constexpr GoldenCase kGolden[] = {
    {300, 400, 3, 256, 341, "11815d16fb1ac55ca5d55f6d1374caab9f43f52a", "5c47cd888a9319bc249c7df8fb50755b1baccd35"},
    {341, 257, 3, 128, 96, "6fbfa4e1bcc85d9b4e91edf74c26aaad24f3271d", "fe8ed4bdd29c663dafc358418881850445d1768a"},
    {17, 33, 3, 224, 300, "ce1929e96de4364744ae28a3dc9f5ae6e75a7ed4", "9b9830a951c43d91d1dfa45d14b86ebf5e971d13"},
    {50, 1, 3, 7, 5, "72bf4d63d82a809f3a554c81a1da15932e276312", "2e0869aae1e93883c9901fd8227ea1c8df140c06"},
    {1, 50, 3, 9, 120, "cc52d79f2e5c9a759419c60ff6928fbcb92506a5", "4f70d66c85b9562c80b73cdf00a7b01c8ab4910e"},
    {99, 101, 3, 1, 1, "371e2a065ead4a6a0a4291e4b933e7fed98bc220", "371e2a065ead4a6a0a4291e4b933e7fed98bc220"},
    {64, 48, 3, 64, 20, "4d582968b919426c691e41f0607eaa0536400028", "092f99aff5f8435976d715945e8c157edef1613b"},
    {64, 48, 3, 100, 48, "a8eca15172af4406c987ff66b90828b667fa1bac", "1f1a2e3160dec69ec2e588d03fd76e450549033a"},
    {480, 640, 1, 100, 131, "50bb7ada9b448d04f525b7c538bfe1694abdecb7", "48426f8fb41c9c86308e442c5a42fb509b9ed41a"},
    {31, 29, 1, 63, 28, "018672c7adf40aa661da91a1477a1b65dd92be40", "1cd6f2b6169bdc902718b5c353acd182a76e9a98"},
    {40, 30, 4, 21, 37, "a72044384aa7425af626f12a006f336c6cc83bf1", "0af2181a7a18213cd1efe514f3719c5df37a5187"},
    {37, 41, 2, 20, 60, "b3661a0124493762d2f95f6e76507c240e9c2110", "31b0c4f177271f2ae8d5d5cef705d06f29d88fbe"},
};

TEST(ResizeTest, HasPillowsBits) {
  ForEachTarget([](const std::string&) {
    for (const GoldenCase& c : kGolden) {
      const TestImage image(c.height, c.width, c.channels, 3);
      for (const Interpolation interpolation : kBoth) {
        const auto params = ResizeParams::Whole(c.new_height, c.new_width, interpolation);
        const std::vector<uint8_t> output = Resized(params, image.view);
        EXPECT_EQ(Sha1HexOfBytes(std::span<const uint8_t>(output)),
                  interpolation == Interpolation::kBilinear ? c.bilinear : c.bicubic)
            << c.height << "x" << c.width << "x" << c.channels << " to " << c.new_height << "x" << c.new_width;
      }
    }
  });
}

TEST(ResizeTest, ReferenceHasPillowsBits) {
  for (const GoldenCase& c : kGolden) {
    const TestImage image(c.height, c.width, c.channels, 1);
    const std::vector<uint8_t> output =
        reference::ResizeImage(ResizeParams::Whole(c.new_height, c.new_width, Interpolation::kBicubic), image.view);
    EXPECT_EQ(Sha1HexOfBytes(std::span<const uint8_t>(output)), c.bicubic) << c.height << "x" << c.width;
  }
}

// Bands of 16 rows, blocks of 16 pixels, pairs, and vectors of the second pass all end somewhere.
TEST(ResizeTest, EverySizeIsAsDefined) {
  ForEachTarget([](const std::string&) {
    for (const int64_t channels : {1, 2, 3, 5}) {
      for (int64_t size = 1; size <= 35; ++size) {
        const TestImage image(size, 36 - size, channels, size % 2);
        for (const Interpolation interpolation : kBoth) {
          ExpectAsDefined(ResizeParams::Whole(1 + size % 7, 36 - size, interpolation), image.view);
          ExpectAsDefined(ResizeParams::Whole(size, 1 + size * 5 % 34, interpolation), image.view);
          ExpectAsDefined(ResizeParams::Whole(70 - size, 3 + size, interpolation), image.view);
        }
      }
    }
  });
}

TEST(ResizeTest, AWindowIsWhatTheWholeHasThere) {
  const TestImage image(61, 83, 3);
  for (const Interpolation interpolation : kBoth) {
    ResizeParams params = ResizeParams::Whole(40, 129, interpolation);
    const std::vector<uint8_t> whole = Resized(params, image.view);
    for (const int64_t top : {0, 1, 17, 39}) {
      for (const int64_t left : {0, 5, 64, 128}) {
        params.window_top = top;
        params.window_left = left;
        params.window_height = (40 - top + 1) / 2;
        params.window_width = 129 - left - left % 2;
        const std::vector<uint8_t> window = Resized(params, image.view);
        for (int64_t y = 0; y < params.window_height; ++y) {
          const auto row = window.begin() + y * params.window_width * 3;
          ASSERT_TRUE(std::equal(row, row + params.window_width * 3, whole.begin() + ((top + y) * 129 + left) * 3))
              << "top " << top << ", left " << left << ", row " << y;
        }
      }
    }
  }
}

// The buffer ends where the part does: what lies beyond is nobody's, which the sanitizers see.
TEST(ResizeTest, APartOfAnImageIsAnImage) {
  const TestImage image(50, 60, 3);
  ByteImageView part = image.view;
  part.data += 7 * part.row_stride + 11 * 3;
  part.height = 50 - 7;
  part.width = 60 - 11;
  std::vector<uint8_t> copied;
  for (int64_t y = 0; y < part.height; ++y) {
    const uint8_t* const row = part.data + y * part.row_stride;
    copied.insert(copied.end(), row, row + part.width * 3);
  }
  ByteImageView copy = part;
  copy.data = copied.data();
  copy.row_stride = part.width * 3;
  const auto params = ResizeParams::Whole(31, 77, Interpolation::kBicubic);
  EXPECT_EQ(Resized(params, part), Resized(params, copy));
}

TEST(ResizeTest, LargeImagesAreCutIntoTilesWithTheSameBits) {
  // The second shrinks so much that rows are cut too.
  const TestImage wide(300, 1100, 3), tall(9000, 40, 1);
  for (const Interpolation interpolation : kBoth) {
    ExpectAsDefined(ResizeParams::Whole(500, 700, interpolation), wide.view);
    ExpectAsDefined(ResizeParams::Whole(2, 900, interpolation), tall.view);
  }
}

TEST(ResizeTest, SameBitsOnAnyNumberOfThreads) {
  const TestImage image(700, 900, 3);
  const auto params = ResizeParams::Whole(500, 800, Interpolation::kBicubic);
  const std::vector<uint8_t> one = Resized(params, image.view);
  for (const int threads : {2, 3}) {
    RunWithThreads(threads, [&] { EXPECT_EQ(Resized(params, image.view), one) << threads << " threads"; });
  }
}

TEST(ResizeTest, TheSameSizeIsTheSameImage) {
  const TestImage image(45, 33, 3);
  for (const Interpolation interpolation : kBoth) {
    EXPECT_EQ(Resized(ResizeParams::Whole(45, 33, interpolation), image.view), image.bytes);
  }
}

// Of a result too large for any memory a window can be had.
TEST(ResizeTest, AnEnormousResultCostsItsWindow) {
  const TestImage image(2, 3000, 3);
  ResizeParams params = ResizeParams::Whole(1'000'000, 1'500'000'000);
  params.window_top = 499'000;
  params.window_left = 1'499'999'990;
  params.window_height = 4;
  params.window_width = 10;
  const std::vector<uint8_t> window = Resized(params, image.view);
  for (size_t x = 0; x < 10; ++x) EXPECT_EQ(window[3 * x], window[27]) << "the last pixel's weight is all there is";
}

TEST(ResizeTest, WhatDoesNotFitIsRefused) {
  const TestImage image(10, 12, 3);
  std::vector<uint8_t> output(5 * 6 * 3, 42);
  const auto refuse = [&](const ResizeParams& params, const ByteImageView& input, const std::string& text) {
    try {
      ResizeImage(params, input, output);
      ADD_FAILURE() << "taken: " << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
    EXPECT_TRUE(std::ranges::all_of(output, [](uint8_t x) { return x == 42; }));
  };
  const auto whole = ResizeParams::Whole(5, 6);
  const auto with = [&](auto change) {
    ResizeParams params = whole;
    change(params);
    return params;
  };
  const auto of = [&](auto change) {
    ByteImageView view = image.view;
    change(view);
    return view;
  };
  refuse(with([](auto& p) { p.height = 0; }), image.view, "result's height 0");
  refuse(with([](auto& p) { p.width = int64_t{1} << 31; }), image.view, "result's width 2147483648");
  refuse(with([](auto& p) { p.window_top = 1; }), image.view, "a window of height 5 at 1 isn't inside the result's 5");
  refuse(with([](auto& p) { p.window_left = -1; }), image.view, "a window of width 6 at -1");
  refuse(with([](auto& p) { p.window_left = INT64_MAX; }), image.view, "a window of width 6 at 9223372036854775807");
  refuse(with([](auto& p) { p.window_width = 0; }), image.view, "a window of width 0");
  refuse(with([](auto& p) { p.window_width = 5; }), image.view, "output has 90 bytes for a window of [5,5,3]");
  refuse(whole, of([](auto& v) { v.height = 0; }), "the image's height 0");
  refuse(whole, of([](auto& v) { v.width = (int64_t{1} << 20) + 1; }), "the image's width 1048577");
  refuse(whole, of([](auto& v) { v.channels = 0; }), "channels (0)");
  refuse(whole, of([](auto& v) { v.row_stride = 35; }), "row_stride (35) is less than the 36 bytes of a row");
  refuse(ResizeParams::Whole(5, 1), of([](auto& v) { v.width = 1 << 16; }),
         "no image is made more than 32768 times smaller");
}

}  // namespace
}  // namespace hwynn
