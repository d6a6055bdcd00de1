#include "hwynn/core/split.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace hwynn {
namespace {

TEST(SplitTest, RoundsUp) {
  EXPECT_EQ(CeilDiv(0, 4), 0);
  EXPECT_EQ(CeilDiv(1, 4), 1);
  EXPECT_EQ(CeilDiv(8, 4), 2);
  EXPECT_EQ(CeilDiv(9, 4), 3);
  EXPECT_EQ(RoundUp(0, 16), 0);
  EXPECT_EQ(RoundUp(16, 16), 16);
  EXPECT_EQ(RoundUp(17, 16), 32);
}

// What both promise: as few pieces as `most` allows, that follow each other and differ by one at most.
template <class Split>
void CheckSplit(int64_t total, int64_t most) {
  const Split split(total, most);
  EXPECT_EQ(split.count, (total + most - 1) / most);
  int64_t end = 0;
  int64_t smallest = total;
  int64_t largest = 0;
  for (int64_t i = 0; i < split.count; ++i) {
    EXPECT_EQ(split.Begin(i), end);
    end += split.Size(i);
    smallest = std::min(smallest, split.Size(i));
    largest = std::max(largest, split.Size(i));
  }
  EXPECT_EQ(end, total);
  EXPECT_LE(largest, most);
  EXPECT_LE(largest - smallest, 1);
  EXPECT_GE(smallest, 1);
}

TEST(SplitTest, PiecesAreEven) {
  for (int64_t total = 1; total <= 40; ++total) {
    for (int64_t most = 1; most <= 42; ++most) {
      CheckSplit<EvenSplit>(total, most);
      CheckSplit<TileSplit>(total, most);
      const EvenSplit even(total, most);
      int64_t largest = 0;
      for (int64_t i = 0; i < even.count; ++i) {
        EXPECT_EQ(even.End(i), even.Begin(i) + even.Size(i));
        largest = std::max(largest, even.Size(i));
      }
      EXPECT_EQ(even.Largest(), largest);
    }
  }
}

TEST(SplitTest, TilesOfOneSizeAreNeighbours) {
  const TileSplit split(20, 6);  // 5, 5, 5, 5
  EXPECT_EQ(split.Alike(0), 4);
  const TileSplit uneven(11, 4);  // 4, 4, 3
  EXPECT_EQ(uneven.Size(1), 4);
  EXPECT_EQ(uneven.Size(2), 3);
  EXPECT_EQ(uneven.Alike(0), 2);
  EXPECT_EQ(uneven.Alike(1), 1);
  EXPECT_EQ(uneven.Alike(2), 1);
}

#ifndef NDEBUG
TEST(SplitTest, NothingToCutIsCaughtInDebugBuilds) {
  EXPECT_THROW(EvenSplit(0, 4), std::logic_error);
  EXPECT_THROW(EvenSplit(4, 0), std::logic_error);
  EXPECT_THROW(TileSplit(0, 4), std::logic_error);
  EXPECT_THROW(TileSplit(4, 0), std::logic_error);
  EXPECT_THROW(CeilDiv(1, 0), std::logic_error);
  EXPECT_THROW(CeilDiv(-1, 2), std::logic_error);
}
#endif

}  // namespace
}  // namespace hwynn
