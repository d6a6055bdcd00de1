#include "hwynn/images/transform.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/tests/images/golden_images.h"

namespace hwynn {
namespace {

using testing::ExpectSameImage;
using testing::GoldenImages;

constexpr Interpolation kBoth[] = {Interpolation::kBilinear, Interpolation::kBicubic};

DecodedImage Transposed(const DecodedImage& image) {
  DecodedImage result = {.height = image.width, .width = image.height, .channels = image.channels};
  for (int64_t y = 0; y < result.height; ++y) {
    for (int64_t x = 0; x < result.width; ++x) {
      const auto first = image.pixels.begin() + (x * image.width + y) * image.channels;
      result.pixels.insert(result.pixels.end(), first, first + image.channels);
    }
  }
  return result;
}

DecodedImage CutOut(const DecodedImage& image, int64_t top, int64_t left, int64_t height, int64_t width) {
  DecodedImage result = {.height = height, .width = width, .channels = image.channels};
  for (int64_t y = 0; y < height; ++y) {
    const auto first = image.pixels.begin() + ((top + y) * image.width + left) * image.channels;
    result.pixels.insert(result.pixels.end(), first, first + width * image.channels);
  }
  return result;
}

TEST(TransformTest, HasTorchvisionsPixels) {
  const GoldenImages golden;
  const DecodedImage wide = golden.Pixels("420.jpg.rgb"), tall = Transposed(wide);
  const int64_t sizes[][2] = {{28, 32}, {29, 33}, {45, 45}, {96, 110}, {1, 2}};
  for (const auto& [size, resize] : sizes) {
    for (const Interpolation interpolation : kBoth) {
      const EvaluationTransform transform = {.image_size = size, .resize = resize, .interpolation = interpolation};
      const std::string name = StrCat(".", size, ".", resize, ".", NameOf(interpolation));
      SCOPED_TRACE(name);
      ExpectSameImage(ApplyTransform(wide, transform), golden.Pixels("420.jpg" + name));
      ExpectSameImage(ApplyTransform(tall, transform), golden.Pixels("tall" + name));
    }
  }
}

// Odd differences are halved to even: of sides 10 … 13 a crop of 8 begins at 1, 2 (1.5), 2, 2 (2.5).
TEST(TransformTest, TheCropBeginsWherePythonRounds) {
  for (const auto& [width, left] :
       std::vector<std::pair<int64_t, int64_t>>{{8, 0}, {9, 0}, {10, 1}, {11, 2}, {12, 2}, {13, 2}, {14, 3}, {15, 4}}) {
    DecodedImage image = {.height = 8, .width = width, .channels = 1};
    for (int64_t i = 0; i < 8 * width; ++i) image.pixels.push_back(static_cast<uint8_t>(i % width));
    EXPECT_EQ(ApplyTransform(image, {.image_size = 8, .resize = 8}).pixels[0], left) << width;
    EXPECT_EQ(ApplyTransform(Transposed(image), {.image_size = 8, .resize = 8}).pixels[0], left) << width;
  }
}

TEST(TransformTest, ACropIsResizedAsIfNothingLayAround) {
  const GoldenImages golden;
  const DecodedImage image = golden.Pixels("444.jpg.rgb");
  for (const Interpolation interpolation : kBoth) {
    ExpectSameImage(ResizedCrop(image, {.top = 3, .left = 11, .height = 17, .width = 30}, 24, 20, interpolation),
                    Resize(CutOut(image, 3, 11, 17, 30), 24, 20, interpolation));
  }
  const ImageWindow whole = {.height = image.height, .width = image.width};
  ExpectSameImage(ResizedCrop(image, whole, 9, 8), Resize(image, 9, 8));
  ExpectSameImage(Resize(image, image.height, image.width), image);
}

TEST(TransformTest, WhatCannotBeIsRefused) {
  const DecodedImage image = {.height = 2, .width = 3, .channels = 1, .pixels = {1, 2, 3, 4, 5, 6}};
  EXPECT_THROW(Resize(image, 0, 3), std::invalid_argument);
  EXPECT_THROW(Resize(image, 1 << 20, 1 << 20), std::invalid_argument);
  EXPECT_THROW(Resize({}, 3, 3), std::invalid_argument);
  for (const ImageWindow& window :
       std::vector<ImageWindow>{{-1, 0, 1, 1}, {0, 1, 1, 3}, {0, 0, 0, 1}, {1, 0, 2, 1}, {0, INT64_MAX, 1, 1}}) {
    EXPECT_THROW(ResizedCrop(image, window, 3, 3), std::invalid_argument);
  }
  EXPECT_THROW(ResizedCrop(image, {0, 0, 1, 1}, 3, -3), std::invalid_argument);
  EXPECT_THROW(ApplyTransform(image, {}), std::invalid_argument);
  EXPECT_THROW(ApplyTransform(image, {.image_size = 4, .resize = 3}), std::invalid_argument);
  EXPECT_THROW(ApplyTransform({}, {.image_size = 4, .resize = 4}), std::invalid_argument);
  const DecodedImage line = {.height = 1, .width = 1 << 20, .channels = 1, .pixels = std::vector<uint8_t>(1 << 20, 7)};
  EXPECT_THROW(ApplyTransform(line, {.image_size = 4, .resize = 4096}), std::invalid_argument);
  EXPECT_EQ(ApplyTransform(line, {.image_size = 4, .resize = 1024}).pixels, std::vector<uint8_t>(16, 7));
}

TEST(TransformTest, BytesBecomeAModelsInput) {
  const GoldenImages golden;
  for (const std::string name : {"rgb.png.rgb", "rgb.png.grey"}) {
    const DecodedImage image = golden.Pixels(name);
    Standardization standardization = {.mean = {0.485f, 0.456f, 0.406f}, .stddev = {0.229f, 0.224f, 0.225f}};
    standardization.mean.resize(static_cast<size_t>(image.channels));
    standardization.stddev.resize(static_cast<size_t>(image.channels));
    std::vector<float> input(image.pixels.size()), plain(image.pixels.size()), want;
    ToInput(image, standardization, input);
    ToInput(image, {}, plain);
    for (const uint8_t byte : image.pixels) want.push_back(static_cast<float>(byte) / 255.0f);
    EXPECT_EQ(plain, want);
    Standardize(standardization, want);
    EXPECT_EQ(input, want);
    input.pop_back();
    EXPECT_THROW(ToInput(image, standardization, input), std::invalid_argument);
  }
  std::vector<float> input(3);
  EXPECT_THROW(ToInput({1, 1, 3, {1, 2, 3}}, {.mean = {0.5f}, .stddev = {0.5f}}, input), std::invalid_argument);
}

}  // namespace
}  // namespace hwynn
