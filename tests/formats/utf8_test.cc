#include "hwynn/formats/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace hwynn {
namespace {

TEST(Utf8Test, TakesTheFirstAndLastOfEachLength) {
  for (const char* text : {"", "plain", "\x7f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff",
                           "\U00010000", "\U0010ffff", "é日本𝄞."}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  EXPECT_TRUE(IsUtf8(std::string(3, '\0')));
}

TEST(Utf8Test, RefusesEverythingElse) {
  for (const char* text : {"\x80",
                           "\xbf",
                           "a\xff",
                           "\xfe",
                           "\xf8\x88\x80\x80\x80",  // no first byte
                           "\xc3",
                           "\xe2\x82",
                           "\xf0\x9d\x84",  // cut off
                           "\xc3(",
                           "\xe2(\xa1",
                           "\xe2\x82(",
                           "\xf0(\x8c\xbc",
                           "\xc3\xc3\xa9",  // no continuation
                           "\xc0\xaf",
                           "\xc1\xbf",
                           "\xe0\x9f\xbf",
                           "\xf0\x8f\xbf\xbf",  // overlong
                           "\xed\xa0\x80",
                           "\xed\xbf\xbf",
                           "\xf4\x90\x80\x80",
                           "\xf7\xbf\xbf\xbf"}) {  // no character
    EXPECT_FALSE(IsUtf8(text)) << testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace hwynn
