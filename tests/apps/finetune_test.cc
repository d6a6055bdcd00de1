// What a training run can start from: checkpoints of hwynn's, today's and earlier ones, and imports.

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hwynn/formats/file_io.h"
#include "hwynn/formats/tensor_io.h"
#include "hwynn/models/presets.h"
#include "hwynn/tests/support/program.h"
#include "hwynn/tests/support/pytorch_weights.h"
#include "hwynn/training/checkpoint.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::MakeWeights;
using testing::ProgramResult;

class FinetuneTest : public ::testing::Test {
 protected:
  ProgramResult Run(const std::vector<std::string>& arguments) {
    return testing::RunProgram(testing::ProgramPath("hwynn"), arguments, folder_);
  }
  ProgramResult RunWell(const std::vector<std::string>& arguments) {
    ProgramResult result = Run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return result;
  }
  void ExpectRefused(const std::vector<std::string>& arguments, const std::vector<std::string>& texts) {
    const ProgramResult result = Run(arguments);
    EXPECT_EQ(result.code, 1) << result.out;
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
    for (const std::string& text : texts) EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
  }

  /// A train command with a small batch and a gentle rate.
  std::vector<std::string> Train(const std::string& output, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"train",    "--batch-size=20", "--learning-rate=0.01", "--warmup-epochs=0",
                                          "--output", folder_ / output};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  std::string CheckpointOf(const std::string& run) { return folder_ / (run + "/checkpoint.safetensors"); }
  CheckpointInfo InfoOf(const std::string& run) { return Checkpoint(CheckpointOf(run)).info(); }

  /// A folder of MNIST's files: 40 images, far darker than the synthetic ones.
  std::string WriteMnist() {
    Bytes images = {0, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 28, 0, 0, 0, 28}, labels = {0, 0, 8, 1, 0, 0, 0, 40};
    for (int i = 0; i < 40 * 28 * 28; ++i) images.push_back(static_cast<uint8_t>(i * 29 % 64));
    for (int i = 0; i < 40; ++i) labels.push_back(static_cast<uint8_t>(i % 10));
    for (const std::string split : {"train", "t10k"}) {
      folder_.Write("mnist/" + split + "-images-idx3-ubyte", images);
      folder_.Write("mnist/" + split + "-labels-idx1-ubyte", labels);
    }
    return folder_ / "mnist";
  }

  /// The last line of a command with --json.
  static nlohmann::json Json(const ProgramResult& result) {
    const size_t end = result.out.find_last_not_of('\n');
    const size_t begin = result.out.rfind('\n', end) + 1;
    return nlohmann::json::parse(result.out.substr(begin, end + 1 - begin));
  }

  const testing::TempFolder folder_;
};

TEST_F(FinetuneTest, ModelAndStandardizationAreTheCheckpoints) {
  RunWell(Train("base", {"--dataset=synthetic", "--model=resnet18", "--width=0.05", "--stem=cifar", "--padding=pytorch",
                         "--seed=5", "--max-steps=2"}));
  const CheckpointInfo base = InfoOf("base");
  const std::vector<std::string> on_mnist = {"--dataset=mnist", "--data-dir", WriteMnist(),
                                             "--epochs=1",      "--finetune", CheckpointOf("base")};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), on_mnist.begin(), on_mnist.end());
    return more;
  };
  const ProgramResult tuned = RunWell(Train("tuned", with({"--max-steps=1"})));
  EXPECT_EQ(tuned.out.find("fine-tuning:"), std::string::npos) << tuned.out;
  const CheckpointInfo info = InfoOf("tuned");
  EXPECT_EQ(info.recipe.model, "resnet18");
  EXPECT_EQ(info.recipe.width, 0.05);
  EXPECT_EQ(info.recipe.stem, ResNetStem::kCifar);
  EXPECT_EQ(info.recipe.padding, PaddingRule::kPyTorch);
  EXPECT_EQ(info.recipe.dataset, "mnist");
  EXPECT_EQ(info.standardization, base.standardization);
  EXPECT_EQ(info.class_names[3], "3");
  EXPECT_EQ(info.recipe.training.batch_size, 20);  // how to train is the run's own

  // One gentle step from the checkpoint's params; the run's own seed would have drawn others.
  const SafetensorsFile before(CheckpointOf("base")), after(CheckpointOf("tuned"));
  const Tensor old_kernel = LoadTensor(before, "params.conv_init.kernel");
  const Tensor new_kernel = LoadTensor(after, "params.conv_init.kernel");
  for (int64_t i = 0; i < old_kernel.size(); ++i) EXPECT_NEAR(new_kernel[i], old_kernel[i], 0.02);

  // What is typed instead is said.
  const ProgramResult other = RunWell(Train("other", with({"--max-steps=1", "--padding=flax"})));
  EXPECT_NE(other.out.find("fine-tuning: padding flax, where " + CheckpointOf("base") + " has pytorch"),
            std::string::npos)
      << other.out;
  EXPECT_EQ(InfoOf("other").recipe.padding, PaddingRule::kFlax);
  ExpectRefused(Train("refused", with({"--width=0.1"})), {CheckpointOf("base"), "has shape"});

  // Resuming the tuned run needs the first checkpoint no more.
  std::filesystem::remove(CheckpointOf("base"));
  RunWell(Train("tuned", with({"--resume"})));
  EXPECT_EQ(Checkpoint(CheckpointOf("tuned")).step(), 2);
}

