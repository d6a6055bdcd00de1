#include "hwynn/training/recipe.h"

#include <gtest/gtest.h>

#include <map>
#include <stdexcept>
#include <string>

#include "hwynn/models/presets.h"
#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;

// No two options of a type have the same value, so that none can stand under another's name.
TEST(RecipeTest, EveryOptionHasItsName) {
  const Recipe recipe{.model = "mlp",
                      .width = 0.75,
                      .stem = ResNetStem::kCifar,
                      .padding = PaddingRule::kPyTorch,
                      .dataset = "synthetic",
                      .image_size = 15,
                      .training = {.epochs = 11,
                                   .batch_size = 12,
                                   .seed = 13,
                                   .label_smoothing = 0.125f,
                                   .fusion = false,
                                   .freeze_batch_norm = true,
                                   .ghost_batch_size = 14,
                                   .recalibrate = true,
                                   .optimizer = {.kind = OptimizerKind::kAdamW,
                                                 .momentum = 0.5f,
                                                 .nesterov = false,
                                                 .b1 = 0.25,
                                                 .b2 = 0.625,
                                                 .epsilon = 0.0625f,
                                                 .weight_decay = 0.03125f,
                                                 .decay_all = true,
                                                 .clip_norm = 4.5f},
                                   .schedule = {.kind = ScheduleKind::kStep,
                                                .learning_rate = 0.875,
                                                .warmup_epochs = 1.5,
                                                .decay_epochs = {3, 7},
                                                .decay_factor = 0.375},
                                   .augmentation = {.random_resized_crop = 0.34375,
                                                    .color_jitter = {0.4375, 0.46875, 0.53125, 0.484375},
                                                    .rand_augment = {.operations = 6, .magnitude = 17},
                                                    .pad_crop = 5,
                                                    .horizontal_flip = false,
                                                    .random_erasing = 0.6875,
                                                    .erasing_fill = ErasingFill::kMean,
                                                    .mixup = 0.1875}}};
  const std::map<std::string, std::string> fields = {{"model", "mlp"},
                                                     {"width", "0.75"},
                                                     {"stem", "cifar"},
                                                     {"padding", "pytorch"},
                                                     {"dataset", "synthetic"},
                                                     {"image-size", "15"},
                                                     {"random-resized-crop", "0.34375"},
                                                     {"color-jitter", "0.4375,0.46875,0.53125,0.484375"},
                                                     {"randaugment", "6,17"},
                                                     {"mixup", "0.1875"},
                                                     {"epochs", "11"},
                                                     {"batch-size", "12"},
                                                     {"seed", "13"},
                                                     {"label-smoothing", "0.125"},
                                                     {"fusion", "false"},
                                                     {"freeze-batch-norm", "true"},
                                                     {"ghost-batch", "14"},
                                                     {"recalibrate", "true"},
                                                     {"optimizer", "adamw"},
                                                     {"momentum", "0.5"},
                                                     {"nesterov", "false"},
                                                     {"beta1", "0.25"},
                                                     {"beta2", "0.625"},
                                                     {"epsilon", "0.0625"},
                                                     {"weight-decay", "0.03125"},
                                                     {"decay-all", "true"},
                                                     {"clip-norm", "4.5"},
                                                     {"schedule", "step"},
                                                     {"learning-rate", "0.875"},
                                                     {"warmup-epochs", "1.5"},
                                                     {"decay-epochs", "3,7"},
                                                     {"decay-factor", "0.375"},
                                                     {"pad-crop", "5"},
                                                     {"flip", "false"},
                                                     {"random-erasing", "0.6875"},
                                                     {"erasing-fill", "mean"}};
  EXPECT_EQ(ToFields(recipe), fields);
  EXPECT_EQ(ToFields(RecipeFromFields(fields)), fields);
}

TEST(RecipeTest, TheDefaultsAreThoseOfTheProgram) {
  const auto fields = ToFields(Recipe());
  const std::map<std::string, std::string> expected = {
      {"model", "resnet20"},   {"dataset", "fashion-mnist"}, {"epochs", "5"},           {"batch-size", "128"},
      {"optimizer", "sgd"},    {"momentum", "0.9"},          {"nesterov", "true"},      {"weight-decay", "5e-04"},
      {"beta1", "0.9"},        {"beta2", "0.999"},           {"epsilon", "1e-08"},      {"clip-norm", "0"},
      {"schedule", "cosine"},  {"learning-rate", "0.2"},     {"warmup-epochs", "0.75"}, {"flip", "true"},
      {"label-smoothing", "0"}};
  for (const auto& [name, text] : expected) EXPECT_EQ(fields.at(name), text) << name;
}

TEST(RecipeTest, RefusesWhatIsNoValueOfAnOption) {
  using Error = std::invalid_argument;
  const auto with = [](const std::string& name, const std::string& text) {
    return [=] {
      auto fields = ToFields(Recipe());
      fields[name] = text;
      RecipeFromFields(fields);
    };
  };
  ExpectError<Error>(with("epochs", "1.5"), {"epochs", "1.5"});
  ExpectError<Error>(with("epochs", "9223372036854775808"), {"epochs"});
  ExpectError<Error>(with("width", "wide"), {"width", "wide"});
  ExpectError<Error>(with("width", "1x"), {"width", "1x"});
  ExpectError<Error>(with("flip", "yes"), {"flip", "yes"});
  ExpectError<Error>(with("optimizer", "lamb"), {"optimizer", "lamb"});
  ExpectError<Error>(with("decay-epochs", "3,,7"), {"decay-epochs"});
  ExpectError<Error>(with("decay-epochs", "3,"), {"decay-epochs"});
  ExpectError<Error>(with("stem", ""), {"stem"});
  ExpectError<Error>(with("no-such-option", "1"), {"no-such-option"});
}

