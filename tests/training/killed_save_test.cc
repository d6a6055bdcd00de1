// A program that is killed while it saves leaves a whole checkpoint: the old one or the new one.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "hwynn/core/random.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/linear_model.h"
#include "hwynn/training/checkpoint.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;
using testing::LinearModel;
using testing::TempFolder;

const Shape kImage{64, 64, 1};
constexpr int64_t kClasses = 100;  // 1.6 MB: a save takes about as long writing as syncing

TrainState MakeState(int64_t seed) { return CreateTrainState(LinearModel(kClasses), {}, KeyFromSeed(seed), kImage); }

CheckpointInfo MakeInfo() {
  CheckpointInfo info{.recipe = {}, .image_shape = kImage};
  for (int64_t i = 0; i < kClasses; ++i) info.class_names.push_back(std::to_string(i));
  return info;
}

// A child that saves `second` and `first` in turn until it is killed, or −1.
pid_t StartSaving(const std::string& path, const TrainState& first, const TrainState& second) {
  const CheckpointInfo info = MakeInfo();
  const pid_t pid = fork();
  if (pid != 0) return pid;
  for (;;) {
    for (const TrainState* state : {&second, &first}) {
      try {
        SaveCheckpoint(path, info, *state);
      } catch (...) {
        _exit(1);
      }
    }
  }
}

TEST(KilledSaveTest, AWholeCheckpointIsLeftAHundredTimes) {
  const TempFolder folder;
  const std::string path = folder / "checkpoint.safetensors";
  const TrainState first = MakeState(1), second = MakeState(2);
  SaveCheckpoint(path, MakeInfo(), second);
  const testing::Bytes second_bytes = testing::ReadBytes(path);
  SaveCheckpoint(path, MakeInfo(), first);
  const testing::Bytes first_bytes = testing::ReadBytes(path);
  ASSERT_NE(first_bytes, second_bytes);

  // Kills come at moments spread over about two saves, whatever time one takes here.
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) SaveCheckpoint(path, MakeInfo(), first);
  const auto save_time = (std::chrono::steady_clock::now() - begin) / 5;

  int kills = 0, in_the_middle = 0, firsts = 0, seconds = 0;
  bool is_first = true;  // what the file holds
  const std::vector<int64_t> moments = Permutation(KeyFromSeed(3), 100);
  for (const int64_t moment : moments) {
    const pid_t pid = is_first ? StartSaving(path, first, second) : StartSaving(path, second, first);
    ASSERT_GT(pid, 0);
    std::this_thread::sleep_for(save_time * 2 * moment / 100);
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the child ended by itself";
    const testing::Bytes left = testing::ReadBytes(path);
    is_first = left == first_bytes;
    firsts += is_first ? 1 : 0;
    seconds += left == second_bytes ? 1 : 0;
    ASSERT_EQ(firsts + seconds, ++kills) << "neither checkpoint is whole";
    // What was being written lies beside it; those of earlier children are gone.
    ASSERT_LE(folder.CountFiles(), 2);
    in_the_middle += folder.CountFiles() == 2 ? 1 : 0;
  }
  EXPECT_GT(in_the_middle, 0) << "no kill came while a file was written";
  EXPECT_GT(firsts, 0);
  EXPECT_GT(seconds, 0);
  SaveCheckpoint(path, MakeInfo(), first);
  EXPECT_EQ(folder.CountFiles(), 1);
  TrainState state = MakeState(4);
  Checkpoint(path).Restore(state);
}

// What the folder was is gone, or is no folder any more: an error, and none of it comes back.
TEST(KilledSaveTest, AVanishedFolderIsAnError) {
  const TempFolder folder;
  const std::string run = folder / "run", path = folder / "run/checkpoint.safetensors";
  fs::create_directory(run);
  const TrainState state = MakeState(1);
  SaveCheckpoint(path, MakeInfo(), state);
  fs::remove_all(run);
  testing::ExpectError([&] { SaveCheckpoint(path, MakeInfo(), state); }, {path, "No such file or directory"});
  EXPECT_FALSE(fs::exists(run));
  folder.Write("run", {1});
  testing::ExpectError([&] { SaveCheckpoint(path, MakeInfo(), state); }, {path, "Not a directory"});
  testing::ExpectError([&] { Checkpoint{path}; }, {path, "Not a directory"});
}

}  // namespace
}  // namespace hwynn
