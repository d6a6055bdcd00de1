#include "hwynn/training/profile.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/pool.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/training/train_state.h"

namespace hwynn {
namespace {

constexpr int64_t kBatch = 4;

StepProfile ProfileOf(bool fusion) {
  Sequential net;
  net.Add(Conv({.features = 8, .use_bias = false})).Add(BatchNorm({.relu = true}));
  net.Add(Conv({.features = 8, .use_bias = false})).Add(GlobalAveragePool()).Add(Dense({.features = 3}));
  const OptimizerOptions sgd;
  TrainState state = CreateTrainState(net, sgd, KeyFromSeed(0), {6, 6, 2});
  const Tensor images = testing::Normals({kBatch, 6, 6, 2}, 1);
  const std::vector<int32_t> labels(kBatch, 1);
  Stepper stepper(net, sgd, {.fusion = fusion});
  StepProfile profile;
  stepper.Train(images, labels, 0.1f, Key{}, state, &profile);
  return profile;
}

std::set<std::string> Names(const StepProfile& profile) {
  std::set<std::string> names;
  for (const Work& work : profile.work()) names.insert(work.path + ": " + std::string(work.what));
  return names;
}

TEST(ProfileTest, NamesAllWorkOfAStep) {
  const std::set<std::string> both = {
      "Conv_0: forward",          "Conv_0: backward filter",      "Conv_0: backward input",       "Conv_1: forward",
      "Conv_1: backward filter",  "Conv_1: backward input",       "BatchNorm_0: backward",        "Dense_0: forward",
      "Dense_0: backward kernel", "Dense_0: backward input",      "GlobalAveragePool_0: forward", "loss: forward",
      "optimizer: update",        "GlobalAveragePool_0: backward"};
  EXPECT_EQ(Names(ProfileOf(true)), both);
  std::set<std::string> unfused = both;
  unfused.insert({"BatchNorm_0: statistics", "BatchNorm_0: normalize"});
  EXPECT_EQ(Names(ProfileOf(false)), unfused);
}

TEST(ProfileTest, CountsBytes) {
  const int64_t image = kBatch * 6 * 6 * static_cast<int64_t>(sizeof(float));  // of one channel
  const StepProfile profile = ProfileOf(false);
  for (const Work& work : profile.work()) {
    if (work.path == "Conv_1" && work.what == "forward") {
      EXPECT_EQ(work.bytes, 16 * image + 9 * 64 * 4);
    }
    if (work.what == "statistics") {
      EXPECT_EQ(work.bytes, 8 * image);
    }
    EXPECT_GE(work.seconds, 0);
  }
  // x, z, y, and the dense layer's input; mean and var of the BatchNorm.
  EXPECT_EQ(profile.kept_bytes(), (2 + 8 + 8) * image + kBatch * 8 * 4 + 2 * 8 * 4);
  EXPECT_EQ(profile.kept_bytes() - ProfileOf(true).kept_bytes(), 8 * image);
}

TEST(ProfileTest, TableAndTraceHaveAll) {
  const StepProfile profile = ProfileOf(true);
  const std::string table = profile.Table();
  const auto events = nlohmann::json::parse(profile.TraceJson()).at("traceEvents");
  ASSERT_EQ(events.size(), profile.work().size());
  double seconds = 0;
  for (size_t i = 0; i < events.size(); ++i) {
    const Work& work = profile.work()[i];
    EXPECT_NE(table.find(work.path), std::string::npos) << work.path;
    EXPECT_EQ(events[i].at("name"), work.path + " " + std::string(work.what));
    EXPECT_EQ(events[i].at("ph"), "X");
    EXPECT_NEAR(events[i].at("dur").get<double>(), work.seconds * 1e6, 1e-6);
    seconds += work.seconds;
  }
  double by_kind = 0;
  for (const WorkKind kind : {WorkKind::kConvolution, WorkKind::kDense, WorkKind::kPooling, WorkKind::kPass}) {
    by_kind += profile.Seconds(kind);
  }
  EXPECT_DOUBLE_EQ(seconds, by_kind);
}

}  // namespace
}  // namespace hwynn
