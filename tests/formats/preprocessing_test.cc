#include "hwynn/formats/preprocessing.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace hwynn {
namespace {

TEST(PreprocessingTest, BytesBecomeWhatStandardizeMakesOfThem) {
  const Standardization standardization = {.mean = {0.485f, 0.25f}, .stddev = {0.229f, 3.0f}};
  const std::vector<float> values = StandardizedBytes(standardization, 2);
  ASSERT_EQ(values.size(), 512u);
  for (size_t byte = 0; byte < 256; ++byte) {
    std::vector<float> pixel(2, static_cast<float>(byte) / 255.0f);
    Standardize(standardization, pixel);
    EXPECT_EQ(values[byte], pixel[0]);
    EXPECT_EQ(values[256 + byte], pixel[1]);
  }
  const std::vector<float> plain = StandardizedBytes({}, 3);
  ASSERT_EQ(plain.size(), 768u);
  EXPECT_EQ(plain[256 + 51], 0.2f);
  EXPECT_THROW(StandardizedBytes(standardization, 3), std::invalid_argument);
}

TEST(PreprocessingTest, ThePhotographsShorterSideIsThatOfOthers) {
  EXPECT_EQ(PhotographTransform(224).resize, 256);
  EXPECT_EQ(PhotographTransform(224).image_size, 224);
  EXPECT_EQ(PhotographTransform(128).resize, 146);
  EXPECT_EQ(PhotographTransform(160).resize, 182);  // 182.86: timm's int() takes the whole part
  EXPECT_EQ(PhotographTransform(1).resize, 1);
  EXPECT_EQ(PhotographTransform(8, Interpolation::kBicubic).interpolation, Interpolation::kBicubic);
  EXPECT_THROW(PhotographTransform(0), std::invalid_argument);
  EXPECT_THROW(PhotographTransform(INT64_MAX), std::invalid_argument);
}

TEST(PreprocessingTest, TransformsThatCannotBeAreRefused) {
  const auto refuse = [](const EvaluationTransform& transform, const Shape& shape, const std::string& text) {
    try {
      CheckEvaluationTransform(transform, shape);
      ADD_FAILURE() << "taken: " << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  };
  CheckEvaluationTransform({}, {3, 4, 1});
  CheckEvaluationTransform({.image_size = 24, .resize = 24}, {24, 24, 1});
  CheckEvaluationTransform({.image_size = 24, .resize = 16384}, {24, 24, 3});
  refuse({.image_size = 24, .resize = 23}, {24, 24, 3}, "image_size 24 and resize 23");
  refuse({.image_size = 0, .resize = 23}, {0, 0, 3}, "image_size 0");
  refuse({.image_size = -1, .resize = 23}, {24, 24, 3}, "image_size -1");
  refuse({.image_size = 24, .resize = 16385}, {24, 24, 3}, "resize 16385");
  refuse({.interpolation = Interpolation::kBicubic}, {24, 24, 3}, "image_size 0");
  refuse({.image_size = 24, .resize = 24}, {24, 25, 3}, "[24,25,3]");
  refuse({.image_size = 24, .resize = 24}, {25, 24, 3}, "[25,24,3]");
  refuse({.image_size = 24, .resize = 24}, {24, 24}, "[24,24]");
}

TEST(PreprocessingTest, TextReadsBackToTheSame) {
  const EvaluationTransform transform = {.image_size = 224, .resize = 232, .interpolation = Interpolation::kBicubic};
  EXPECT_EQ(ToText(transform), R"({"image_size":224,"resize":232,"interpolation":"bicubic"})");
  EXPECT_EQ(ParseEvaluationTransform(ToText(transform)), transform);
  EXPECT_EQ(ParseEvaluationTransform(ToText({})), EvaluationTransform());
}

TEST(PreprocessingTest, OtherTextsAreRefused) {
  for (const char* const text : {"", "7", "[]", "{}", "null", R"({"image_size":224,"resize":256})",
                                 R"({"image_size":224,"resize":256,"interpolation":"nearest"})",
                                 R"({"image_size":224,"resize":256,"interpolation":3})",
                                 R"({"image_size":224.5,"resize":256,"interpolation":"bilinear"})",
                                 R"({"image_size":"224","resize":256,"interpolation":"bilinear"})",
                                 R"({"image_size":[224],"resize":256,"interpolation":"bilinear"})",
                                 R"({"image_size":224,"resize":256,"interpolation":"bilinear","more":1})",
                                 R"({"image_size":224,"resize":256,"interpolation":"bilinear")"}) {
    EXPECT_THROW(ParseEvaluationTransform(text), std::invalid_argument) << text;
  }
  const std::string deep = std::string(100'000, '[');
  EXPECT_THROW(ParseEvaluationTransform(R"({"image_size":)" + deep), std::invalid_argument);
}

}  // namespace
}  // namespace hwynn
