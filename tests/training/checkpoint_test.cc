#include "hwynn/training/checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>

#include "hwynn/formats/file_io.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/tests/support/linear_model.h"

namespace hwynn {
namespace {

using testing::LinearModel;

const Shape kImage{2, 3, 1};

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) /
              (std::string("hwynn_checkpoint_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    path_ = (folder_ / "checkpoint.safetensors").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  TrainState MakeState(int64_t classes, int64_t seed, OptimizerOptions optimizer = {}) {
    return CreateTrainState(LinearModel(classes), optimizer, KeyFromSeed(seed), kImage);
  }

  /// The text of the exception that `work` throws.
  static std::string ErrorOf(const std::function<void()>& work) {
    try {
      work();
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "no std::runtime_error";
  }

  std::filesystem::path folder_;
  std::string path_;
  CheckpointInfo info_{.recipe = {},
                       .image_shape = kImage,
                       .class_names = {"shirt", "\"quoted\", é", "a/b"},
                       .standardization = {.mean = {0.1f}, .stddev = {0.3f}}};
};

void ExpectEqual(const Collection& a, const Collection& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [path, tensor] : a) {
    ASSERT_TRUE(b.contains(path)) << path;
    ASSERT_EQ(tensor.shape(), b.at(path).shape()) << path;
    EXPECT_EQ(std::memcmp(tensor.data(), b.at(path).data(), tensor.span().size_bytes()), 0) << path;
  }
}

TEST_F(CheckpointTest, EverythingComesBackAndBytesAreReproducible) {
  TrainState state = MakeState(3, 1);
  for (auto& [path, tensor] : state.opt_state) testing::FillNormal(tensor, 7);
  state.step = 12345678901;
  state.epoch_sums = {.loss = 0.1 + 0.2, .correct = 17, .examples = 99};
  info_.recipe.model = "mlp";
  info_.recipe.training.schedule.decay_epochs = {3, 5};
  info_.recipe.training.schedule.learning_rate = 1.0 / 3;
  info_.recipe.training.optimizer.weight_decay = 1e-4f;
  SaveCheckpoint(path_, info_, state);

  const Checkpoint checkpoint(path_);
  EXPECT_EQ(checkpoint.step(), state.step);
  EXPECT_EQ(checkpoint.info().image_shape, kImage);
  EXPECT_EQ(checkpoint.info().class_names, info_.class_names);
  EXPECT_EQ(checkpoint.info().standardization, info_.standardization);
  EXPECT_EQ(ToFields(checkpoint.info().recipe), ToFields(info_.recipe));
  EXPECT_EQ(checkpoint.info().recipe.training.schedule.learning_rate, 1.0 / 3);

  TrainState restored = MakeState(3, 2);
  checkpoint.Restore(restored);
  EXPECT_EQ(restored.step, state.step);
  EXPECT_EQ(restored.epoch_sums, state.epoch_sums);
  ExpectEqual(restored.opt_state, state.opt_state);
  for (const auto name : {kParams, kBatchStats}) {
    ExpectEqual(GetCollection(restored.variables, name), GetCollection(state.variables, name));
  }

  const std::string again = (folder_ / "again.safetensors").string();
  SaveCheckpoint(again, checkpoint.info(), restored);
  EXPECT_EQ(ReadFile(path_), ReadFile(again));
}

TEST_F(CheckpointTest, VariablesAloneIgnoreTheOptimizer) {
  const TrainState state = MakeState(3, 1, {.kind = OptimizerKind::kAdam});
  SaveCheckpoint(path_, info_, state);
  Variables variables = MakeState(3, 2).variables;
  Checkpoint(path_).RestoreVariables(variables);
  ExpectEqual(variables.at("params"), state.variables.at("params"));
}

TEST_F(CheckpointTest, AnArrayThatDoesNotFitIsNamedAndNothingChanges) {
  SaveCheckpoint(path_, info_, MakeState(3, 1));
  const Checkpoint checkpoint(path_);
  const auto expect = [&](TrainState& state, const std::string& array) {
    const Variables before = Clone(state.variables);
    const std::string error = ErrorOf([&] { checkpoint.Restore(state); });
    EXPECT_NE(error.find(path_), std::string::npos) << error;
    EXPECT_NE(error.find(array), std::string::npos) << error;
    EXPECT_EQ(state.step, 0);
    for (const auto& [name, collection] : before) ExpectEqual(collection, state.variables.at(name));
  };
  TrainState other_shape = MakeState(4, 2);
  expect(other_shape, ".head.bias");
  TrainState other_optimizer = MakeState(3, 2, {.kind = OptimizerKind::kAdam});
  expect(other_optimizer, "opt_state.mu.");
  TrainState missing = MakeState(3, 2);
  missing.variables.at("params").emplace("more/kernel", Tensor({2}, 0.0f));
  expect(missing, "params.more.kernel");
  TrainState extra = MakeState(3, 2);
  extra.variables.at("params").erase("body/shift");
  expect(extra, "params.body.shift");
}

TEST_F(CheckpointTest, FineTuningKeepsAFreshHead) {
  const TrainState trained = MakeState(3, 1);
  SaveCheckpoint(path_, info_, trained);
  TrainState state = MakeState(7, 2);
  const Tensor head = state.variables.at("params").at("head/kernel").Clone();
  EXPECT_EQ(Checkpoint(path_).RestoreBody(state.variables),
            (std::vector<std::string>{"params.head.bias", "params.head.kernel"}));
  EXPECT_EQ(std::memcmp(state.variables.at("params").at("head/kernel").data(), head.data(), head.span().size_bytes()),
            0);
  EXPECT_EQ(state.variables.at("params").at("body/shift")[1], trained.variables.at("params").at("body/shift")[1]);

  // Only the number of classes may differ, and only in one module.
  for (const char* path : {"head/kernel", "body/shift"}) {
    TrainState wrong = MakeState(path[0] == 'h' ? 3 : 7, 2);
    Tensor& array = wrong.variables.at("params").at(path);
    array = Tensor(array.shape().rank() == 2 ? Shape{array.shape()[0] + 1, array.shape()[1]} : Shape{99}, 0.0f);
    EXPECT_NE(ErrorOf([&] { Checkpoint(path_).RestoreBody(wrong.variables); }).find("has shape"), std::string::npos)
        << path;
  }

  // Another image size changes the body too: that is another model, not another head.
  TrainState other = CreateTrainState(LinearModel(7), {}, KeyFromSeed(2), {4, 4, 1});
  EXPECT_NE(ErrorOf([&] { Checkpoint(path_).RestoreBody(other.variables); }).find("has shape"), std::string::npos);
}

TEST_F(CheckpointTest, ValuesThatAreNotSoundAreNamedAndNothingChanges) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  struct Case {
    const char *collection, *path;
    int64_t element;
    float value;
    const char* text;
  };
  for (const Case& c : {Case{"params", "head/kernel", 5, nan, "\"params.head.kernel\" holds nan at element 5"},
                        Case{"params", "body/shift", 0, -infinity, "\"params.body.shift\" holds -inf at element 0"},
                        Case{"batch_stats", "body/steps", 0, infinity, "\"batch_stats.body.steps\" holds inf"},
                        Case{"batch_stats", "body/var", 1, -1e-30f, "\"batch_stats.body.var\" holds -1e-30"},
                        Case{"batch_stats", "body/var", 0, nan, "\"batch_stats.body.var\" holds nan"}}) {
    TrainState state = MakeState(3, 1);
    state.variables.at("batch_stats").emplace("body/var", Tensor({2}, 0.5f));
    TrainState restored = MakeState(3, 2);
    restored.variables.at("batch_stats").emplace("body/var", Tensor({2}, 1.0f));
    state.variables.at(c.collection).at(c.path)[c.element] = c.value;
    SaveCheckpoint(path_, info_, state);
    const Variables before = Clone(restored.variables);
    const Checkpoint checkpoint(path_);
    for (const std::string& error : {ErrorOf([&] { checkpoint.Restore(restored); }),
                                     ErrorOf([&] { checkpoint.RestoreVariables(restored.variables); }),
                                     ErrorOf([&] { checkpoint.RestoreBody(restored.variables); })}) {
      EXPECT_NE(error.find(c.text), std::string::npos) << error;
      EXPECT_NE(error.find(path_), std::string::npos) << error;
    }
    for (const auto& [name, collection] : before) ExpectEqual(collection, restored.variables.at(name));
  }
  // Negative zero is no negative variance, and other statistics may be negative.
  TrainState state = MakeState(3, 1);
  state.variables.at("batch_stats").emplace("body/var", Tensor({2}, -0.0f));
  state.variables.at("batch_stats").emplace("body/mean", Tensor({2}, -3.0f));
  SaveCheckpoint(path_, info_, state);
  EXPECT_EQ(ErrorOf([&] { Checkpoint(path_).RestoreVariables(state.variables); }), "no std::runtime_error");
}

