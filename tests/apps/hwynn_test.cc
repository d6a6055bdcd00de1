// The program as a user meets it: files it writes, what it prints, how it fails.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "hwynn/formats/safetensors.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"
#include "hwynn/training/checkpoint.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;

std::string ReadText(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteText(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string LastLine(const std::string& text) {
  const size_t end = text.find_last_not_of('\n');
  return text.substr(text.rfind('\n', end) + 1, end - text.rfind('\n', end));
}

/// A grey PNG with a gradient from left to right.
std::string MakePng(uint32_t width, uint32_t height) {
  const auto word = [](uint32_t value) {
    return std::string{static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
                       static_cast<char>(value)};
  };
  const auto chunk = [&](const std::string& body) {
    const auto crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
    return word(static_cast<uint32_t>(body.size() - 4)) + body + word(static_cast<uint32_t>(crc));
  };
  std::string pixels;
  for (uint32_t y = 0; y < height; ++y) {
    pixels += '\0';
    for (uint32_t x = 0; x < width; ++x) pixels += static_cast<char>(255 * x / width);
  }
  uLongf size = compressBound(pixels.size());
  std::string packed(size, '\0');
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(pixels.data()),
           pixels.size());
  packed.resize(size);
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR" + word(width) + word(height) + std::string("\x08\0\0\0\0", 5)) +
         chunk("IDAT" + packed) + chunk("IEND");
}

struct Result {
  int code = 0;  // 128 + signal when one ended it
  std::string out, err;
};

class HwynnTest : public ::testing::Test {
 protected:
  void SetUp() override {
    program_ = fs::read_symlink("/proc/self/exe").parent_path() / "hwynn";
    if (!fs::exists(program_)) GTEST_SKIP() << "the program isn't built";
  }

  pid_t Start(const std::vector<std::string>& arguments) {
    std::vector<std::string> words = arguments;
    words.insert(words.begin(), program_.string());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const std::string out = (folder_ / "stdout").string(), err = (folder_ / "stderr").string();
    const pid_t pid = fork();
    if (pid == 0) {
      dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDOUT_FILENO);
      dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
      if (file_limit_ > 0) {
        const rlimit limit{file_limit_, file_limit_};
        setrlimit(RLIMIT_FSIZE, &limit);
      }
      execv(argv[0], argv.data());
      _exit(127);
    }
    return pid;
  }

  Result Wait(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), ReadText(folder_ / "stdout"),
            ReadText(folder_ / "stderr")};
  }

  Result Run(const std::vector<std::string>& arguments) { return Wait(Start(arguments)); }

  /// Trains on synthetic images into folder_/name; `more` overrides.
  std::vector<std::string> Train(const std::string& name, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"train",
                                          "--dataset",
                                          "synthetic",
                                          "--model",
                                          "mlp",
                                          "--epochs",
                                          "3",
                                          "--warmup-epochs",
                                          "0.5",
                                          "--learning-rate",
                                          "0.05",
                                          "--output",
                                          (folder_ / name).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  /// Logits of the images [N,H,W,C], which are taken as they are.
  std::vector<float> Logits(const std::string& checkpoint, const Tensor& images) {
    const std::string x = (folder_ / "x.safetensors").string(), y = (folder_ / "y.safetensors").string();
    WriteSafetensors(x, {{"x", {"F32", images.shape(), std::as_bytes(images.span())}}}, {});
    const Result result = Run({"predict", "--checkpoint", checkpoint, "--arrays", x, "--output", y});
    EXPECT_EQ(result.code, 0) << result.err;
    const SafetensorsFile file(y);
    const std::span<const std::byte> bytes = file.Entry("logits").bytes;
    std::vector<float> logits(bytes.size() / sizeof(float));
    std::memcpy(logits.data(), bytes.data(), bytes.size());
    return logits;
  }

  std::string CheckpointOf(const std::string& name) { return (folder_ / name / "checkpoint.safetensors").string(); }

  /// Sends `signal` to a training run once its first checkpoint is there.
  Result TrainAndSignal(const std::string& name, int signal) {
    const pid_t pid = Start(Train(name));
    siginfo_t ended{};
    while (!fs::exists(CheckpointOf(name)) && ended.si_pid == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOHANG | WNOWAIT);
    }
    kill(pid, signal);
    return Wait(pid);
  }

  /// The program ends with code 1 and one line that holds `text`.
  void ExpectOneSentence(const std::vector<std::string>& arguments, const std::string& text) {
    const Result result = Run(arguments);
    EXPECT_EQ(result.code, 1) << text << result.out;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
  }

  rlim_t file_limit_ = 0;  // bytes that a file of the next program may have; 0: any number
  fs::path program_;
  const testing::TempFolder temp_;
  const fs::path folder_ = temp_.path();
};

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

