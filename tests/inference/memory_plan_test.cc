#include "hwynn/inference/program/memory_plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace hwynn {
namespace {

// No two arrays that live at once share memory, and all lie within the plan's bytes.
void ExpectApart(const std::vector<Lifetime>& arrays) {
  const MemoryPlan plan = PlanMemory(arrays);
  ASSERT_EQ(plan.offsets.size(), arrays.size());
  for (size_t a = 0; a < arrays.size(); ++a) {
    if (arrays[a].bytes == 0) continue;
    EXPECT_EQ(plan.offsets[a] % 128, 0);
    EXPECT_LE(plan.offsets[a] + arrays[a].bytes, plan.bytes);
    for (size_t b = 0; b < a; ++b) {
      const bool together = arrays[a].first <= arrays[b].last && arrays[b].first <= arrays[a].last;
      const bool overlap =
          plan.offsets[a] < plan.offsets[b] + arrays[b].bytes && plan.offsets[b] < plan.offsets[a] + arrays[a].bytes;
      EXPECT_FALSE(together && overlap) << a << " and " << b;
    }
  }
}

TEST(MemoryPlanTest, AChainNeedsItsTwoLargestNeighbours) {
  const std::vector<Lifetime> arrays{{1280, 0, 1}, {2560, 1, 2}, {1280, 2, 3}, {640, 3, 4}};
  EXPECT_EQ(PlanMemory(arrays).bytes, 1280 + 2560);
  ExpectApart(arrays);
}

TEST(MemoryPlanTest, AValueThatLivesLongKeepsItsPlace) {
  const std::vector<Lifetime> arrays{{1000, 0, 9}, {1000, 1, 2}, {1000, 2, 3}, {1000, 3, 9}, {0, 1, 5}};
  EXPECT_EQ(PlanMemory(arrays).bytes, 3 * 1024 - 24);
  ExpectApart(arrays);
}

TEST(MemoryPlanTest, NothingNeedsNothing) {
  EXPECT_EQ(PlanMemory({}).bytes, 0);
  EXPECT_EQ(PlanMemory(std::vector<Lifetime>{{0, 0, 3}}).bytes, 0);
}

TEST(MemoryPlanTest, ManyArraysStayApart) {
  uint32_t random = 1;
  const auto draw = [&](uint32_t below) {
    return static_cast<int>((random = random * 1664525 + 1013904223) >> 8) % static_cast<int>(below);
  };
  for (int round = 0; round < 50; ++round) {
    std::vector<Lifetime> arrays;
    for (int i = 0; i < 40; ++i) {
      const int first = draw(30);
      arrays.push_back({.bytes = draw(2000), .first = first, .last = first + draw(8)});
    }
    ExpectApart(arrays);
  }
}

}  // namespace
}  // namespace hwynn
