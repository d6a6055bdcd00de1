#include "hwynn/kernels/simd/prefetch.h"

#include <gtest/gtest.h>

namespace hwynn {
namespace {

TEST(PrefetchTest, PiecesCountBytes) {
  const double values[10] = {};
  const PrefetchPiece piece = Piece(values + 1, 9, 2, 20);
  EXPECT_EQ(piece.data, reinterpret_cast<const char*>(values + 1));
  EXPECT_EQ(piece.bytes, 72);
  EXPECT_EQ(piece.row_lines(), 2);
  EXPECT_EQ(piece.rows, 2);
  EXPECT_EQ(piece.pitch_bytes, 160);
}

TEST(PrefetchTest, SharesCoverAPiece) {
  const float values[100] = {};
  PrefetchPieces shares;
  for (int64_t i = 0; i < 7; ++i) AppendShare(Piece(values, 100), i, 7, shares);
  ASSERT_EQ(shares.size(), 7u);
  const char* end = reinterpret_cast<const char*>(values);
  for (const PrefetchPiece& share : shares) {
    EXPECT_EQ(share.data, end);
    end += share.bytes;
  }
  EXPECT_EQ(end, reinterpret_cast<const char*>(values + 100));
  shares.clear();
  for (int64_t i = 0; i < 7; ++i) AppendShare(PrefetchPiece{nullptr, 2}, i, 7, shares);
  EXPECT_EQ(shares.size(), 2u);
}

TEST(PrefetchTest, RowsThatGoOnAreOnePiece) {
  static const float values[1000] = {};
  PrefetchPieces pieces;
  for (int64_t y = 0; y < 3; ++y) AppendRows(Piece(values + y * 50, 5, 5, 10), pieces);  // of 10 channels 5
  ASSERT_EQ(pieces.size(), 1U);
  EXPECT_EQ(pieces[0].rows, 15);
  AppendRows(Piece(values + 160, 5, 5, 10), pieces);  // a row further
  AppendRows(Piece(values + 210, 4, 5, 10), pieces);  // fewer channels
  AppendRows(Piece(values + 260, 4, 5, 12), pieces);  // farther apart
  AppendRows(Piece(values + 320, 0, 5, 12), pieces);  // nothing
  AppendRows(Piece(values + 320, 4, 0, 12), pieces);  // nothing
  EXPECT_EQ(pieces.size(), 4U);
  AppendRows(Piece(values + 400, 30), pieces);
  AppendRows(Piece(values + 430, 20), pieces);
  ASSERT_EQ(pieces.size(), 5U);
  EXPECT_EQ(pieces[4].bytes, 200);
  AppendRows(Piece(values + 430, 20), pieces);  // again
  AppendRows(Piece(values + 430, 20), pieces);
  EXPECT_EQ(pieces.size(), 7U);
}

TEST(PrefetchTest, LinesAreSpreadOverSteps) {
  PrefetchRate rate(10, 40);  // a line each four steps
  int64_t due = 0;
  for (int64_t step = 0; step < 20; ++step) due += rate.Due(1);
  EXPECT_EQ(due, 5);
  due += rate.Due(20);
  EXPECT_EQ(due, 10);
}

TEST(PrefetchTest, StreamsEndWhenAllIsFetched) {
  static const float values[1000] = {};
  // 3 rows of 2 lines, an empty piece, 5 lines: 11 lines in 22 steps, an eighth early.
  const PrefetchPieces pieces = {Piece(values, 20, 3, 100), Piece(values, 0), Piece(values, 80)};
  PrefetchStream stream(pieces, 22);
  stream.Fetch(10);
  EXPECT_TRUE(stream.active());
  stream.Fetch(8);
  EXPECT_TRUE(stream.active());
  stream.Fetch(3);
  EXPECT_FALSE(stream.active());
  stream.Fetch(100);  // no more
  EXPECT_FALSE(PrefetchStream().active());
}

}  // namespace
}  // namespace hwynn
