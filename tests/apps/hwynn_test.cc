// The program as a user meets it: files it writes, what it prints.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "hwynn/formats/safetensors.h"
#include "hwynn/images/decoded_image.h"
#include "hwynn/images/transform.h"
#include "hwynn/tests/apps/hwynn_program.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/png.h"
#include "hwynn/training/checkpoint.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;
using testing::LastLine;
using testing::ReadText;
using testing::Result;
using testing::WriteText;
using HwynnTest = testing::HwynnTest;

/// A grey PNG with a gradient from left to right.
std::string MakePng(uint32_t width, uint32_t height) {
  testing::Bytes pixels;
  for (uint32_t i = 0; i < width * height; ++i) pixels.push_back(static_cast<uint8_t>(255 * (i % width) / width));
  const testing::Bytes file = testing::MakePng(height, width, 1, pixels);
  return {file.begin(), file.end()};
}

TEST_F(HwynnTest, TrainsEvaluatesPredictsInspects) {
  const Result trained = Run(Train("run", {"--model=resnet20", "--width=0.25", "--batch-size=32", "--max-steps=5",
                                           "--json", "--pad-crop=2", "--random-erasing=0.3"}));
  ASSERT_EQ(trained.code, 0) << trained.err;
  const auto result = nlohmann::json::parse(LastLine(trained.out));
  for (const char* key : {"test_accuracy", "test_loss", "images_per_second", "epochs", "seconds", "peak_rss_bytes",
                          "target", "threads"}) {
    EXPECT_TRUE(result.contains(key)) << key;
  }
  const Result evaluated = Run({"evaluate", "--checkpoint", CheckpointOf("run"), "--threads=1", "--json"});
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  const auto evaluation = nlohmann::json::parse(LastLine(evaluated.out));
  EXPECT_EQ(evaluation["test_accuracy"], result["test_accuracy"]);
  EXPECT_EQ(evaluation["test_loss"], result["test_loss"]);

  const std::string svg = ReadText(folder_ / "run/history.svg");
  EXPECT_EQ(svg.find("<svg"), 0u);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(ReadText(folder_ / "run/history.csv").find("epoch,step,"), 0u);

  const std::string fits = (folder_ / "fits.png").string(), large = (folder_ / "large.png").string();
  WriteText(fits, MakePng(28, 28));
  WriteText(large, MakePng(45, 33));
  const Result predicted = Run({"predict", "--checkpoint", CheckpointOf("run"), "--top", "10", fits, large});
  ASSERT_EQ(predicted.code, 0) << predicted.err;
  EXPECT_NE(predicted.out.find("large.png (45x33, resized to 28x28)"), std::string::npos) << predicted.out;
  EXPECT_EQ(std::count(predicted.out.begin(), predicted.out.end(), '\n'), 22);
  WriteText(fits, MakePng(28, 28).substr(0, 60));
  EXPECT_EQ(Run({"predict", "--checkpoint", CheckpointOf("run"), fits}).code, 1);

  const Result inspected = Run({"inspect", CheckpointOf("run")});
  EXPECT_NE(inspected.out.find("kernel  F32 [3,3,1,4]"), std::string::npos) << inspected.out;
  EXPECT_NE(inspected.out.find("batch_stats"), std::string::npos);

  const Result tuned = Run(Train("tuned", {"--model=resnet20", "--width=0.25", "--batch-size=32", "--max-steps=1",
                                           "--finetune", CheckpointOf("run")}));
  EXPECT_EQ(tuned.code, 0) << tuned.err;
}

// A checkpoint that says how photographs become its images: a JPEG, resized and cropped so.
TEST_F(HwynnTest, PredictsAPhotographAsTheCheckpointSays) {
  ASSERT_EQ(Run(Train("run", {"--model=resnet20", "--width=0.25", "--batch-size=32", "--max-steps=2"})).code, 0);
  const SafetensorsFile golden(HWYNN_GOLDEN_DIR "/images.safetensors");
  const auto bytes = golden.Entry("420.jpg").bytes;
  const std::string photograph = (folder_ / "photograph").string(),
                    cropped = (folder_ / "cropped.safetensors").string();
  WriteText(photograph, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const SafetensorsFile checkpoint(CheckpointOf("run"));
  SafetensorsMetadata metadata = checkpoint.metadata();
  const EvaluationTransform transform = {.image_size = 28, .resize = 32, .interpolation = Interpolation::kBicubic};
  metadata["evaluation_transform"] = ToText(transform);
  WriteSafetensors(cropped, checkpoint.entries(), metadata);

  Tensor image({1, 28, 28, 1});
  const DecodedImage whole = DecodeImage(bytes, photograph, {.channels = 1});
  ToInput(ApplyTransform(whole, transform), Checkpoint(CheckpointOf("run")).info().standardization, image.span());
  const std::vector<float> logits = Logits(CheckpointOf("run"), image);
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  const double best = std::exp(static_cast<double>(*std::ranges::max_element(logits))) / sum;

  const Result predicted = Run({"predict", "--checkpoint", cropped, "--top", "1", photograph});
  ASSERT_EQ(predicted.code, 0) << predicted.err;
  std::istringstream lines(predicted.out);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, photograph);
  double probability = 0.0;
  lines >> probability;
  EXPECT_NEAR(probability, best, 6e-5) << predicted.out;
  const Result resized = Run({"predict", "--checkpoint", CheckpointOf("run"), "--top", "1", photograph});
  EXPECT_NE(resized.out.find("(67x45, resized to 28x28)"), std::string::npos) << resized.out;
}