TEST_F(HwynnTest, ConvertsInitialisesAndGivesLogits) {
  const auto at = [&](const std::string& name) { return (folder_ / name).string(); };
  const auto run = [&](const std::vector<std::string>& arguments) {
    const Result result = Run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
  };
  // A checkpoint of hwynn's → Flax's TrainState → flat arrays → TrainState → checkpoint.
  run(Train("run", {"--model=resnet18", "--width=0.05", "--batch-size=32", "--max-steps=2"}));
  const std::string native = CheckpointOf("run");
  run({"convert", native, at("a.msgpack")});
  run({"convert", at("a.msgpack"), at("b.safetensors")});
  run({"convert", at("b.safetensors"), at("checkpoint_2")});
  EXPECT_TRUE(ReadText(at("a.msgpack")) == ReadText(at("checkpoint_2")));
  run({"convert", at("checkpoint_2"), at("c.msgpack")});
  EXPECT_TRUE(ReadText(at("a.msgpack")) == ReadText(at("c.msgpack")));
  run({"convert", at("b.safetensors"), at("d.safetensors"), "--like", native});
  const SafetensorsFile before(native), after(at("d.safetensors")), flat(at("b.safetensors"));
  for (const auto& [name, entry] : before.entries()) {
    EXPECT_TRUE(std::ranges::equal(entry.bytes, after.Entry(name).bytes)) << name;
  }
  EXPECT_TRUE(flat.entries().contains("opt_state.0.trace.ResNetBlock_7.Conv_1.kernel"));
  EXPECT_EQ(Run({"inspect", at("b.safetensors")}).code, 0);

  // Initial values alone; as a checkpoint they predict.
  run({"init", "--model=resnet18", "--width=0.05", "--num-classes=10", "--channels=1", "--seed=7", "--output",
       at("init.safetensors")});
  const SafetensorsFile initial(at("init.safetensors"));
  EXPECT_EQ(initial.entries().size(), 62u + 40u);
  EXPECT_EQ(initial.Entry("params.Dense_0.kernel").shape, flat.Entry("params.Dense_0.kernel").shape);
  run({"convert", at("init.safetensors"), at("e.safetensors"), "--like", native});
  std::vector<float> images(3 * 40 * 33, 0.5f);
  WriteSafetensors(at("x.safetensors"), {{"x", {"F32", {3, 40, 33, 1}, std::as_bytes(std::span(images))}}}, {});
  run({"predict", "--checkpoint", at("e.safetensors"), "--arrays", at("x.safetensors"), "--output",
       at("y.safetensors")});
  EXPECT_EQ(SafetensorsFile(at("y.safetensors")).Entry("logits").shape, (Shape{3, 10}));
}

TEST_F(HwynnTest, ConvertKeepsNumberedKeysAndSaysWhatItChanges) {
  const auto at = [&](const std::string& name) { return (folder_ / name).string(); };
  const std::string nnx = HWYNN_GOLDEN_DIR "/flax_nnx.msgpack";
  ASSERT_EQ(Run({"convert", nnx, at("nnx.safetensors")}).code, 0);
  EXPECT_TRUE(SafetensorsFile(at("nnx.safetensors")).entries().contains("params.layers.0.kernel"));
  ASSERT_EQ(Run({"convert", at("nnx.safetensors"), at("nnx.msgpack")}).code, 0);
  EXPECT_TRUE(ReadText(at("nnx.msgpack")) == ReadText(nnx));

  // Weights of half precision in a checkpoint like another one.
  ASSERT_EQ(Run(Train("run", {"--max-steps=2"})).code, 0);
  const SafetensorsFile native(CheckpointOf("run"));
  SafetensorsEntries entries;
  std::vector<std::vector<std::byte>> halves;
  for (const auto& [name, entry] : native.entries()) {
    if (!name.starts_with("params.") && !name.starts_with("batch_stats.")) continue;
    std::vector<std::byte>& half = halves.emplace_back();
    for (size_t i = 0; i < entry.bytes.size(); i += 4)
      half.insert(half.end(), &entry.bytes[i + 2], &entry.bytes[i + 2] + 2);
  }
  auto next = halves.begin();
  for (const auto& [name, entry] : native.entries()) {
    if (name.starts_with("params.") || name.starts_with("batch_stats.")) entries[name] = {"BF16", entry.shape, *next++};
  }
  WriteSafetensors(at("half.safetensors"), entries, {});
  const Result result = Run({"convert", at("half.safetensors"), at("like.safetensors"), "--like", CheckpointOf("run")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("note: " + std::to_string(entries.size()) + " arrays became float32"), std::string::npos)
      << result.out;
  const SafetensorsFile like(at("like.safetensors"));
  for (const auto& [name, entry] : entries) {
    const SafetensorsEntry& converted = like.Entry(name);
    ASSERT_EQ(converted.dtype, "F32");
    for (size_t i = 0; i < entry.bytes.size(); ++i) {
      ASSERT_EQ(converted.bytes[i / 2 * 4 + 2 + i % 2], entry.bytes[i]) << name;
    }
  }

  // What makes no model is refused, and nothing is written.
  const float one = 1;
  const auto refused = [&](const std::string& name, const std::string& text) {
    WriteSafetensors(at("names.safetensors"), {{name, {"F32", {1}, std::as_bytes(std::span(&one, 1))}}}, {});
    const Result refusal = Run({"convert", at("names.safetensors"), at("out.safetensors")});
    EXPECT_EQ(refusal.code, 1) << name;
    EXPECT_NE(refusal.err.find(text), std::string::npos) << refusal.err;
    EXPECT_FALSE(std::filesystem::exists(at("out.safetensors")));
  };
  refused("params.Dense_0.kernel", "--like");
  refused("encoder.kernel", "--like");
  refused("module.encoder.weight", "module.encoder.weight");
}

TEST_F(HwynnTest, BadInputIsOneSentenceAndLosesNothing) {
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

TEST_F(HwynnTest, ArraysOfOtherShapesAreNamed) {
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

TEST_F(HwynnTest, DamagedDataSetsAreNamedWithTheirOffset) {
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

TEST_F(HwynnTest, ADiskThatIsFullLosesNothing) {
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

TEST_F(HwynnTest, ANanLossEndsTheRunAtItsStep) {
  ASSERT_EQ(Run(Train("run", {"--max-steps=2"})).code, 0);
  const std::string file = ReadText(CheckpointOf("run"));
  // 1e30 overflows float in the step after the first.
  ExpectOneSentence(Train("run", {"--learning-rate=1e30", "--warmup-epochs=0", "--max-steps=5"}), "in step 2");
  EXPECT_TRUE(ReadText(CheckpointOf("run")) == file);
}

}  // namespace
}  // namespace hwynn
