// The program on folders and lists of photographs.

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hwynn/tests/apps/hwynn_program.h"
#include "hwynn/tests/support/png.h"
#include "hwynn/training/checkpoint.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;
using testing::LastLine;
using testing::ReadText;
using testing::Result;
using testing::WriteText;

class PhotosTest : public testing::HwynnTest {
 protected:
  void SetUp() override {
    HwynnTest::SetUp();
    for (uint32_t i = 0; i < 48; ++i) WritePhoto("photos/train", i);
    for (uint32_t i = 48; i < 60; ++i) WritePhoto("photos/val", i);
  }

  /// Photograph `number`, of stripes across or along, in one of two sizes.
  void WritePhoto(const std::string& folder, uint32_t number) {
    const std::string of_class = number % 2 == 0 ? "across" : "along";
    const testing::Bytes file = testing::MakeStripes(number % 3 == 0 ? 24 : 20, number % 3 == 0 ? 20 : 30, number);
    temp_.Write(folder + "/" + of_class + "/" + std::to_string(100 + number) + ".png", file);
  }

  std::string Photos() const { return (folder_ / "photos").string(); }

  std::vector<std::string> Train(const std::string& name, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"train",
                                          "--dataset",
                                          "folder",
                                          "--data-dir",
                                          Photos(),
                                          "--image-size",
                                          "16",
                                          "--model",
                                          "resnet20",
                                          "--width",
                                          "0.25",
                                          "--epochs",
                                          "2",
                                          "--batch-size",
                                          "8",
                                          "--warmup-epochs",
                                          "0.5",
                                          "--learning-rate",
                                          "0.05",
                                          "--output",
                                          (folder_ / name).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
};

TEST_F(PhotosTest, TrainsEvaluatesAndPredicts) {
  const Result trained = Run(Train("run", {"--json"}));
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_NE(trained.out.find("(48 training, 12 test images [16,16,3])"), std::string::npos) << trained.out;
  const CheckpointInfo info = Checkpoint(CheckpointOf("run")).info();
  EXPECT_EQ(info.class_names, (std::vector<std::string>{"across", "along"}));
  EXPECT_EQ(info.transform, PhotographTransform(16));
  EXPECT_EQ(info.recipe.image_size, 16);
  EXPECT_EQ(info.recipe.training.augmentation.random_resized_crop, 0.08);
  EXPECT_EQ(info.standardization.mean, (std::vector<float>{0.485f, 0.456f, 0.406f}));

  const Result evaluated = Run({"evaluate", "--checkpoint", CheckpointOf("run"), "--data-dir", Photos(), "--json"});
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  EXPECT_EQ(nlohmann::json::parse(LastLine(evaluated.out))["test_loss"],
            nlohmann::json::parse(LastLine(trained.out))["test_loss"]);

  // Predicting the images of a folder is evaluating them.
  const std::string val = (folder_ / "photos/val").string();
  const Result predicted = Run({"predict", "--checkpoint", CheckpointOf("run"), val, "--top", "5", "--json"});
  ASSERT_EQ(predicted.code, 0) << predicted.err;
  const auto images = nlohmann::json::parse(LastLine(predicted.out))["images"];
  ASSERT_EQ(images.size(), 12u);
  int64_t correct = 0;
  for (size_t i = 0; i < images.size(); ++i) {
    const std::string path = images[i]["path"];
    const auto& top = images[i]["top"];
    ASSERT_EQ(top.size(), 2u);
    EXPECT_NEAR(top[0]["probability"].get<double>() + top[1]["probability"].get<double>(), 1.0, 1e-6);
    EXPECT_GE(top[0]["probability"], top[1]["probability"]);
    if (i > 0) {
      EXPECT_LT(images[i - 1]["path"], path);
    }
    correct += path.find(top[0]["class"].get<std::string>()) != std::string::npos ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(correct) / 12.0,
              nlohmann::json::parse(LastLine(evaluated.out))["test_accuracy"].get<double>(), 1e-9);

  const std::string compiled = (folder_ / "model.hwynn").string();
  ASSERT_EQ(Run({"compile", CheckpointOf("run"), "--output", compiled}).code, 0);
  const Result served = Run({"predict", "--checkpoint", compiled, val, "--top", "5", "--json"});
  EXPECT_EQ(LastLine(served.out), LastLine(predicted.out)) << served.err;
  const Result with_name =
      Run({"evaluate", "--checkpoint", compiled, "--dataset", "folder", "--data-dir", Photos(), "--json"});
  EXPECT_EQ(nlohmann::json::parse(LastLine(with_name.out))["test_accuracy"],
            nlohmann::json::parse(LastLine(evaluated.out))["test_accuracy"]);

  ExpectOneSentence({"predict", "--checkpoint", CheckpointOf("run"), (folder_ / "run").string()},
                    "there are no PNG or JPEG images in it");
}

// With everything that is random about an image.
TEST_F(PhotosTest, TheSameCheckpointForAnyThreadsAndCacheStoppedOrNot) {
  const std::vector<std::string> random = {"--color-jitter",   "0.4,0.4,0.4,0.1",
                                           "--randaugment",    "2,9",
                                           "--mixup",          "0.2",
                                           "--pad-crop",       "1",
                                           "--random-erasing", "0.3"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), random.begin(), random.end());
    return more;
  };
  ASSERT_EQ(Run(Train("one", with({"--threads", "1"}))).code, 0);
  const std::string expected = ReadText(CheckpointOf("one"));
  ASSERT_FALSE(expected.empty());
  const std::vector<std::vector<std::string>> others = {
      {"--threads", "2"}, {"--threads", "3", "--cache-images", "0"}, {"--threads", "2", "--cache-images", "20k"}};
  for (const auto& other : others) {
    ASSERT_EQ(Run(Train("other", with(other))).code, 0);
    EXPECT_TRUE(ReadText(CheckpointOf("other")) == expected) << other[1];
  }
  // Ended within the first epoch, then killed at some moment, then to the end.
  ASSERT_EQ(Run(Train("stopped", with({"--max-steps", "3"}))).code, 0);
  const pid_t pid = Start(Train("stopped", with({"--resume", "--threads", "3"})));
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  kill(pid, SIGKILL);
  Wait(pid);
  const Result resumed = Run(Train("stopped", with({"--resume", "--threads", "2"})));
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_TRUE(ReadText(CheckpointOf("stopped")) == expected);
}

