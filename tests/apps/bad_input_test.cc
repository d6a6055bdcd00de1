// How the program fails: one sentence each, and nothing is lost.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "hwynn/formats/safetensors.h"
#include "hwynn/tests/apps/hwynn_program.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;
using testing::ReadText;
using testing::WriteText;
using BadInputTest = testing::HwynnTest;

TEST_F(BadInputTest, BadInputIsOneSentenceAndLosesNothing) {
  ASSERT_EQ(Run(Train("run", {"--max-steps=2"})).code, 0);
  const std::string checkpoint = CheckpointOf("run"), file = ReadText(checkpoint);
  const std::string broken = (folder_ / "broken.safetensors").string();
  WriteText(broken, file.substr(0, file.size() - 1));
  WriteText(folder_ / "blocked", "a file, no folder");
  WriteText(folder_ / "pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
  WriteText(folder_ / "weights.pth",
            "PK\3\4" + std::string(22, '\0') + std::string("\x10\0\0\0", 4) + "archive/data.pkl");
  std::filesystem::create_directory(folder_ / "step");
  WriteText(folder_ / "step" / "_CHECKPOINT_METADATA", "{}");
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"train", "--no-such-option"}, "no-such-option"},
      {{}, "subcommand"},
      {Train("run", {"--epochs=0"}), "epochs"},
      {Train("run", {"--epochs=ten"}), "epochs"},
      {Train("run", {"--batch-size=20000"}), "batch size"},
      {Train("run", {"--model=resnet21"}), "resnet21"},
      {Train("run", {"--dataset=imagenet"}), "imagenet"},
      {Train("run", {"--dataset=cifar10", "--data-dir=/no/such/folder"}), "/no/such/folder"},
      {Train("run", {"--target=Z80"}), "Z80"},
      {Train("run", {"--threads=0"}), "threads"},
      {Train("run", {"--learning-rate=1e30", "--warmup-epochs=0"}), "step"},
      {Train("run", {"--resume", "--epochs=4"}), "epochs 3, not 4"},
      {Train("run", {"--finetune", broken}), broken},
      {Train("blocked"), "blocked"},
      {{"evaluate", "--checkpoint", broken}, broken},
      {{"evaluate", "--checkpoint", (folder_ / "missing").string()}, "missing"},
      {{"predict", "--checkpoint", checkpoint, broken}, broken},
      {{"inspect", broken}, broken},
      {{"convert", broken, (folder_ / "out.msgpack").string()}, broken},
      {{"convert", checkpoint, checkpoint}, "same file"},
      {{"convert", checkpoint, (folder_ / "out.bin").string()}, "out.bin"},
      {{"convert", (folder_ / "blocked").string(), (folder_ / "out.safetensors").string()}, "blocked: is text"},
      {{"convert", (folder_ / "weights.pth").string(), (folder_ / "out.msgpack").string()},
       "weights.pth: is a file of PyTorch's"},
      {{"convert", (folder_ / "step").string(), (folder_ / "out.msgpack").string()}, "step: is a folder of Orbax"},
      {{"inspect", (folder_ / "pointer").string()}, "git lfs pull"},
      {{"evaluate", "--checkpoint", (folder_ / "pointer").string()}, "git lfs pull"},
      {{"predict", "--checkpoint", checkpoint, (folder_ / "pointer").string()}, "git lfs pull"},
      {{"predict", "--checkpoint", checkpoint}, "--arrays"},
      {{"init", "--model=resnet21", "--output", (folder_ / "out.safetensors").string()}, "resnet21"},
  };
  for (const auto& [arguments, expected] : cases) ExpectOneSentence(arguments, expected);
  EXPECT_TRUE(ReadText(checkpoint) == file);
}

