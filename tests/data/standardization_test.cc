#include "hwynn/data/standardization.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hwynn/core/parallel.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"

namespace hwynn {
namespace {

using testing::ExpectError;

TEST(StandardizationTest, HandComputed) {
  // Channel 0: 1, 3, 5, 7: mean 4, variance 5. Channel 1 never changes.
  const std::vector<float> images{1, 2, 3, 2, 5, 2, 7, 2};
  const std::vector<int32_t> labels{0, 0};
  const auto result = ComputeStandardization(*MemoryDataset({1, 2, 2}, images, labels, {"only"}));
  EXPECT_EQ(result.mean, (std::vector<float>{4, 2}));
  EXPECT_EQ(result.stddev, (std::vector<float>{std::sqrt(5.0f), 1}));

  std::vector<float> image{4, 2, 4 + 2 * std::sqrt(5.0f), 3};
  Standardize(result, image);
  EXPECT_EQ(image[0], 0.0f);
  EXPECT_EQ(image[1], 0.0f);
  EXPECT_NEAR(image[2], 2.0f, 1e-6f);
  EXPECT_EQ(image[3], 1.0f);
}

TEST(StandardizationTest, StandardizedImagesHaveMeanZeroAndDeviationOne) {
  constexpr int64_t kCount = 1500;  // several blocks, the last one not full
  // An offset far above the spread: a sum of squares in float would lose all digits.
  const Tensor images = testing::Normals({kCount, 3, 4, 3}, 1, 100.0f, 0.01f);
  const std::vector<int32_t> labels(kCount);
  const auto dataset = MemoryDataset({3, 4, 3}, images.span(), labels, {"only"});
  const Standardization result = ComputeStandardization(*dataset);
  std::vector<double> sums(3);
  std::vector<double> squares(3);
  std::vector<float> image(36);
  for (int64_t index = 0; index < kCount; ++index) {
    dataset->Image(index, image);
    Standardize(result, image);
    for (size_t i = 0; i < 36; ++i) {
      sums[i % 3] += image[i];
      squares[i % 3] += double{image[i]} * image[i];
    }
  }
  for (size_t c = 0; c < 3; ++c) {
    // The mean 100 is stored in float: half a unit in its last place, 3.8e-6, is 3.8e-4 standard deviations.
    EXPECT_NEAR(sums[c] / (kCount * 12), 0.0, 4e-4);
    EXPECT_NEAR(squares[c] / (kCount * 12), 1.0, 1e-5);
  }
  for (const int threads : {1, 2, 3}) {
    RunWithThreads(threads, [&] { EXPECT_EQ(ComputeStandardization(*dataset), result); });
  }
}

TEST(StandardizationTest, RejectsWhatDoesNotFit) {
  using Error = std::invalid_argument;
  EXPECT_NO_THROW(CheckStandardization({}, 3));
  EXPECT_NO_THROW(CheckStandardization({{1, 2}, {1, 2}}, 2));
  ExpectError<Error>([] { CheckStandardization({{1, 2}, {1, 2}}, 3); }, {"2 means", "3 channels"});
  ExpectError<Error>([] { CheckStandardization({{1}, {}}, 1); }, {"0 standard deviations"});
  ExpectError<Error>([] { CheckStandardization({{1}, {0}}, 1); }, {"channel 0"});
  ExpectError<Error>([] { CheckStandardization({{NAN}, {1}}, 1); }, {"channel 0", "nan"});
}

}  // namespace
}  // namespace hwynn
