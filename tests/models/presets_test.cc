#include "hwynn/models/presets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;

TEST(PresetsTest, AreOptionsToEdit) {
  ResNetOptions options = ResNetPreset("resnet18");
  EXPECT_EQ(options.stage_sizes, (std::vector<int64_t>{2, 2, 2, 2}));
  EXPECT_FALSE(options.bottleneck);
  EXPECT_EQ(options.num_filters, 64);
  EXPECT_EQ(options.num_classes, 1000);
  EXPECT_EQ(ResNetPreset("resnet50").num_filters, 64);
  EXPECT_TRUE(ResNetPreset("resnet50").bottleneck);
  EXPECT_EQ(ResNetPreset("resnet110").stage_sizes, (std::vector<int64_t>{18, 18, 18}));
  EXPECT_EQ(ResNetPreset("resnet20").num_classes, 10);
  // What many train on CIFAR.
  options.stem = ResNetStem::kCifar;
  options.num_classes = 10;
  const Variables variables = Init(ResNet(options), KeyFromSeed(0), {1, 32, 32, 3});
  EXPECT_EQ(CountElements(GetCollection(variables, kParams)), 11'173'962);
}

TEST(PresetsTest, HasTimmsResNet26) {
  const Variables variables = Init(ResNet(ResNetPreset("resnet26")), KeyFromSeed(0), {1, 32, 32, 3});
  EXPECT_EQ(CountElements(GetCollection(variables, kParams)), 15'995'176);
}

TEST(PresetsTest, WidthRounds) {
  EXPECT_EQ(ResNetPreset("resnet20", 0.6).num_filters, 10);  // 9.6
  EXPECT_EQ(ResNetPreset("resnet20", 0.58).num_filters, 9);  // 9.28
  EXPECT_EQ(ResNetPreset("resnet20", 1e-9).num_filters, 1);  // never 0
  EXPECT_EQ(ResNetPreset("resnet18", 1.5).num_filters, 96);
}

TEST(PresetsTest, EachIsFoundByItsStages) {
  std::set<std::string_view> names;
  for (const NamedResNet& preset : ResNetPresets()) {
    names.insert(preset.name);
    for (const int64_t filters : {1, 7, 16, 64, 100}) {
      ResNetOptions options = preset.options;
      options.num_filters = filters;
      const auto match = FindResNetPreset(options);
      ASSERT_TRUE(match) << preset.name;
      EXPECT_EQ(match->name, preset.name);
      EXPECT_TRUE(match->same_stem);
      EXPECT_EQ(ResNetPreset(match->name, match->width).num_filters, filters) << preset.name;
    }
    ResNetOptions other = preset.options;
    other.stem = other.stem == ResNetStem::kCifar ? ResNetStem::kImageNet : ResNetStem::kCifar;
    EXPECT_FALSE(FindResNetPreset(other)->same_stem);
    other.stage_sizes.back() += 1;
    EXPECT_FALSE(FindResNetPreset(other));
  }
  EXPECT_EQ(names.size(), 11U);
  EXPECT_FALSE(FindResNetPreset({.stage_sizes = {3, 3, 3}, .bottleneck = true}));
}

TEST(PresetsTest, NamesBadNamesAndWidths) {
  ExpectError<std::invalid_argument>([] { ResNetPreset("resnet19"); }, {"\"resnet19\"", "resnet18, ", ", resnet110"});
  ExpectError<std::invalid_argument>([] { ResNetPreset("resnet20", 0.0); }, {"width (0)"});
  ExpectError<std::invalid_argument>([] { ResNetPreset("resnet20", 1e300); }, {"width (1e+300)"});
  ExpectError<std::invalid_argument>([] { ResNetPreset("resnet20", NAN); }, {"width (nan)"});
}

}  // namespace
}  // namespace hwynn