TEST_F(CheckpointTest, InformationThatCouldNotBeReadBackIsNotSaved) {
  const TrainState state = MakeState(3, 1);
  for (const auto& change : std::vector<std::function<void(CheckpointInfo&)>>{
           [](CheckpointInfo& info) { info.class_names[1] = "\xff"; },
           [](CheckpointInfo& info) { info.class_names.clear(); },
           [](CheckpointInfo& info) {
             info.image_shape = {1 << 13, (1 << 13) + 1, 1};
           },
           [](CheckpointInfo& info) { info.standardization.stddev = {0.0f}; },
           [](CheckpointInfo& info) {
             info.transform = {.image_size = 2, .resize = 2};  // of an image 3 wide
           }}) {
    CheckpointInfo info = info_;
    change(info);
    EXPECT_THROW(SaveCheckpoint(path_, info, state), std::invalid_argument);
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(CheckpointTest, TheEvaluationTransformComesBack) {
  const TrainState state = MakeState(3, 1);
  SaveCheckpoint(path_, info_, state);
  EXPECT_FALSE(SafetensorsFile(path_).metadata().contains("evaluation_transform"));  // as before there were any
  EXPECT_EQ(Checkpoint(path_).info().transform, EvaluationTransform());
  info_.image_shape = {2, 2, 1};
  info_.transform = {.image_size = 2, .resize = 3, .interpolation = Interpolation::kBicubic};
  SaveCheckpoint(path_, info_, state);
  EXPECT_EQ(Checkpoint(path_).info().transform, info_.transform);
}

TEST_F(CheckpointTest, BadMetadataIsAnErrorThatNamesIt) {
  const TrainState state = MakeState(3, 1);
  SaveCheckpoint(path_, info_, state);
  const SafetensorsFile file(path_);
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"format", "another 2"},
      {"step", "-1"},
      {"step", "1e300"},
      {"step", "9007199254740993"},
      {"epoch_correct", "-1"},
      {"epoch_correct", "1"},
      {"epoch_examples", "9223372036854775807"},
      {"step", "x"},
      {"image_shape", "[2,3.5,1]"},
      {"image_shape", "[1,2]"},
      {"class_names", "[]"},
      {"class_names", "[1]"},
      {"stddev", "[0]"},
      {"evaluation_transform", "{}"},
      {"evaluation_transform", ToText(PhotographTransform(2))},
      {"mean", "[[[[[[["},
      {"option.epochs", "2x"},
      {"option.flip", "yes"},
      {"option.unknown", "1"},
      {"option.optimizer", "sgdd"}};
  const std::string changed = (folder_ / "changed.safetensors").string();
  for (const auto& [key, value] : changes) {
    SafetensorsMetadata metadata = file.metadata();
    metadata[key] = value;
    WriteSafetensors(changed, file.entries(), metadata);
    EXPECT_NE(ErrorOf([&] { Checkpoint{changed}; }).find(changed), std::string::npos) << key << " = " << value;
  }
  for (const auto& [key, value] : file.metadata()) {
    SafetensorsMetadata metadata = file.metadata();
    metadata.erase(key);
    WriteSafetensors(changed, file.entries(), metadata);
    const bool optional = key.starts_with("option.") && ValuesWhenAbsent().contains(key.substr(7));
    if (optional || key == "naming") continue;  // older checkpoints lack them
    EXPECT_NE(ErrorOf([&] { Checkpoint{changed}; }).find(changed), std::string::npos) << key;
  }
}