TEST_F(HwynnTest, PredictsAPngAsItsStandardisedPixels) {
  ASSERT_EQ(Run(Train("run", {"--model=resnet20", "--width=0.25", "--batch-size=32", "--max-steps=30"})).code, 0);
  const std::string png = (folder_ / "image.png").string();
  WriteText(png, MakePng(28, 28));
  const Checkpoint checkpoint(CheckpointOf("run"));
  const Standardization& standardization = checkpoint.info().standardization;
  ASSERT_GT(std::abs(standardization.mean.at(0)), 0.1f);
  Tensor image({1, 28, 28, 1});
  for (int64_t i = 0; i < 784; ++i) {
    const auto grey = static_cast<float>(255 * (i % 28) / 28);
    image[i] = (grey / 255.0f - standardization.mean[0]) / standardization.stddev.at(0);
  }
  const std::vector<float> logits = Logits(CheckpointOf("run"), image);
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  std::vector<std::pair<double, std::string>> classes;
  for (size_t i = 0; i < logits.size(); ++i) {
    classes.emplace_back(-std::exp(static_cast<double>(logits[i])) / sum, checkpoint.info().class_names[i]);
  }
  std::ranges::sort(classes);

  const Result predicted = Run({"predict", "--checkpoint", CheckpointOf("run"), "--top", "3", png});
  std::istringstream lines(predicted.out);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, png);
  for (size_t i = 0; i < 3; ++i) {
    double probability = 0.0;
    std::string name;
    lines >> probability >> name;
    EXPECT_NEAR(probability, -classes[i].first, 6e-5) << predicted.out;  // four digits are printed
    EXPECT_EQ(name, classes[i].second) << predicted.out;
  }
  EXPECT_FALSE(lines >> line) << line;
}

TEST_F(HwynnTest, PredictsEachImageOfABatchAsIfItWereAlone) {
  ASSERT_EQ(Run(Train("run", {"--max-steps=30"})).code, 0);
  const Tensor images = testing::Normals({33, 28, 28, 1}, 1);  // one more than a batch of the program
  const std::vector<float> logits = Logits(CheckpointOf("run"), images);
  ASSERT_EQ(logits.size(), 330u);
  for (const int64_t index : {0, 1, 31, 32}) {
    Tensor image({1, 28, 28, 1});
    std::ranges::copy(images.span().subspan(static_cast<size_t>(index) * 784, 784), image.data());
    const std::vector<float> alone = Logits(CheckpointOf("run"), image);
    for (size_t k = 0; k < 10; ++k) {
      EXPECT_NEAR(logits[static_cast<size_t>(index) * 10 + k], alone[k], 1e-4f) << index;
    }
  }
}

// The first step's learning rate is 0: what it leaves is what fine-tuning started from, but for the statistics.
TEST_F(HwynnTest, FinetuningStartsFromTheCheckpointsArrays) {
  const std::vector<std::string> options = {"--model=resnet20", "--width=0.25", "--batch-size=32"};
  auto more = options;
  more.push_back("--max-steps=5");
  ASSERT_EQ(Run(Train("run", more)).code, 0);
  more = options;
  more.insert(more.end(), {"--max-steps=1", "--seed=7", "--finetune", CheckpointOf("run")});
  const Result tuned = Run(Train("tuned", more));
  ASSERT_EQ(tuned.code, 0) << tuned.err;
  more = options;
  more.insert(more.end(), {"--max-steps=1", "--seed=7"});
  ASSERT_EQ(Run(Train("fresh", more)).code, 0);
  const SafetensorsFile before(CheckpointOf("run")), after(CheckpointOf("tuned")), fresh(CheckpointOf("fresh"));
  int64_t params = 0;
  for (const auto& [name, entry] : before.entries()) {
    const std::span<const std::byte> bytes = after.Entry(name).bytes;
    if (name.starts_with("params.")) {
      ++params;
      EXPECT_TRUE(std::ranges::equal(entry.bytes, bytes)) << name;
    } else if (name.ends_with(".mean")) {  // moved from the checkpoint's, not from a fresh model's zeros
      EXPECT_FALSE(std::ranges::equal(entry.bytes, bytes)) << name;
      EXPECT_FALSE(std::ranges::equal(fresh.Entry(name).bytes, bytes)) << name;
    }
  }
  EXPECT_EQ(params, 65);
}

