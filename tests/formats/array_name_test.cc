#include "hwynn/formats/array_name.h"

#include <gtest/gtest.h>

namespace hwynn {
namespace {

using Parts = std::vector<std::string>;

TEST(ArrayNameTest, PathsAreCutAtEverySeparator) {
  EXPECT_EQ(SplitPath("a/b.c/d", '/'), (Parts{"a", "b.c", "d"}));
  EXPECT_EQ(SplitPath("a/b.c/d", '.'), (Parts{"a/b", "c/d"}));
  EXPECT_EQ(SplitPath("a", '/'), (Parts{"a"}));
  EXPECT_EQ(SplitPath("", '/'), (Parts{""}));
  EXPECT_EQ(SplitPath("/a//", '/'), (Parts{"", "a", "", ""}));
}

TEST(ArrayNameTest, NamesSayCollectionAndPath) {
  EXPECT_EQ(ArrayName("params", "ResNetBlock_0/Conv_0/kernel"), "params.ResNetBlock_0.Conv_0.kernel");
  for (const char* path : {"Dense_0/kernel", "kernel", "layers/0/kernel"}) {
    const ArrayPlace place = ParseArrayName(ArrayName("batch_stats", path));
    EXPECT_EQ(place.collection, "batch_stats");
    EXPECT_EQ(place.path, path);
  }
  EXPECT_EQ(ParseArrayName("step").collection, "step");
  EXPECT_EQ(ParseArrayName("step").path, "");
  EXPECT_EQ(ParseArrayName("opt_state.").collection, "opt_state");
  EXPECT_EQ(ParseArrayName("opt_state_more.x").collection, "opt_state_more");
}

}  // namespace
}  // namespace hwynn