TEST_F(CheckpointTest, ThePaddingRuleIsKeptAndFlaxsWhenThereIsNone) {
  info_.recipe.padding = PaddingRule::kPyTorch;
  SaveCheckpoint(path_, info_, MakeState(3, 1));
  EXPECT_EQ(Checkpoint(path_).info().recipe.padding, PaddingRule::kPyTorch);
  const SafetensorsFile file(path_);
  SafetensorsMetadata metadata = file.metadata();
  ASSERT_EQ(metadata.erase("option.padding"), 1u);
  const std::string older = (folder_ / "older.safetensors").string();
  WriteSafetensors(older, file.entries(), metadata);
  EXPECT_EQ(Checkpoint(older).info().recipe.padding, PaddingRule::kFlax);
}

// The first version's checkpoint says every option that there was then, and is written again as it was: an option that
// comes later has a value for files without it (ValuesWhenAbsent) and isn't written when it has that value.
TEST_F(CheckpointTest, TheFirstVersionsIsReadAndWrittenAgain) {
  const std::string golden = HWYNN_GOLDEN_DIR "/checkpoint_1.safetensors";
  const Checkpoint checkpoint(golden);
  EXPECT_EQ(checkpoint.step(), 150);
  const Recipe& recipe = checkpoint.info().recipe;
  EXPECT_EQ(recipe.model, "resnet20");
  EXPECT_EQ(recipe.width, 0.125);
  EXPECT_EQ(recipe.padding, PaddingRule::kPyTorch);
  EXPECT_EQ(recipe.stem, std::nullopt);
  EXPECT_EQ(recipe.training.label_smoothing, 0.1f);
  EXPECT_EQ(recipe.training.schedule.warmup_epochs, 0.05);
  EXPECT_EQ(recipe.training.augmentation.pad_crop, 2);
  const auto model = MakeModel(recipe.model, RecipeModelOptions(recipe, 10));
  TrainState state = CreateTrainState(*model, recipe.training.optimizer, KeyFromSeed(1), checkpoint.info().image_shape);
  checkpoint.Restore(state);
  SaveCheckpoint(path_, checkpoint.info(), state);
  EXPECT_TRUE(ReadFile(path_) == ReadFile(golden));

  // What a program without the option "stem" has written.
  info_.recipe.stem = ResNetStem::kCifar;
  SaveCheckpoint(path_, info_, MakeState(3, 1));
  EXPECT_EQ(Checkpoint(path_).info().recipe.stem, ResNetStem::kCifar);
  EXPECT_EQ(SafetensorsFile(path_).metadata().at("option.stem"), "cifar");
  info_.recipe.stem.reset();
  SaveCheckpoint(path_, info_, MakeState(3, 1));
  EXPECT_FALSE(SafetensorsFile(path_).metadata().contains("option.stem"));
  EXPECT_EQ(Checkpoint(path_).info().recipe.stem, std::nullopt);
}

