#include "hwynn/formats/sound_values.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

namespace hwynn {
namespace {

std::string Find(std::string_view name, const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(float) + 1);  // one byte off, as in a file
  if (!values.empty()) std::memcpy(bytes.data() + 1, values.data(), values.size() * sizeof(float));
  return FindUnsoundValue(name, std::span(bytes).subspan(1)).value_or("");
}

TEST(SoundValuesTest, TheFirstValueThatNoModelHoldsIsFound) {
  std::vector<float> values(1000, -1.0f);
  EXPECT_EQ(Find("params/kernel", values), "");
  EXPECT_EQ(Find("params/kernel", {}), "");
  EXPECT_EQ(Find("params/kernel", {std::numeric_limits<float>::max(), std::numeric_limits<float>::denorm_min()}), "");
  values[999] = -INFINITY;
  EXPECT_EQ(Find("params/kernel", values), "holds -inf at element 999, which is not finite");
  values[500] = NAN;
  EXPECT_EQ(Find("params/kernel", values), "holds nan at element 500, which is not finite");
}

TEST(SoundValuesTest, NoVarianceIsNegative) {
  for (const char* name : {"var", "batch_stats/bn_init/var", "batch_stats.bn_init.var"}) {
    EXPECT_EQ(Find(name, {1.0f, -0.0f, 0.0f}), "");
    EXPECT_EQ(Find(name, {1.0f, -0.5f}), "holds -0.5 at element 1, which no variance can be");
    EXPECT_EQ(Find(name, {1.0f, NAN}), "holds nan at element 1, which is not finite");
  }
  for (const char* name : {"batch_stats/var/mean", "var.mean", "covar", "invar/x", ""}) {
    EXPECT_EQ(Find(name, {-0.5f}), "") << name;
  }
}

}  // namespace
}  // namespace hwynn
