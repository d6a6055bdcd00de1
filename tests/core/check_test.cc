// Error texts: whole, or std::bad_alloc.

#include "hwynn/core/check.h"

#include <gtest/gtest.h>

#include "hwynn/core/shape.h"
#include "hwynn/tests/support/failing_new.h"

namespace hwynn {
namespace {

TEST(CheckTest, ThrowsWhatItIsCalledWithOnFailureAlone) {
  EXPECT_NO_THROW(Check(true, "fine"));
  EXPECT_NO_THROW(CheckData(true, "fine"));
  const auto text_of = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const std::exception& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_THROW(Check(false, "bad"), std::invalid_argument);
  EXPECT_THROW(CheckData(false, "bad"), std::runtime_error);
  EXPECT_EQ(text_of([] { Check(false, "filter ", Shape{3, 3, 64, 64}, " != ", 5); }), "filter [3,3,64,64] != 5");
  EXPECT_EQ(text_of([] { CheckData(false, "F: ", 1.5, " at byte ", size_t{7}); }), "F: 1.5 at byte 7");
}

TEST(CheckTest, NoTextIsCutShortForWantOfMemory) {
  const std::string expected = std::string(700, 'a') + "[3,3,64,64]" + std::string(700, 'b');
  const std::string long_a(700, 'a'), long_b(700, 'b');
  const auto make = [&] { return StrCat(long_a, Shape{3, 3, 64, 64}, long_b); };
  for (const bool and_later_ones : {false, true}) {
    EXPECT_GT(testing::FailEachAllocation(expected, make, make, and_later_ones), 0);
  }
}

}  // namespace
}  // namespace hwynn
