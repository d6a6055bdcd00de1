#include "hwynn/kernels/target.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "hwynn/tests/support/targets.h"

namespace hwynn {
namespace {

TEST(TargetTest, TheBestTargetComesFirstAndIsTheDefault) {
  const std::vector<std::string> targets = SupportedTargets();
  ASSERT_FALSE(targets.empty());
  EXPECT_EQ(CurrentTarget(), targets.front());
#ifdef __aarch64__
  EXPECT_TRUE(targets.front().starts_with("NEON")) << targets.front();
#endif
}

TEST(TargetTest, SetTargetForcesOneAndGivesTheChoiceBack) {
  const std::string best = CurrentTarget();
  testing::ForEachTarget([](const std::string& target) { EXPECT_EQ(CurrentTarget(), target); });
  EXPECT_EQ(CurrentTarget(), best);
}

TEST(TargetTest, AnUnknownNameThrowsAndNamesThoseThatAre) {
  const std::string before = CurrentTarget();
  try {
    SetTarget("AVX1024");
    FAIL() << "SetTarget took AVX1024";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find(before), std::string::npos) << error.what();
  }
  EXPECT_EQ(CurrentTarget(), before);
}

}  // namespace
}  // namespace hwynn
