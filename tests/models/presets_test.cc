#include "hwynn/models/presets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>

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

int64_t CountParams(const Module& model) {
  return CountElements(GetCollection(InitZeros(model, {1, 32, 32, 3}), kParams));
}

// The counts that torchvision and timm print.
TEST(PresetsTest, HaveTheirFrameworksNumbersOfParams) {
  const std::map<std::string, int64_t> counts = {
      {"resnet18", 11'689'512},         {"resnet26", 15'995'176},          {"resnet34", 21'797'672},
      {"resnet50", 25'557'032},         {"resnet101", 44'549'160},         {"resnet152", 60'192'808},
      {"wide_resnet50_2", 68'883'240},  {"wide_resnet101_2", 126'886'696}, {"resnext50_32x4d", 25'028'904},
      {"resnext101_32x8d", 88'791'336}, {"resnet50d", 25'576'264}};
  for (const auto& [name, count] : counts) EXPECT_EQ(CountParams(ResNet(ResNetPreset(name))), count) << name;
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
  EXPECT_EQ(names.size(), 21U);
  EXPECT_FALSE(FindResNetPreset({.stage_sizes = {3, 3, 3}, .bottleneck = true}));
  // Kin that no preset is.
  ResNetOptions kin = ResNetPreset("resnext50_32x4d");
  kin.width_per_group = 5;
  EXPECT_FALSE(FindResNetPreset(kin));
  EXPECT_EQ(ResNetText(kin), "a ResNet of 3, 4, 6, 3 bottleneck blocks of 32x5");
  kin = ResNetPreset("wide_resnet50_2");
  kin.average_projection = true;
  EXPECT_EQ(ResNetText(kin),
            "a ResNet of 3, 4, 6, 3 bottleneck blocks of 1x128 with average pools in their projections");
  kin = ResNetPreset("resnet50");
  kin.stem = ResNetStem::kDeep;
  EXPECT_EQ(FindResNetPreset(kin)->name, "resnet50");
  EXPECT_FALSE(FindResNetPreset(kin)->same_stem);
}

TEST(PresetsTest, NamesBadNamesAndWidths) {
  ExpectError<std::invalid_argument>([] { ResNetPreset("resnet19"); }, {"\"resnet19\"", "resnet18, ", ", resnet110"});
  ExpectError<std::invalid_argument>([] { ResNetPreset("resnet20", 0.0); }, {"width (0)"});
  ExpectError<std::invalid_argument>([] { ResNetPreset("resnet20", 1e300); }, {"width (1e+300)"});
  ExpectError<std::invalid_argument>([] { ResNetPreset("resnet20", NAN); }, {"width (nan)"});
}

}  // namespace
}  // namespace hwynn