TEST_F(FinetuneTest, AnImportIsResumedConvertedAndFineTuned) {
  const std::string weights = folder_ / "weights.safetensors", wrapped = folder_ / "wrapped.safetensors";
  const testing::Weights plain = MakeWeights({2, 2, 2, 2}, false, 2, 10, 3, 1);
  plain.Write(weights);
  testing::Renamed(plain, [](const std::string& name) { return "module.model." + name; }).Write(wrapped);
  std::filesystem::create_directory(folder_ / "run");
  const std::vector<std::string> images = {"--image-size=28", "--mean=0.4", "--stddev=0.2"};
  const auto convert = [&](const std::string& from, const std::string& to) {
    std::vector<std::string> arguments = {"convert", from, to};
    arguments.insert(arguments.end(), images.begin(), images.end());
    return RunWell(arguments);
  };
  const ProgramResult converted = convert(weights, CheckpointOf("run"));
  EXPECT_NE(converted.out.find("max pool"), std::string::npos) << converted.out;
  convert(wrapped, folder_ / "wrapped_import.safetensors");
  const std::string import = folder_ / "import.safetensors";
  std::filesystem::copy_file(CheckpointOf("run"), import);
  EXPECT_TRUE(ReadFile(import) == ReadFile(folder_ / "wrapped_import.safetensors"));

  // As a TrainState of Flax's it has the traces that its optimizer keeps: zeros.
  RunWell({"convert", import, folder_ / "a.msgpack"});
  RunWell({"convert", folder_ / "a.msgpack", folder_ / "flat.safetensors"});
  const SafetensorsFile flat(folder_ / "flat.safetensors");
  const SafetensorsEntry& trace = flat.Entry("opt_state.0.trace.conv_init.kernel");
  EXPECT_EQ(trace.shape, (Shape{3, 3, 1, 2}));
  EXPECT_TRUE(std::ranges::all_of(trace.bytes, [](std::byte byte) { return byte == std::byte{0}; }));

  ExpectRefused({"evaluate", "--checkpoint", import}, {import, "--dataset"});
  RunWell({"evaluate", "--checkpoint", import, "--dataset=synthetic"});

  // Resumed, it is the model of its own that the images train.
  const std::vector<std::string> options = {"--resume", "--dataset=synthetic", "--epochs=1", "--max-steps=3"};
  ExpectRefused(Train("run", {"--resume", "--dataset=synthetic", "--padding=flax"}), {"padding pytorch, not flax"});
  EXPECT_TRUE(ReadFile(import) == ReadFile(CheckpointOf("run")));
  RunWell(Train("run", options));
  const CheckpointInfo info = InfoOf("run");
  EXPECT_EQ(info.recipe.model, "resnet18");
  EXPECT_EQ(info.recipe.stem, ResNetStem::kCifar);
  EXPECT_EQ(info.recipe.padding, PaddingRule::kPyTorch);
  EXPECT_EQ(info.recipe.dataset, "synthetic");
  EXPECT_EQ(info.recipe.training.batch_size, 20);
  EXPECT_EQ(info.class_names[1], "narrow-0");
  EXPECT_EQ(info.standardization, (Standardization{{0.4f}, {0.2f}}));
  EXPECT_EQ(Checkpoint(CheckpointOf("run")).step(), 3);
  // Interrupted and resumed is the same.
  std::filesystem::create_directory(folder_ / "twice");
  std::filesystem::copy_file(import, CheckpointOf("twice"));
  RunWell(Train("twice", {"--resume", "--dataset=synthetic", "--epochs=1", "--max-steps=2"}));
  RunWell(Train("twice", options));
  EXPECT_TRUE(ReadFile(CheckpointOf("run")) == ReadFile(CheckpointOf("twice")));

  // As many classes are needed, unless the head is made anew; channels are the model's.
  MakeWeights({2, 2, 2, 2}, false, 2, 7, 7, 1).Write(weights);
  std::filesystem::create_directory(folder_ / "seven");
  convert(weights, CheckpointOf("seven"));
  ExpectRefused(Train("seven", options), {CheckpointOf("seven"), "7 classes", "10", "--finetune"});
  const ProgramResult tuned = RunWell(
      Train("tuned", {"--finetune", CheckpointOf("seven"), "--dataset=synthetic", "--max-steps=1", "--epochs=1"}));
  EXPECT_NE(tuned.out.find("params.Dense_0.kernel starts afresh"), std::string::npos) << tuned.out;
  EXPECT_EQ(InfoOf("tuned").class_names.size(), 10u);
  MakeWeights({2, 2, 2, 2}, false, 2, 10, 7, 3).Write(weights);
  RunWell({"convert", weights, folder_ / "colours.safetensors"});
  ExpectRefused(Train("colours", {"--finetune", folder_ / "colours.safetensors", "--dataset=synthetic"}),
                {folder_ / "colours.safetensors", "3 channels", "have 1"});
}

