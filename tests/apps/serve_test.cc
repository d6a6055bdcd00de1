// hwynn compile and what uses its files: predict, evaluate, inspect, serve-bench.

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hwynn/tests/apps/hwynn_program.h"
#include "hwynn/tests/support/fill.h"

namespace hwynn {
namespace {

using testing::LastLine;
using testing::ReadText;
using testing::Result;
using testing::WriteText;

class ServeTest : public testing::HwynnTest {
 protected:
  // A trained and compiled ResNet.
  void SetUp() override {
    testing::HwynnTest::SetUp();
    const Result trained = Run(Train("run", {"--model=resnet20", "--width=0.5", "--batch-size=32", "--max-steps=20"}));
    ASSERT_EQ(trained.code, 0) << trained.err;
    compiled_ = (folder_ / "model.hwynn").string();
    const Result result = Run({"compile", CheckpointOf("run"), "--output", compiled_});
    ASSERT_EQ(result.code, 0) << result.err;
  }

  nlohmann::json ServeBench(const std::vector<std::string>& options) {
    std::vector<std::string> arguments{"serve-bench", compiled_, "--json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Result result = Run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return nlohmann::json::parse(LastLine(result.out));
  }

  std::string compiled_;
};

TEST_F(ServeTest, TheCompiledModelPredictsAndEvaluatesAsTheCheckpoint) {
  const Tensor images = testing::Normals({5, 28, 28, 1}, 1);
  // predict folds a checkpoint in the same way.
  EXPECT_EQ(Logits(compiled_, images), Logits(CheckpointOf("run"), images));

  const auto evaluate = [&](const std::vector<std::string>& options) {
    std::vector<std::string> arguments{"evaluate", "--json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Result result = Run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return nlohmann::json::parse(LastLine(result.out));
  };
  const auto trained = evaluate({"--checkpoint", CheckpointOf("run")});
  const auto folded = evaluate({"--checkpoint", CheckpointOf("run"), "--compiled"});
  const auto loaded = evaluate({"--checkpoint", compiled_, "--dataset", "synthetic"});
  EXPECT_EQ(loaded, folded);
  EXPECT_NEAR(folded["test_loss"].get<double>(), trained["test_loss"].get<double>(), 1e-4);
  EXPECT_NEAR(folded["test_accuracy"].get<double>(), trained["test_accuracy"].get<double>(), 0.01);
  const Result unnamed = Run({"evaluate", "--checkpoint", compiled_});
  EXPECT_EQ(unnamed.code, 1);
  EXPECT_NE(unnamed.err.find("--dataset"), std::string::npos) << unnamed.err;
}

TEST_F(ServeTest, PackedFiltersChangeNoLogits) {
  const Tensor images = testing::Normals({2, 28, 28, 1}, 1);
  const std::string packed = (folder_ / "packed.hwynn").string();
  const Result result = Run({"compile", CheckpointOf("run"), "--output", packed, "--pack", "native", "--batch", "2"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_GT(std::filesystem::file_size(packed), std::filesystem::file_size(compiled_));
  EXPECT_EQ(Logits(packed, images), Logits(compiled_, images));
  ExpectOneSentence({"compile", CheckpointOf("run"), "--output", packed, "--pack", "MMX"}, "MMX");
  ExpectOneSentence({"compile", CheckpointOf("run"), "--output", packed, "--batch", "2"}, "--pack");
}

TEST_F(ServeTest, InspectListsTheSteps) {
  const Result result = Run({"inspect", compiled_});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("%1 = conv2d(%0, filter [3,3,1,8], stride 1x1) + bias, relu  # bn_init"), std::string::npos)
      << result.out;
  EXPECT_NE(result.out.find("images [28,28,1], 10 class names"), std::string::npos) << result.out;
}

TEST_F(ServeTest, CallersWithAnyThreadsGetTheSame) {
  const nlohmann::json one = ServeBench({"--callers=1", "--threads=2", "--batch=2", "--calls=5"});
  const nlohmann::json many = ServeBench({"--callers=4", "--threads=1", "--batch=2", "--calls=3"});
  EXPECT_EQ(one["checksum"], many["checksum"]);
  EXPECT_NE(ServeBench({"--batch=1", "--calls=1"})["checksum"], one["checksum"]);
  for (const nlohmann::json& report : {one, many}) {
    for (const char* field : {"images_per_second", "p50_ms", "p99_ms", "max_ms", "load_ms", "first_result_ms",
                              "idle_cpu_ms", "peak_rss_bytes"}) {
      EXPECT_TRUE(report.at(field).is_number()) << field;
    }
    EXPECT_LE(report["p50_ms"].get<double>(), report["p99_ms"].get<double>());
    EXPECT_LE(report["p99_ms"].get<double>(), report["max_ms"].get<double>());
    EXPECT_LT(report["load_ms"].get<double>(), report["first_result_ms"].get<double>());
    EXPECT_GT(report["images_per_second"].get<double>(), 0);
    EXPECT_GT(report["peak_rss_bytes"].get<double>(), 1 << 20);
  }
  const nlohmann::json larger = ServeBench({"--image-size=40", "--calls=2"});
  EXPECT_GT(larger["images_per_second"].get<double>(), 0);
}

TEST_F(ServeTest, BadFilesAreOneSentence) {
  const std::string bytes = ReadText(compiled_);
  std::string changed = bytes;
  changed[bytes.size() - 5] ^= 1;
  WriteText(folder_ / "changed", changed);
  WriteText(folder_ / "short", bytes.substr(0, bytes.size() / 2));
  for (const std::string name : {"changed", "short", "missing"}) {
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"serve-bench", (folder_ / name).string()},
          {"predict", "--checkpoint", (folder_ / name).string(), (folder_ / "image.png").string()}}) {
      ExpectOneSentence(command, (folder_ / name).string());
    }
  }
}

}  // namespace
}  // namespace hwynn