TEST_F(PhotosTest, AListIsTheFolderThatItLists) {
  ASSERT_EQ(Run(Train("folder")).code, 0);
  for (const std::string split : {"train", "val"}) {
    std::string table = "label,path\n";
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "photos" / split)) {
      if (!entry.is_regular_file()) continue;
      table += entry.path().parent_path().filename().string() + ",\"" +
               fs::relative(entry.path(), folder_ / "photos").string() + "\"\n";
    }
    WriteText(folder_ / "photos" / (split + ".csv"), table);
  }
  ASSERT_EQ(Run(Train("csv", {"--dataset", "csv"})).code, 0);
  const Checkpoint by_folder(CheckpointOf("folder")), by_list(CheckpointOf("csv"));
  Recipe recipe = by_list.info().recipe;
  recipe.dataset = "folder";
  EXPECT_EQ(ToFields(recipe), ToFields(by_folder.info().recipe));
  const auto arrays = [&](const std::string& name) {
    std::vector<std::byte> bytes;
    const SafetensorsFile file(CheckpointOf(name));
    for (const auto& [array, entry] : file.entries()) bytes.insert(bytes.end(), entry.bytes.begin(), entry.bytes.end());
    return bytes;
  };
  EXPECT_TRUE(arrays("csv") == arrays("folder"));
  // One file alone is split by seed.
  const Result alone =
      Run(Train("alone", {"--dataset", "csv", "--max-steps=1", "--data-dir", Photos() + "/train.csv"}));
  EXPECT_EQ(alone.code, 0) << alone.err;
  EXPECT_NE(alone.out.find("(44 training, 4 test images"), std::string::npos) << alone.out;
}

TEST_F(PhotosTest, AFolderWithoutASplitIsEvaluatedOnWhatTrainingLeft) {
  const std::string all = (folder_ / "photos/train").string();
  const Result trained = Run(Train("run", {"--data-dir", all, "--seed", "3", "--max-steps=2", "--json"}));
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_NE(trained.out.find("(44 training, 4 test images"), std::string::npos) << trained.out;
  const auto loss = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"evaluate", "--checkpoint", CheckpointOf("run"), "--data-dir", all, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return nlohmann::json::parse(LastLine(Run(arguments).out))["test_loss"];
  };
  EXPECT_EQ(loss({}), nlohmann::json::parse(LastLine(trained.out))["test_loss"]);
  EXPECT_NE(loss({"--seed", "4"}), loss({}));
}