TEST_F(FinetuneTest, ImportsOfEachFamilyTrainOn) {
  const std::string weights = folder_ / "weights.safetensors";
  const auto small = [](const char* name) {
    ResNetOptions options = ResNetPreset(name, 0.25);
    options.num_classes = 10;
    return MakeWeights(options, 1);
  };
  const std::vector<std::pair<std::string, testing::Weights>> models = {
      {"resnext50_32x4d", small("resnext50_32x4d")},
      {"resnet18d", small("resnet18d")},
      {"mobilenet_v2", testing::Renamed(testing::MakeMobileNetV2Weights(0.25, 10, 1), testing::TimmsName)}};
  for (const auto& [name, arrays] : models) {
    SCOPED_TRACE(name);
    arrays.Write(weights);
    std::filesystem::create_directory(folder_ / name);
    const std::string checkpoint = CheckpointOf(name);
    const ProgramResult converted =
        RunWell({"convert", weights, checkpoint, "--image-size=28", "--mean=0.4", "--stddev=0.2"});
    EXPECT_NE(converted.out.find(name + ", 10 classes"), std::string::npos) << converted.out;
    EXPECT_EQ(converted.out.find("max pool"), std::string::npos) << converted.out;
    EXPECT_EQ(InfoOf(name).recipe.model, name);
    EXPECT_EQ(InfoOf(name).recipe.width, 0.25);
    EXPECT_FALSE(InfoOf(name).recipe.stem);
    EXPECT_EQ(InfoOf(name).transform, EvaluationTransform());
    RunWell({"evaluate", "--checkpoint", checkpoint, "--dataset=synthetic"});
    RunWell({"convert", checkpoint, folder_ / "a.msgpack"});
    RunWell(Train(name, {"--resume", "--dataset=synthetic", "--epochs=1", "--max-steps=2"}));
    EXPECT_EQ(Checkpoint(checkpoint).step(), 2);
  }
}

// ImageNet's models are for photographs, those with a stem for small images are not.
TEST_F(FinetuneTest, ImportsForPhotographsSayHowTheyAreEvaluated) {
  ResNetOptions options = ResNetPreset("resnet18", 0.125);
  options.num_classes = 10;
  MakeWeights(options, 3).Write(folder_ / "weights.safetensors");
  RunWell({"convert", folder_ / "weights.safetensors", folder_ / "photos.safetensors"});
  EXPECT_EQ(Checkpoint(folder_ / "photos.safetensors").info().transform, PhotographTransform(224));
  options.stem = ResNetStem::kCifar;
  MakeWeights(options, 3).Write(folder_ / "weights.safetensors");
  RunWell({"convert", folder_ / "weights.safetensors", folder_ / "small.safetensors", "--image-size=32"});
  EXPECT_EQ(Checkpoint(folder_ / "small.safetensors").info().transform, EvaluationTransform());
}

// tests/golden/checkpoint_1.safetensors, which the first version of the format wrote:
//   hwynn train --dataset synthetic --model resnet20 --width 0.125 --padding pytorch --epochs 2 --batch-size 100
//     --warmup-epochs 0.05 --learning-rate 0.1 --weight-decay 1e-4 --pad-crop 2 --label-smoothing 0.1 --seed 7
//     --max-steps 150
// and what that version made of it.
TEST_F(FinetuneTest, ACheckpointOfTheFirstVersionEvaluatesAndResumes) {
  std::filesystem::create_directory(folder_ / "run");
  std::filesystem::copy_file(HWYNN_GOLDEN_DIR "/checkpoint_1.safetensors", CheckpointOf("run"));
  const nlohmann::json evaluated =
      Json(RunWell({"evaluate", "--json", "--checkpoint", HWYNN_GOLDEN_DIR "/checkpoint_1.safetensors"}));
  EXPECT_NEAR(evaluated["test_loss"], 1.2101770, 1e-5);
  EXPECT_NEAR(evaluated["test_accuracy"], 0.5645, 0.001);
  const nlohmann::json resumed =
      Json(RunWell({"train", "--json", "--resume", "--max-steps=155", "--output", folder_ / "run"}));
  EXPECT_NEAR(resumed["test_loss"], 1.1766651, 1e-3);
  EXPECT_NEAR(resumed["test_accuracy"], 0.6, 0.005);
}

}  // namespace
}  // namespace hwynn
