#include "hwynn/training/schedule.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace hwynn {
namespace {

TEST(Schedule, WarmUpIsLinearFromZeroForEveryKind) {
  for (const ScheduleKind kind : {ScheduleKind::kConstant, ScheduleKind::kCosine, ScheduleKind::kStep}) {
    const Schedule schedule({.kind = kind, .learning_rate = 0.4, .warmup_epochs = 0.5, .decay_epochs = {2}}, 3, 16);
    EXPECT_EQ(schedule(0), 0.0f);
    EXPECT_FLOAT_EQ(schedule(2), 0.1f);
    EXPECT_FLOAT_EQ(schedule(7), 0.35f);
    EXPECT_FLOAT_EQ(schedule(8), 0.4f);
  }
}

TEST(Schedule, WarmUpHasTheNearestNumberOfSteps) {
  // 0.29 × 100 is 28.999999999999996.
  const Schedule schedule({.kind = ScheduleKind::kConstant, .learning_rate = 0.29, .warmup_epochs = 0.29}, 1, 100);
  EXPECT_FLOAT_EQ(schedule(28), 0.28f);
  EXPECT_FLOAT_EQ(schedule(29), 0.29f);
}

TEST(Schedule, ConstantStays) {
  const Schedule schedule({.kind = ScheduleKind::kConstant, .learning_rate = 0.3}, 2, 10);
  for (const int64_t step : {0, 1, 19, 1000}) EXPECT_FLOAT_EQ(schedule(step), 0.3f);
}

TEST(Schedule, CosineReachesHalfInTheMiddleAndZeroAtTheEnd) {
  const Schedule schedule({.kind = ScheduleKind::kCosine, .learning_rate = 0.2, .warmup_epochs = 1}, 5, 100);
  EXPECT_FLOAT_EQ(schedule(100), 0.2f);
  EXPECT_FLOAT_EQ(schedule(200), 0.2f * 0.8535533906f);  // ½(1 + cos(π/4))
  EXPECT_FLOAT_EQ(schedule(300), 0.1f);
  EXPECT_GT(schedule(499), 0.0f);
  EXPECT_NEAR(schedule(500), 0.0f, 1e-9);
  EXPECT_NEAR(schedule(900), 0.0f, 1e-9);
}

TEST(Schedule, StepDecaysAtTheStartOfEachEpochNamed) {
  const Schedule schedule(
      {.kind = ScheduleKind::kStep, .learning_rate = 1.0, .decay_epochs = {2, 3}, .decay_factor = 0.1}, 4, 10);
  EXPECT_FLOAT_EQ(schedule(19), 1.0f);
  EXPECT_FLOAT_EQ(schedule(20), 0.1f);
  EXPECT_FLOAT_EQ(schedule(29), 0.1f);
  EXPECT_FLOAT_EQ(schedule(30), 0.01f);
}

TEST(Schedule, AWarmUpAsLongAsTheRunIsAllowed) {
  const Schedule schedule({.kind = ScheduleKind::kCosine, .learning_rate = 1.0, .warmup_epochs = 1}, 1, 4);
  EXPECT_FLOAT_EQ(schedule(3), 0.75f);
  EXPECT_FLOAT_EQ(schedule(4), 1.0f);
}

TEST(Schedule, RefusesOptionsOutOfRange) {
  EXPECT_THROW(Schedule({.learning_rate = 0}, 1, 1), std::invalid_argument);
  EXPECT_THROW(Schedule({.warmup_epochs = 2}, 1, 1), std::invalid_argument);
  EXPECT_THROW(Schedule({.warmup_epochs = -1}, 1, 1), std::invalid_argument);
  EXPECT_THROW(Schedule({.kind = ScheduleKind::kStep}, 1, 1), std::invalid_argument);
  EXPECT_THROW(Schedule({.kind = ScheduleKind::kStep, .decay_epochs = {3, 2}}, 5, 1), std::invalid_argument);
  EXPECT_THROW(Schedule({}, 0, 1), std::invalid_argument);
  EXPECT_THROW(Schedule({}, int64_t{1} << 62, 4), std::invalid_argument);
}

}  // namespace
}  // namespace hwynn
