#include "hwynn/formats/csv.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;
using Table = std::vector<std::vector<std::string>>;

std::vector<CsvRow> Rows(const std::string& text) { return ParseCsv(std::as_bytes(std::span(text)), "t.csv"); }

Table Fields(const std::string& text) {
  Table table;
  for (CsvRow& row : Rows(text)) table.push_back(std::move(row.fields));
  return table;
}

TEST(CsvTest, Fields) {
  EXPECT_EQ(Fields("a,b\nc,d\n"), (Table{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(Fields("a,b\r\nc,d"), (Table{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(Fields("a,,\n,\n"), (Table{{"a", "", ""}, {"", ""}}));
  EXPECT_EQ(Fields(" a ,b c\n"), (Table{{" a ", "b c"}}));  // spaces are part of fields
  EXPECT_EQ(Fields("a\rb,c"), (Table{{"a\rb", "c"}}));
  EXPECT_EQ(Fields("\xEF\xBB\xBF"
                   "a,b"),
            (Table{{"a", "b"}}));
  EXPECT_EQ(Fields("\n\r\na\n\n"), (Table{{"a"}}));
  EXPECT_EQ(Fields(""), Table{});
}

TEST(CsvTest, QuotedFields) {
  EXPECT_EQ(Fields("\"a,b\",\"say \"\"no\"\"\"\n\"\",x"), (Table{{"a,b", "say \"no\""}, {"", "x"}}));
  EXPECT_EQ(Fields("\"two\r\nlines\",x\ny"), (Table{{"two\r\nlines", "x"}, {"y"}}));
}

TEST(CsvTest, KnowsTheLineOfARow) {
  const std::vector<CsvRow> rows = Rows("a\n\n\"b\nc\",d\r\ne");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].line, 1);
  EXPECT_EQ(rows[1].line, 3);
  EXPECT_EQ(rows[2].line, 5);
}

TEST(CsvTest, RefusesWhatIsNoTable) {
  ExpectError([] { Rows("a,b\nc,\"d"); }, {"t.csv: line 2: a quote isn't closed"});
  ExpectError([] { Rows("\n\"d\n\n"); }, {"line 2: a quote isn't closed"});
  ExpectError([] { Rows("a\nb\"c\n"); }, {"line 2: there is a quote within a field"});
  ExpectError([] { Rows("\"a\"b,c"); }, {"line 1: there is text behind a closing quote"});
  ExpectError([] { Rows("\"a\"\rb"); }, {"behind a closing quote"});
  ExpectError([] { Rows("a\xFF"); }, {"t.csv: isn't UTF-8"});
  ExpectError([] { Rows(std::string("a\0b", 3)); }, {"NUL"});
}

}  // namespace
}  // namespace hwynn
