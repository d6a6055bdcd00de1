#include "hwynn/data/mixup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;

// Of λ ~ Beta(α, α), the mean of (λ − 1/2)² is 1/(4·(2α + 1)): what max(λ, 1 − λ) keeps.
TEST(MixupTest, SharesHaveTheVarianceOfTheirBetaDistribution) {
  constexpr int64_t kDraws = 20000;
  for (const double alpha : {0.05, 0.2, 0.5, 1.0, 3.0, 20.0}) {
    double squares = 0.0, near_middle = 0.0;
    for (int64_t batch = 0; batch < kDraws; ++batch) {
      const double share = DrawMixupShare(alpha, 1, batch % 7, batch);
      ASSERT_GE(share, 0.5);
      ASSERT_LE(share, 1.0);
      squares += (share - 0.5) * (share - 0.5);
      near_middle += share < 0.75 ? 1.0 : 0.0;
    }
    EXPECT_NEAR(squares / kDraws * 4.0 * (2.0 * alpha + 1.0), 1.0, 0.03) << alpha;
    if (alpha == 1.0) {  // uniform
      EXPECT_NEAR(near_middle / kDraws, 0.5, 0.02);
    }
  }
}

TEST(MixupTest, DependsOnSeedEpochAndBatchAlone) {
  const float share = DrawMixupShare(0.4, 1, 2, 3);
  EXPECT_EQ(DrawMixupShare(0.4, 1, 2, 3), share);
  EXPECT_NE(DrawMixupShare(0.4, 2, 2, 3), share);
  EXPECT_NE(DrawMixupShare(0.4, 1, 3, 3), share);
  EXPECT_NE(DrawMixupShare(0.4, 1, 2, 4), share);
  EXPECT_NE(DrawMixupShare(0.5, 1, 2, 3), share);
}

TEST(MixupTest, MixesFirstWithLast) {
  for (const int64_t count : {1, 2, 5}) {
    Tensor images({count, 2});
    for (int64_t i = 0; i < images.size(); ++i) images[i] = static_cast<float>(i * i);
    const Tensor before = images.Clone();
    MixImages(0.75f, images);
    for (int64_t n = 0; n < count; ++n) {
      for (int64_t i = 0; i < 2; ++i) {
        const float other = before[(count - 1 - n) * 2 + i];
        EXPECT_EQ(images[n * 2 + i], 0.75f * before[n * 2 + i] + 0.25f * other);
      }
    }
  }
}

TEST(MixupTest, RejectsWhatIsNoAlpha) {
  using Error = std::invalid_argument;
  for (const double alpha : {0.0, -1.0, std::numeric_limits<double>::infinity()}) {
    ExpectError<Error>([&] { DrawMixupShare(alpha, 0, 0, 0); }, {"alpha"});
  }
  EXPECT_GE(DrawMixupShare(1e-300, 0, 0, 0), 0.5f);  // no overflow on the way
  EXPECT_NEAR(DrawMixupShare(1e12, 0, 0, 0), 0.5f, 1e-3f);
}

}  // namespace
}  // namespace hwynn