// An import is the state before the first step: no optimizer's state is all zeros.
TEST_F(CheckpointTest, BeforeTheFirstStepTheOptimizersStateIsZero) {
  TrainState untrained = MakeState(3, 1);
  untrained.opt_state.clear();
  SaveCheckpoint(path_, info_, untrained);
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    TrainState state = MakeState(3, 2, {.kind = kind});
    for (auto& [path, tensor] : state.opt_state) testing::FillNormal(tensor, 7);
    const size_t arrays = state.opt_state.size();
    Checkpoint(path_).Restore(state);
    ExpectEqual(state.variables.at("params"), untrained.variables.at("params"));
    EXPECT_EQ(state.opt_state.size(), arrays);
    ExpectEqual(state.opt_state, ZerosLike(state.opt_state));
  }
  // After it, or with a part of it, it is missing.
  TrainState state = MakeState(3, 2);
  untrained.step = 1;
  SaveCheckpoint(path_, info_, untrained);
  EXPECT_NE(ErrorOf([&] { Checkpoint(path_).Restore(state); }).find("opt_state.trace."), std::string::npos);
  untrained = MakeState(3, 1);
  untrained.opt_state.erase("trace/head/bias");
  SaveCheckpoint(path_, info_, untrained);
  EXPECT_NE(ErrorOf([&] { Checkpoint(path_).Restore(state); }).find("opt_state.trace.head.bias"), std::string::npos);
}

}  // namespace
}  // namespace hwynn
