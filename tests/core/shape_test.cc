#include "hwynn/core/shape.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace hwynn {
namespace {

TEST(ShapeTest, ExtentsAndElements) {
  const Shape shape{8, 56, 57, 3};
  EXPECT_EQ(shape.rank(), 4);
  EXPECT_EQ(shape[0], 8);
  EXPECT_EQ(shape[2], 57);
  EXPECT_EQ(shape.back(), 3);
  EXPECT_EQ(shape.num_elements(), 8 * 56 * 57 * 3);
  EXPECT_EQ(shape.ToString(), "[8,56,57,3]");
  EXPECT_EQ(std::vector<int64_t>(shape.extents().begin(), shape.extents().end()), (std::vector<int64_t>{8, 56, 57, 3}));
}

TEST(ShapeTest, ScalarHasOneElement) {
  const Shape scalar;
  EXPECT_EQ(scalar.rank(), 0);
  EXPECT_EQ(scalar.num_elements(), 1);
  EXPECT_EQ(scalar.ToString(), "[]");
  EXPECT_EQ(scalar, Shape{});
}

TEST(ShapeTest, EqualityCountsRankAndOrder) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
  EXPECT_NE((Shape{0}), Shape{});
}

TEST(ShapeTest, AnExtentOfZeroMeansNoElements) {
  EXPECT_EQ((Shape{0, 7}).num_elements(), 0);
  EXPECT_EQ((Shape{7, 0, int64_t{1} << 60}).num_elements(), 0);
}

TEST(ShapeTest, RejectsWhatCannotBeAShape) {
  EXPECT_THROW((Shape{2, -1}), std::invalid_argument);
  EXPECT_NO_THROW((Shape{1, 2, 3, 4, 5, 6}));
  EXPECT_THROW((Shape{1, 2, 3, 4, 5, 6, 7, 8, 9}), std::invalid_argument);
  EXPECT_EQ((Shape{1, 2, 1, 2, 1, 2, 1, 2}).num_elements(), 16);
}

TEST(ShapeTest, RejectsElementCountsWhoseBytesOverflow) {
  EXPECT_NO_THROW((Shape{int64_t{1} << 30, (int64_t{1} << 30) - 1}));
  EXPECT_THROW((Shape{int64_t{1} << 30, int64_t{1} << 30}), std::invalid_argument);
  // The product wraps around to 0.
  EXPECT_THROW((Shape{int64_t{1} << 32, int64_t{1} << 32}), std::invalid_argument);
}

}  // namespace
}  // namespace hwynn