TEST(RecipeTest, ShortFormsOfAugmentations) {
  const auto read = [](const std::string& name, const std::string& text) {
    auto fields = ToFields(Recipe());
    fields[name] = text;
    return ToFields(RecipeFromFields(fields)).at(name);
  };
  EXPECT_EQ(read("color-jitter", "0.25"), "0.25,0.25,0.25,0");
  EXPECT_EQ(read("color-jitter", "0,0,0,0.5"), "0,0,0,0.5");
  EXPECT_EQ(read("randaugment", "3"), "3,9");
  EXPECT_EQ(read("randaugment", "3,0"), "3,0");
  for (const std::string text : {"", "0.1,0.2", "0.1,0.2,0.3,0.1,0.1", "much", "0.1,"}) {
    ExpectError<std::invalid_argument>([&] { read("color-jitter", text); }, {"color-jitter"});
  }
  for (const std::string text : {"", "2,9,1", "2.5", "two"}) {
    ExpectError<std::invalid_argument>([&] { read("randaugment", text); }, {"randaugment"});
  }
}

// The rows are history: they never change, and what has no row was in the first version's checkpoints.
TEST(RecipeTest, WhatIsAbsentHasTheValueOfItsTime) {
  EXPECT_EQ(ValuesWhenAbsent().at("padding"), "flax");
  EXPECT_EQ(ValuesWhenAbsent().at("stem"), "preset");
  EXPECT_EQ(ValuesWhenAbsent().at("fusion"), "false");
  EXPECT_EQ(ValuesWhenAbsent().at("freeze-batch-norm"), "false");
  EXPECT_EQ(ValuesWhenAbsent().at("ghost-batch"), "0");
  EXPECT_EQ(ValuesWhenAbsent().at("recalibrate"), "false");
  EXPECT_EQ(ValuesWhenAbsent().at("image-size"), "0");
  EXPECT_EQ(ValuesWhenAbsent().at("random-resized-crop"), "0");
  EXPECT_EQ(ValuesWhenAbsent().at("color-jitter"), "0,0,0,0");
  EXPECT_EQ(ValuesWhenAbsent().at("randaugment"), "0,9");
  EXPECT_EQ(ValuesWhenAbsent().at("mixup"), "0");
  Recipe other;
  other.padding = PaddingRule::kPyTorch;
  other.stem = ResNetStem::kCifar;
  other.training.fusion = true;
  other.training.freeze_batch_norm = true;
  other.training.ghost_batch_size = 14;
  other.training.recalibrate = true;
  other.image_size = 64;
  other.training.augmentation.random_resized_crop = 0.08;
  other.training.augmentation.color_jitter.hue = 0.1;
  other.training.augmentation.rand_augment.operations = 2;
  other.training.augmentation.mixup = 0.2;
  for (const auto& [name, value] : ToFields(other)) {
    auto fields = ToFields(other);
    fields.erase(name);
    const auto absent = ValuesWhenAbsent().find(name);
    if (absent == ValuesWhenAbsent().end()) {
      ExpectError<std::invalid_argument>([&] { RecipeFromFields(fields); }, {"\"" + name + "\" is missing"});
    } else {
      EXPECT_EQ(ToFields(RecipeFromFields(fields)).at(name), absent->second);
      EXPECT_NE(absent->second, value);
    }
  }
}

TEST(RecipeTest, AModelOfOptionsIsTheRecipes) {
  for (const NamedResNet& preset : ResNetPresets()) {
    const std::string name(preset.name);
    for (const ResNetStem stem : {ResNetStem::kImageNet, ResNetStem::kCifar, ResNetStem::kDeep}) {
      ResNetOptions options = ResNetPreset(name);
      options.num_filters = 3;
      options.stem = stem;
      options.padding = PaddingRule::kPyTorch;
      Recipe recipe;
      SetModel(options, recipe);
      EXPECT_EQ(recipe.model, name);
      EXPECT_EQ(recipe.stem.has_value(), stem != ResNetPreset(name).stem);
      const ModelOptions made = RecipeModelOptions(RecipeFromFields(ToFields(recipe)), 7);
      EXPECT_EQ(made.num_classes, 7);
      EXPECT_EQ(made.padding, PaddingRule::kPyTorch);
      EXPECT_EQ(ResNetPreset(recipe.model, made.width).num_filters, 3);
      EXPECT_EQ(made.stem.value_or(ResNetPreset(name).stem), stem);
      EXPECT_TRUE(SameBlocks(ResNetPreset(recipe.model), options));
    }
  }
  Recipe recipe;
  for (const int64_t stride : {1, 2}) {
    SetModel(MobileNetV2Options{.width = 1.4, .stem_stride = stride, .padding = PaddingRule::kPyTorch}, recipe);
    EXPECT_EQ(recipe.model, "mobilenet_v2");
    const ModelOptions made = RecipeModelOptions(RecipeFromFields(ToFields(recipe)), 7);
    EXPECT_EQ(made.width, 1.4);
    EXPECT_EQ(made.padding, PaddingRule::kPyTorch);
    EXPECT_EQ(made.stem.value_or(ResNetStem::kImageNet), stride == 2 ? ResNetStem::kImageNet : ResNetStem::kCifar);
  }
  ExpectError<std::invalid_argument>([&] { SetModel(MobileNetV2Options{.stem_stride = 3}, recipe); }, {"stride 3"});
  ExpectError<std::invalid_argument>(
      [&] {
        SetModel(ResNetOptions{.stage_sizes = {1, 2}}, recipe);
      },
      {"a ResNet of 1, 2 blocks"});
}

}  // namespace
}  // namespace hwynn