TEST_F(BadInputTest, ArraysOfOtherShapesAreNamed) {
  ASSERT_EQ(Run(Train("run", {"--max-steps=1"})).code, 0);
  const std::string x = (folder_ / "x.safetensors").string(), y = (folder_ / "y.safetensors").string();
  const auto predict = [&](const std::string& name, const Shape& shape, const std::string& text) {
    const Tensor array(shape, 0.5f);
    WriteSafetensors(x, {{name, {"F32", shape, std::as_bytes(array.span())}}}, {});
    ExpectOneSentence({"predict", "--checkpoint", CheckpointOf("run"), "--arrays", x, "--output", y}, text);
    EXPECT_FALSE(fs::exists(y));
  };
  predict("x", {28, 28, 1}, "[28,28,1]");
  predict("x", {2, 28, 28, 3}, "784");  // the mlp's first kernel takes 28·28 values an image
  predict("x", {2, 27, 28, 1}, "784");
  predict("y", {2, 28, 28, 1}, "\"x\"");
}

TEST_F(BadInputTest, DamagedDataSetsAreNamedWithTheirOffset) {
  const auto idx = [](const std::string& magic, uint8_t count, const std::string& rest) {
    return std::string(2, '\0') + magic + std::string(3, '\0') + static_cast<char>(count) + rest;
  };
  const std::string extents{0, 0, 0, 2, 0, 0, 0, 2};
  const std::string pixels = extents + std::string(16, '\x7f'), images = idx("\x08\x03", 4, pixels);
  const auto train = [&](const std::string& labels, const std::string& train_images, const std::string& text) {
    const fs::path data = folder_ / "data";
    fs::create_directories(data);
    WriteText(data / "train-images-idx3-ubyte", train_images);
    WriteText(data / "t10k-images-idx3-ubyte", images);
    for (const std::string split : {"train", "t10k"}) WriteText(data / (split + "-labels-idx1-ubyte"), labels);
    ExpectOneSentence(Train("run", {"--dataset=mnist", "--batch-size=4", "--data-dir", data.string()}), text);
  };
  const std::string labels = idx("\x08\x01", 4, {0, 1, 2, 9});
  train(idx("\x08\x01", 4, {0, 1, 10, 9}), images, "train-labels-idx1-ubyte: label 10 at byte 10");
  train(labels, images.substr(0, 30), "train-images-idx3-ubyte: ends at byte 30");
  train(labels, images + "x", "train-images-idx3-ubyte: trailing bytes from byte 32");
  EXPECT_FALSE(fs::exists(CheckpointOf("run")));
}

TEST_F(BadInputTest, ADiskThatIsFullLosesNothing) {
  ASSERT_EQ(Run(Train("run", {"--max-steps=2"})).code, 0);
  const std::string file = ReadText(CheckpointOf("run"));
  file_limit_ = 100000;  // the checkpoint of this model has 2 MB
  ExpectOneSentence(Train("run", {"--resume", "--max-steps=3"}), "checkpoint.safetensors");
  EXPECT_TRUE(ReadText(CheckpointOf("run")) == file);
  ExpectOneSentence({"convert", CheckpointOf("run"), (folder_ / "flat.msgpack").string()}, "flat.msgpack");
  EXPECT_FALSE(fs::exists(folder_ / "flat.msgpack"));
  for (const fs::path& folder : {folder_, folder_ / "run"}) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      EXPECT_EQ(entry.path().string().find("tmp-"), std::string::npos) << entry.path();
    }
  }
  file_limit_ = 0;
  EXPECT_EQ(Run(Train("run", {"--resume", "--max-steps=3"})).code, 0);
}

TEST_F(BadInputTest, ANanLossEndsTheRunAtItsStep) {
  ASSERT_EQ(Run(Train("run", {"--max-steps=2"})).code, 0);
  const std::string file = ReadText(CheckpointOf("run"));
  // 1e30 overflows float in the step after the first.
  ExpectOneSentence(Train("run", {"--learning-rate=1e30", "--warmup-epochs=0", "--max-steps=5"}), "in step 2");
  EXPECT_TRUE(ReadText(CheckpointOf("run")) == file);
}

}  // namespace
}  // namespace hwynn