TEST_F(HwynnTest, ThreadsAndResumingDoNotChangeTheFile) {
  const std::vector<std::string> options = {"--model=resnet20", "--width=0.25", "--batch-size=32", "--pad-crop=2"};
  std::vector<std::string> files;
  for (const std::string threads : {"1", "2", "3"}) {
    auto more = options;
    more.insert(more.end(), {"--max-steps=6", "--threads", threads});
    const Result result = Run(Train("threads" + threads, more));
    ASSERT_EQ(result.code, 0) << result.err;
    files.push_back(ReadText(CheckpointOf("threads" + threads)));
  }
  EXPECT_TRUE(files[0] == files[1]);
  EXPECT_TRUE(files[0] == files[2]);

  // Without a checkpoint --resume starts afresh; with one it goes on; options not typed come from the checkpoint.
  auto more = options;
  more.insert(more.end(), {"--max-steps=4", "--resume"});
  ASSERT_EQ(Run(Train("resumed", more)).code, 0);
  EXPECT_FALSE(files[0] == ReadText(CheckpointOf("resumed")));
  const Result resumed =
      Run({"train", "--output", (folder_ / "resumed").string(), "--resume", "--max-steps=6", "--threads=1"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_TRUE(files[0] == ReadText(CheckpointOf("resumed")));
}

TEST_F(HwynnTest, AnEpochThatIsResumedKeepsItsTime) {
  const auto seconds_of_last_row = [&] {
    const std::string history = LastLine(ReadText(folder_ / "run/history.csv"));
    return std::stod(history.substr(history.rfind(',') + 1));
  };
  ASSERT_EQ(Run(Train("run", {"--max-steps=1"})).code, 0);
  // As if that step had taken very long.
  std::string history = ReadText(folder_ / "run/history.csv");
  history.resize(history.rfind(','));
  WriteText(folder_ / "run/history.csv", history + ",1000\n");
  ASSERT_EQ(Run(Train("run", {"--max-steps=2", "--resume"})).code, 0);
  EXPECT_GT(seconds_of_last_row(), 1000.0);
  EXPECT_LT(seconds_of_last_row(), 1900.0);
}

TEST_F(HwynnTest, AnEarlierRunsFilesAreKept) {
  ASSERT_EQ(Run(Train("run", {"--max-steps=2"})).code, 0);
  const std::string first = ReadText(CheckpointOf("run"));
  ASSERT_EQ(Run(Train("run", {"--max-steps=3"})).code, 0);
  const std::string second = ReadText(CheckpointOf("run"));
  const Result third = Run(Train("run", {"--max-steps=1"}));
  ASSERT_EQ(third.code, 0);
  EXPECT_NE(third.out.find((folder_ / "run/earlier-2").string()), std::string::npos) << third.out;
  EXPECT_TRUE(ReadText(folder_ / "run/earlier-1/checkpoint.safetensors") == first);
  EXPECT_TRUE(ReadText(folder_ / "run/earlier-2/checkpoint.safetensors") == second);
  EXPECT_TRUE(fs::exists(folder_ / "run/earlier-2/history.csv") && fs::exists(folder_ / "run/earlier-2/history.svg"));
  EXPECT_FALSE(ReadText(CheckpointOf("run")) == second);
  ASSERT_EQ(Run(Train("run", {"--resume", "--max-steps=2"})).code, 0);
  EXPECT_FALSE(fs::exists(folder_ / "run/earlier-3"));
}

TEST_F(HwynnTest, KilledInterruptedOrNotTheRunEndsTheSame) {
  const Result whole = Run(Train("whole", {"--json"}));
  ASSERT_EQ(whole.code, 0) << whole.err;
  const std::string file = ReadText(CheckpointOf("whole"));

  const Result killed = TrainAndSignal("killed", SIGKILL);
  EXPECT_EQ(killed.code, 128 + SIGKILL);
  const Result interrupted = TrainAndSignal("interrupted", SIGINT);
  EXPECT_EQ(interrupted.code, 130) << interrupted.out << interrupted.err;
  EXPECT_NE(interrupted.out.find("--resume"), std::string::npos) << interrupted.out;
  for (const std::string name : {"killed", "interrupted", "whole"}) {
    const Result resumed = Run(Train(name, {"--resume", "--json"}));
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_TRUE(ReadText(CheckpointOf(name)) == file) << name;
    const auto expected = nlohmann::json::parse(LastLine(whole.out)),
               result = nlohmann::json::parse(LastLine(resumed.out));
    EXPECT_EQ(result["test_loss"], expected["test_loss"]) << name;
    const std::string history = ReadText(folder_ / name / "history.csv");
    EXPECT_EQ(std::count(history.begin(), history.end(), '\n'), 4) << history;
  }
}

}  // namespace
}  // namespace hwynn