TEST_F(PhotosTest, BrokenImagesAreNamedAndCounted) {
  temp_.Write("photos/train/along/110.png", {'n', 'o', 'n', 'e'});
  const std::string cut = ReadText(folder_ / "photos/val/along/149.png").substr(0, 200);
  WriteText(folder_ / "photos/val/along/149.png", cut);
  // The first batch needn't hold the broken one; the first epoch does.
  const Result refused = Run(Train("run"));
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("110.png: "), std::string::npos) << refused.err;
  const Result trained = Run(Train("run", {"--skip-broken", "--json"}));
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_NE(trained.out.find("left out: " + Photos() + "/train/along/110.png: "), std::string::npos) << trained.out;
  EXPECT_NE(trained.out.find("left out: " + Photos() + "/val/along/149.png: "), std::string::npos) << trained.out;
  EXPECT_NE(trained.out.find("2 of 61 images were left out"), std::string::npos) << trained.out;
  EXPECT_NE(trained.out.find("(48 training, 11 test images"), std::string::npos) << trained.out;
  EXPECT_EQ(nlohmann::json::parse(LastLine(trained.out))["left_out_images"], 2);

  const std::vector<std::string> evaluate = {"evaluate", "--checkpoint", CheckpointOf("run"), "--data-dir", Photos()};
  ExpectOneSentence(evaluate, "149.png: ");
  std::vector<std::string> skipping = evaluate;
  skipping.insert(skipping.end(), {"--skip-broken", "--json"});
  EXPECT_EQ(nlohmann::json::parse(LastLine(Run(skipping).out))["left_out_images"], 1);

  const std::string val = (folder_ / "photos/val").string();
  ExpectOneSentence({"predict", "--checkpoint", CheckpointOf("run"), val}, "149.png: ");
  const Result predicted = Run({"predict", "--checkpoint", CheckpointOf("run"), val, "--skip-broken", "--json"});
  ASSERT_EQ(predicted.code, 0) << predicted.err;
  const auto result = nlohmann::json::parse(LastLine(predicted.out));
  EXPECT_EQ(result["images"].size(), 11u);
  EXPECT_EQ(result["left_out_images"], 1);
}

TEST_F(PhotosTest, OneSentenceForWhatDoesNotFit) {
  ASSERT_EQ(Run(Train("run", {"--max-steps=1"})).code, 0);
  const std::string checkpoint = CheckpointOf("run");
  fs::rename(folder_ / "photos/val/along", folder_ / "photos/val/diagonal");
  ExpectOneSentence({"evaluate", "--checkpoint", checkpoint, "--data-dir", Photos()},
                    "\"diagonal\" isn't one of the classes across, along; those of these images are across, diagonal");
  ExpectOneSentence(Train("run", {"--resume"}), "\"diagonal\" isn't one of the classes across, along");
  ExpectOneSentence({"evaluate", "--checkpoint", checkpoint}, "--dataset folder needs --data-dir");
  ExpectOneSentence(Train("x", {"--data-dir", (folder_ / "none").string()}), "there is no such folder");
  ExpectOneSentence(Train("x", {"--dataset", "synthetic"}), "--image-size is of photographs");
  ExpectOneSentence(Train("x", {"--image-size", "5000"}), "--image-size 5000");
  ExpectOneSentence(Train("x", {"--cache-images", "much"}), "--cache-images much");
  ExpectOneSentence(Train("x", {"--dataset", "folders"}), "known: fashion-mnist, mnist");
  ExpectOneSentence({"train", "--dataset", "synthetic", "--skip-broken"}, "has no files of photographs");
  fs::remove_all(folder_ / "photos/train/along");
  fs::create_directory(folder_ / "photos/train/along");
  ExpectOneSentence(Train("x"), "along: this class has no PNG or JPEG images");
}

TEST_F(PhotosTest, FineTuningTakesTheSizeOfItsCheckpoint) {
  ASSERT_EQ(Run(Train("run", {"--max-steps=1"})).code, 0);
  const Result tuned =
      Run({"train", "--dataset", "folder", "--data-dir", Photos(), "--finetune", CheckpointOf("run"), "--batch-size=8",
           "--random-resized-crop=0.5", "--max-steps=1", "--output", (folder_ / "tuned").string()});
  ASSERT_EQ(tuned.code, 0) << tuned.err;
  const CheckpointInfo info = Checkpoint(CheckpointOf("tuned")).info();
  EXPECT_EQ(info.transform, PhotographTransform(16));
  EXPECT_EQ(info.recipe.training.augmentation.random_resized_crop, 0.5);
}

}  // namespace
}  // namespace hwynn
