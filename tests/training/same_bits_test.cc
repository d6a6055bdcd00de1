// The promise of docs/numerics.md: the same inputs and options give the same bits on every instruction set with a fused
// multiply-add, for any number of threads, compiler and operating system. Two short trainings, whose checkpoints have
// the SHA-256 that tests/golden/trainings.sha256 says, wherever this runs.
//
// A change of hwynn's arithmetic, or of what a checkpoint holds, changes them. Then, and only then, after a look at
// what else the change moved:
//
//     ./dev test -R same_bits                                     # prints the new values
//     HWYNN_UPDATE_GOLDEN=1 build/release/bin/same_bits_test      # writes them

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/core/parallel.h"
#include "hwynn/data/synthetic.h"
#include "hwynn/layers/dense.h"
#include "hwynn/layers/dropout.h"
#include "hwynn/layers/flatten.h"
#include "hwynn/layers/relu.h"
#include "hwynn/layers/sequential.h"
#include "hwynn/models/presets.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/sha256.h"
#include "hwynn/tests/support/targets.h"
#include "hwynn/training/checkpoint.h"
#include "hwynn/training/trainer.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::Sha256Hex;

const std::string kGoldenPath = std::string(HWYNN_GOLDEN_DIR) + "/trainings.sha256";

// name → hash, of lines "hash  name" as sha256sum writes them.
std::map<std::string, std::string> ReadGolden() {
  std::ifstream file(kGoldenPath);
  std::map<std::string, std::string> golden;
  for (std::string hash, name; file >> hash >> name;) golden[name] = hash;
  return golden;
}

void WriteGolden(const std::map<std::string, std::string>& golden) {
  std::ofstream file(kGoldenPath);
  for (const auto& [name, hash] : golden) file << hash << "  " << name << '\n';
}

// The checkpoint after `steps` steps.
std::string HashOfTraining(const Module& model, const TrainOptions& options, const Shape& image_shape, int64_t steps) {
  const DatasetSplits splits =
      MakeSynthetic({.train_size = 64, .test_size = 8, .image_shape = image_shape, .num_classes = 4}, options.seed);
  const Standardization standardization = ComputeStandardization(*splits.train);
  Trainer trainer(model, *splits.train, nullptr, standardization, options);
  trainer.Run({}, steps);
  const testing::TempFolder folder;
  const std::string path = folder / "checkpoint.safetensors";
  CheckpointInfo info;
  info.image_shape = image_shape;
  info.class_names = splits.train->class_names();
  info.standardization = standardization;
  info.recipe.training = options;
  SaveCheckpoint(path, info, trainer.state());
  return Sha256Hex(testing::ReadBytes(path));
}

// On every target and for 1, 2 and 3 threads, against the golden value. SSE4 rounds its multiply-adds twice.
void ExpectGolden(const std::string& name, const Module& model, const TrainOptions& options, const Shape& image_shape,
                  int64_t steps) {
  std::string first;
  testing::ForEachTarget([&](const std::string& target) {
    if (!testing::HasFusedMultiplyAdd(target)) return;
    for (const int threads : {1, 2, 3}) {
      std::string hash;
      RunWithThreads(threads, [&] { hash = HashOfTraining(model, options, image_shape, steps); });
      if (first.empty()) first = hash;
      ASSERT_EQ(hash, first) << threads << " threads";
    }
  });
  if (first.empty()) GTEST_SKIP() << "no target here has a fused multiply-add";
  if (::testing::Test::HasFailure()) return;
  std::map<std::string, std::string> golden = ReadGolden();
  if (std::getenv("HWYNN_UPDATE_GOLDEN") != nullptr) {
    golden[name] = first;
    WriteGolden(golden);
    return;
  }
  EXPECT_EQ(first, golden[name]) << "the checkpoint " << name
                                 << "; to accept it: HWYNN_UPDATE_GOLDEN=1 and this program";
}

TrainOptions ResNetTraining() {
  return {
      .epochs = 3,
      .batch_size = 16,
      .seed = 1,
      .label_smoothing = 0.1f,
      .optimizer = {.momentum = 0.9f, .nesterov = true, .weight_decay = 5e-4f, .clip_norm = 5.0f},
      .schedule = {.learning_rate = 0.1, .warmup_epochs = 0.5},
      .augmentation = {.pad_crop = 2, .horizontal_flip = true, .random_erasing = 0.5},
  };
}

ResNet ResNet20() {
  ResNetOptions options = ResNetPreset("resnet20");
  options.num_classes = 4;
  return ResNet(options);
}

// Bottlenecks, with strides and projections.
ResNet SmallBottlenecks() {
  ResNetOptions options = ResNetPreset("resnet50");
  options.num_classes = 4;
  options.num_filters = 12;
  options.stage_sizes = {2, 2};
  return ResNet(options);
}

TEST(SameBitsTest, TrainingOfAResNet) { ExpectGolden("resnet20", ResNet20(), ResNetTraining(), {16, 16, 3}, 10); }

TEST(SameBitsTest, TrainingInPassesOfBatchNormsOwn) {
  TrainOptions options = ResNetTraining();
  options.fusion = false;
  ExpectGolden("resnet20-unfused", ResNet20(), options, {16, 16, 3}, 4);
}

TEST(SameBitsTest, TrainingOfBottlenecks) {
  ExpectGolden("bottlenecks", SmallBottlenecks(), ResNetTraining(), {36, 36, 3}, 4);
}

TEST(SameBitsTest, TrainingWithFrozenBatchNorms) {
  TrainOptions options = ResNetTraining();
  options.freeze_batch_norm = true;
  options.schedule.learning_rate = 1e-3;
  ExpectGolden("bottlenecks-frozen", SmallBottlenecks(), options, {36, 36, 3}, 4);
}

TEST(SameBitsTest, TrainingOfAnMlpWithDropoutAndAdam) {
  Sequential model;
  model.Add(Flatten()).Add(Dense({.features = 61})).Add(Relu()).Add(Dropout({.rate = 0.3f}));
  model.Add(Dense({.features = 33})).Add(Relu()).Add(Dropout({.rate = 0.5f})).Add(Dense({.features = 4}));
  const TrainOptions options = {
      .epochs = 5,
      .batch_size = 16,
      .seed = 2,
      .optimizer = {.kind = OptimizerKind::kAdamW, .weight_decay = 1e-2f},
      .schedule = {.learning_rate = 2e-3},
      .augmentation = {},
  };
  ExpectGolden("mlp", model, options, {12, 10, 1}, 20);
}

// FIPS 180-4's examples, and lengths around the end of a block, as sha256sum has them.
TEST(Sha256Test, KnownAnswers) {
  const auto hash = [](const std::string& text) { return Sha256Hex(Bytes(text.begin(), text.end())); };
  EXPECT_EQ(hash(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash(std::string(55, 'a')), "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  EXPECT_EQ(hash(std::string(56, 'a')), "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
  EXPECT_EQ(hash(std::string(64, 'a')), "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
}

}  // namespace
}  // namespace hwynn
