#ifndef HWYNN_TESTS_APPS_HWYNN_PROGRAM_H_
#define HWYNN_TESTS_APPS_HWYNN_PROGRAM_H_

// The program hwynn for tests: trained on synthetic images, signalled, given too little disk.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "hwynn/core/tensor.h"
#include "hwynn/formats/safetensors.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/program.h"

namespace hwynn::testing {

inline std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void WriteText(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string LastLine(const std::string& text) {
  const size_t end = text.find_last_not_of('\n');
  return text.substr(text.rfind('\n', end) + 1, end - text.rfind('\n', end));
}

using Result = ProgramResult;

/// Runs the program in a folder of its own.
class HwynnTest : public ::testing::Test {
 protected:
  void SetUp() override {
    program_ = ProgramPath("hwynn");
    if (!std::filesystem::exists(program_)) GTEST_SKIP() << "the program isn't built";
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
    while (!std::filesystem::exists(CheckpointOf(name)) && ended.si_pid == 0) {
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
  std::filesystem::path program_;
  const TempFolder temp_;
  const std::filesystem::path folder_ = temp_.path();
};

}  // namespace hwynn::testing

#endif  // HWYNN_TESTS_APPS_HWYNN_PROGRAM_H_
