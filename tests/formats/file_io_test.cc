#include "hwynn/formats/file_io.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::ExpectError;
using testing::TempFolder;

TEST(FileIoTest, ReadsWhatWasWritten) {
  const TempFolder folder;
  const std::array first{std::byte{1}, std::byte{2}};
  const std::array second{std::byte{3}};
  const std::array<std::span<const std::byte>, 3> pieces{first, {}, second};
  WriteFileAtomically(folder / "file", "something longer that was there before");
  WriteFileAtomically(folder / "file", pieces);
  EXPECT_EQ(testing::ReadBytes(folder / "file"), (Bytes{1, 2, 3}));
  EXPECT_EQ(ReadFile(folder / "file"), (std::vector{std::byte{1}, std::byte{2}, std::byte{3}}));
  EXPECT_EQ(folder.CountFiles(), 1);
  WriteFileAtomically(folder / "file", "");
  EXPECT_TRUE(ReadFile(folder / "file").empty());
}

TEST(FileIoTest, ReadErrorsNameTheFile) {
  const TempFolder folder;
  ExpectError([&] { ReadFile(folder / "none"); }, {folder / "none", "No such file"});
  ExpectError([&] { ReadFile(folder.path()); }, {folder.path(), "not a regular file"});
}

TEST(FileIoTest, WriteErrorsLeaveNothingBehind) {
  const TempFolder folder;
  ExpectError([&] { WriteFileAtomically(folder / "none/file", "text"); }, {folder / "none/file", "No such file"});
  // A folder in the way is found only by the rename.
  folder.Write("folder/file", {1});
  ExpectError([&] { WriteFileAtomically(folder / "folder", "text"); }, {folder / "folder", "can't replace"});
  EXPECT_EQ(folder.CountFiles(), 1);
}

TEST(FileIoTest, TemporaryFilesOfDeadProcessesGo) {
  const TempFolder folder;
  const pid_t ended = fork();
  if (ended == 0) _exit(0);
  ASSERT_EQ(waitpid(ended, nullptr, 0), ended);
  folder.Write("file.tmp." + std::to_string(ended), {1});
  // Those of a process that lives, of another file, and what isn't one of ours at all.
  const std::vector<std::string> others = {"file.tmp." + std::to_string(getppid()),
                                           "other.tmp." + std::to_string(ended), "file.tmp.txt", "file.tmp.-1"};
  for (const std::string& name : others) folder.Write(name, {1});
  WriteFileAtomically(folder / "file", "text");
  EXPECT_FALSE(std::filesystem::exists(folder / ("file.tmp." + std::to_string(ended))));
  for (const std::string& name : others) EXPECT_TRUE(std::filesystem::exists(folder / name)) << name;
}

// A limit on the size of files stands for a full disk: write() stores a part, then fails.
TEST(FileIoTest, AFullDiskKeepsTheOldFile) {
  const TempFolder folder;
  WriteFileAtomically(folder / "file", "old");
  rlimit old_limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{1000, old_limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  ExpectError([&] { WriteFileAtomically(folder / "file", std::string(5000, 'x')); },
              {folder / "file", "can't write", "File too large"});
  setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(testing::ReadBytes(folder / "file"), (Bytes{'o', 'l', 'd'}));
  EXPECT_EQ(folder.CountFiles(), 1);
}

}  // namespace
}  // namespace hwynn
