#include "hwynn/training/profile.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/layers/batch_norm.h"
#include "hwynn/layers/conv.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/pool.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/operator_new.h"
#include "hwynn/training/train_state.h"

namespace {
thread_local bool no_memory_left = false;
}

void* hwynn::testing::AllocateOrNull(size_t size, size_t alignment) noexcept {
  return no_memory_left ? nullptr : AlignedAlloc(size, alignment);
}

void hwynn::testing::Free(void* memory) noexcept { std::free(memory); }

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

// A WorkTimer calls it from its destructor.
static_assert(noexcept(std::declval<CallObserver&>().OnWork(std::declval<const Work&>())));

TEST(WorkTimerTest, TellsOfABlockThatAnExceptionLeaves) {
  StepProfile profile;
  const auto fail = [&] {
    const WorkTimer timer(&profile, {.path = "Conv_0", .what = "forward"});
    throw std::runtime_error("no");
  };
  EXPECT_THROW(fail(), std::runtime_error);
  ASSERT_EQ(profile.work().size(), 1u);
  EXPECT_EQ(profile.work()[0].path, "Conv_0");
}

TEST(ProfileTest, OutlivesMemoryThatRunsOut) {
  const auto work = [](const std::string& path) { return Work{.path = path + " of a name that needs memory"}; };
  const Work kept = work("kept"), lost = work("lost"), late = work("late");
  StepProfile profile;
  { const WorkTimer timer(&profile, kept); }
  EXPECT_TRUE(profile.complete());
  const std::string table = profile.Table();
  {
    const WorkTimer timer(&profile, lost);
    no_memory_left = true;
  }
  no_memory_left = false;
  { const WorkTimer timer(&profile, late); }  // no gaps
  EXPECT_FALSE(profile.complete());
  ASSERT_EQ(profile.work().size(), 1u);
  EXPECT_EQ(profile.work()[0].path, kept.path);
  EXPECT_EQ(profile.Table(), table + "incomplete: memory ran out\n");
  profile.Clear();
  { const WorkTimer timer(&profile, late); }
  EXPECT_TRUE(profile.complete());
  EXPECT_EQ(profile.work().size(), 1u);
}

}  // namespace
}  // namespace hwynn
