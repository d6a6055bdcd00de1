#include "hwynn/formats/file_io.h"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "hwynn/tests/support/files.h"

namespace {

// What was asked of the system, in order: "sync file", "rename", "sync folder".
std::vector<std::string>* calls = nullptr;
std::function<void()> before_rename;

}  // namespace

// A program's own definitions come before those of the system's library.
extern "C" int fsync(int descriptor) {
  struct stat status {};
  if (calls != nullptr && fstat(descriptor, &status) == 0) {
    calls->push_back(S_ISDIR(status.st_mode) ? "sync folder" : "sync file");
  }
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}

extern "C" int rename(const char* from, const char* to) noexcept {
  if (calls != nullptr) calls->push_back("rename");
  if (before_rename) before_rename();
  return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

namespace hwynn {
namespace {

namespace fs = std::filesystem;
using testing::Bytes;
using testing::ExpectError;
using testing::TempFolder;

std::string ReadText(const std::string& path) {
  const Bytes bytes = testing::ReadBytes(path);
  return {bytes.begin(), bytes.end()};
}

// Runs `work` in a process of its own: its exit code, or 128 + the signal that ended it.
int RunInChild(const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) _exit(work());
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// The bytes that come through a pipe while `work` runs.
std::string ReadPipe(const std::string& path, const std::function<void()>& work) {
  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  EXPECT_GE(reader, 0);
  fcntl(reader, F_SETFL, 0);
  std::thread writer(work);
  std::string text;
  char buffer[4096];
  writer.join();  // a pipe holds 64 KiB
  for (ssize_t count; (count = read(reader, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(count));
  close(reader);
  return text;
}

mode_t ModeOf(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
  return status.st_mode;
}

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

TEST(FileIoTest, AMappedFileKeepsItsBytesWhenItIsReplaced) {
  const TempFolder folder;
  const Bytes bytes(10'000, 7);
  const std::string path = folder.Write("file", bytes);
  const MappedFile file(path);
  WriteFileAtomically(path, std::string("another"));
  EXPECT_EQ(file.bytes().size(), bytes.size());
  EXPECT_TRUE(std::ranges::all_of(file.bytes(), [](std::byte byte) { return byte == std::byte{7}; }));
  EXPECT_EQ(MappedFile(path).bytes().size(), 7U);
  EXPECT_TRUE(MappedFile(folder.Write("empty", {})).bytes().empty());
  ExpectError([&] { MappedFile(folder / "nothing"); }, {"nothing", "No such file"});
  ExpectError([&] { MappedFile(folder.path()); }, {"not a regular file"});
}

TEST(FileIoTest, ReadErrorsNameTheFile) {
  const TempFolder folder;
  ExpectError([&] { ReadFile(folder / "none"); }, {folder / "none", "No such file"});
  ExpectError([&] { ReadFile(folder.path()); }, {folder.path(), "not a regular file"});
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);  // and nobody who writes
  ExpectError([&] { ReadFile(folder / "pipe"); }, {folder / "pipe", "not a regular file"});
}

TEST(FileIoTest, WriteErrorsLeaveNothingBehind) {
  const TempFolder folder;
  ExpectError([&] { WriteFileAtomically(folder / "none/file", "text"); }, {folder / "none/file", "No such file"});
  folder.Write("folder/file", {1});
  ExpectError([&] { WriteFileAtomically(folder / "folder", "text"); }, {folder / "folder: is a folder"});
  ExpectError([&] { WriteFileAtomically(folder / "folder/file/x", "text"); }, {folder / "folder/file/x", "Not a dir"});
  // What stands in the way only by the time of the rename.
  before_rename = [&] { fs::create_directories(folder / "late/file"); };
  ExpectError([&] { WriteFileAtomically(folder / "late", "text"); }, {folder / "late", "can't replace"});
  before_rename = nullptr;
  EXPECT_EQ(folder.CountFiles(), 2);
}

TEST(FileIoTest, TheFileIsSyncedBeforeItsNameAndTheFolderAfter) {
  const TempFolder folder;
  std::vector<std::string> list;
  calls = &list;
  WriteFileAtomically(folder / "file", "text");
  WriteFileAtomically(folder / "file", "text");
  calls = nullptr;
  const std::vector<std::string> once = {"sync file", "rename", "sync folder"};
  std::vector<std::string> twice = once;
  twice.insert(twice.end(), once.begin(), once.end());
  EXPECT_EQ(list, twice);
}

TEST(FileIoTest, NewFilesFollowTheMaskAndOthersKeepTheirMode) {
  const TempFolder folder;
  const mode_t mask = umask(0027);
  WriteFileAtomically(folder / "new", "text");
  EXPECT_EQ(ModeOf(folder / "new"), S_IFREG | 0640);
  EXPECT_EQ(umask(mask), 0027u);  // as it was
  ASSERT_EQ(chmod((folder / "new").c_str(), 0606), 0);
  WriteFileAtomically(folder / "new", "other");
  EXPECT_EQ(ModeOf(folder / "new"), S_IFREG | 0606);
  if (geteuid() == 0) {
    ASSERT_EQ(chown((folder / "new").c_str(), 12, 34), 0);
    WriteFileAtomically(folder / "new", "third");
    struct stat status {};
    ASSERT_EQ(stat((folder / "new").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 12u);
    EXPECT_EQ(status.st_gid, 34u);
  }
}

TEST(FileIoTest, LinksAreFollowed) {
  const TempFolder folder;
  fs::create_directories(folder / "far/away");
  folder.Write("far/real", {1});
  fs::create_symlink("../real", folder / "far/away/link");  // from the link's folder on
  fs::create_symlink(folder / "far/away/link", folder / "first");
  WriteFileAtomically(folder / "first", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "first") && fs::is_symlink(folder / "far/away/link"));
  EXPECT_FALSE(fs::is_symlink(folder / "far/real"));
  EXPECT_EQ(ReadText(folder / "far/real"), "new");

  fs::create_symlink("far/fresh", folder / "dangling");
  WriteFileAtomically(folder / "dangling", "made");
  EXPECT_TRUE(fs::is_symlink(folder / "dangling"));
  EXPECT_EQ(ReadText(folder / "far/fresh"), "made");

  fs::create_symlink("circle", folder / "circle");
  ExpectError([&] { WriteFileAtomically(folder / "circle", "text"); }, {folder / "circle", "symbolic links"});
  fs::create_symlink("nowhere/file", folder / "lost");
  ExpectError([&] { WriteFileAtomically(folder / "lost", "text"); }, {folder / "lost", "No such file"});
  EXPECT_EQ(std::distance(fs::recursive_directory_iterator(folder.path()), fs::recursive_directory_iterator()), 9);
}

TEST(FileIoTest, AReadOnlyFileStays) {
  const TempFolder folder;
  folder.Write("file", {'o', 'l', 'd'});
  fs::create_symlink("file", folder / "link");
  ASSERT_EQ(chmod((folder / "file").c_str(), 0444), 0);
  for (const char* name : {"file", "link"}) {
    ExpectError([&] { WriteFileAtomically(folder / name, "new"); }, {folder / name, "is read-only"});
  }
  EXPECT_EQ(ReadText(folder / "file"), "old");
  EXPECT_EQ(folder.CountFiles(), 2);
}

TEST(FileIoTest, APipeGetsTheBytes) {
  const TempFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  fs::create_symlink("pipe", folder / "link");
  ExpectError([&] { WriteFileAtomically(folder / "pipe", "text"); }, {folder / "pipe", "that nobody reads"});
  for (const char* name : {"pipe", "link"}) {
    EXPECT_EQ(ReadPipe(folder / name, [&] { WriteFileAtomically(folder / name, "text"); }), "text");
  }
  EXPECT_EQ(ModeOf(folder / "pipe"), S_IFIFO | 0600);
  EXPECT_EQ(folder.CountFiles(), 2);
}

TEST(FileIoTest, AReaderThatLeavesIsAnError) {
  const TempFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  const int code = RunInChild([&] {
    std::signal(SIGPIPE, SIG_DFL);
    const int reader = open((folder / "pipe").c_str(), O_RDONLY | O_NONBLOCK);
    std::thread leave([&] {
      char byte;
      while (read(reader, &byte, 1) <= 0) usleep(1000);
      close(reader);
    });
    std::string message;
    try {
      WriteFileAtomically(folder / "pipe", std::string(1 << 20, 'x'));
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    leave.join();
    sigset_t pending;
    sigpending(&pending);
    return message.find("Broken pipe") != std::string::npos && sigismember(&pending, SIGPIPE) == 0 ? 7 : 1;
  });
  EXPECT_EQ(code, 7);
}

// Devices of the test's own: should the code replace them, the system's stay.
bool MakeDevices(const TempFolder& folder) {
  if (mknod((folder / "null").c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0 ||
      mknod((folder / "full").c_str(), S_IFCHR | 0666, makedev(1, 7)) != 0 ||
      mknod((folder / "disk").c_str(), S_IFBLK | 0666, makedev(7, 200)) != 0) {
    return false;
  }
  const int null = open((folder / "null").c_str(), O_WRONLY);  // not where the folder's file system allows no devices
  if (null >= 0) close(null);
  return null >= 0;
}

TEST(FileIoTest, DevicesStayDevices) {
  const TempFolder folder;
  if (MakeDevices(folder)) {
    WriteFileAtomically(folder / "null", "text");
    EXPECT_EQ(ModeOf(folder / "null") & S_IFMT, static_cast<mode_t>(S_IFCHR));
    ExpectError([&] { WriteFileAtomically(folder / "full", "text"); }, {folder / "full", "No space left"});
    ExpectError([&] { WriteFileAtomically(folder / "disk", "text"); }, {folder / "disk", "is a disk"});
    EXPECT_EQ(ModeOf(folder / "disk") & S_IFMT, static_cast<mode_t>(S_IFBLK));
    EXPECT_EQ(folder.CountFiles(), 3);
  } else if (geteuid() != 0) {  // who can't replace the system's
    WriteFileAtomically("/dev/null", "text");
    ExpectError([&] { WriteFileAtomically("/dev/full", "text"); }, {"/dev/full", "No space left"});
  } else {
    GTEST_SKIP() << "the superuser can make no devices here, and could harm the system's";
  }
}

// Through a link as /dev/stdout is; the system's own may not be harmed.
TEST(FileIoTest, WhatStandardOutputIsGetsTheBytes) {
  const TempFolder folder;
  const std::string stdout_link = folder / "stdout";
  ASSERT_EQ(RunInChild([&] {
              dup2(open((folder / "out").c_str(), O_WRONLY | O_CREAT, 0644), STDOUT_FILENO);
              fs::create_symlink("/proc/self/fd/1", stdout_link);
              WriteFileAtomically(stdout_link, "text");
              if (ReadText(folder / "out") != "text") return 3;
              unlink((folder / "out").c_str());
              try {
                WriteFileAtomically(stdout_link, "text");
              } catch (const std::runtime_error& error) {
                return std::string(error.what()).find("without a name") != std::string::npos ? 7 : 1;
              }
              return 2;
            }),
            7);
  EXPECT_TRUE(fs::is_symlink(stdout_link));
  EXPECT_EQ(folder.CountFiles(), 1);
}

TEST(FileIoTest, TemporaryFilesOfDeadWritersGo) {
  const TempFolder folder;
  const int code = RunInChild([&] {
    before_rename = [] { _exit(9); };  // without a chance to remove anything
    WriteFileAtomically(folder / "file", "half");
    return 1;
  });
  ASSERT_EQ(code, 9);
  ASSERT_EQ(folder.CountFiles(), 1);
  const std::string left = fs::directory_iterator(folder.path())->path().filename().string();
  EXPECT_TRUE(left.starts_with("file.tmp-") && left.size() == 15) << left;

  // Another file's, and what isn't one of ours at all.
  const std::vector<std::string> others = {"other.tmp-abcdef", "file.tmp-abcde",  "file.tmp-abcdefg",
                                           "file.tmp-ab.def",  "file.tmpabcdefg", "xfile.tmp-abcdef"};
  for (const std::string& name : others) folder.Write(name, {1});
  fs::create_directory(folder / "file.tmp-folder");
  fs::create_symlink("other.tmp-abcdef", folder / "file.tmp-linked");
  WriteFileAtomically(folder / "file", "text");
  EXPECT_FALSE(fs::exists(folder / left));
  for (const std::string& name : others) EXPECT_TRUE(fs::exists(folder / name)) << name;
  EXPECT_TRUE(fs::exists(folder / "file.tmp-folder") && fs::exists(folder / "file.tmp-linked"));
  EXPECT_EQ(folder.CountFiles(), 9);
}

// One writer comes in between another one's bytes and its name: the first one's temporary file stays, and both end
// well.
TEST(FileIoTest, NamesAsLongAsTheyMayBe) {
  const TempFolder folder;
  const std::string two_bytes = "\u00e4";
  for (const size_t size : {243, 244, 245, 254, 255}) {
    std::string name = size % 2 == 0 ? "" : "x";
    while (name.size() < size) name += two_bytes;
    for (const std::string text : {"first", "second"}) {
      std::string temporary;
      before_rename = [&] {
        for (const auto& entry : fs::directory_iterator(folder.path())) {
          const std::string found = entry.path().filename().string();
          if (found != name) temporary = found;
        }
      };
      WriteFileAtomically(folder / name, text);
      before_rename = nullptr;
      EXPECT_EQ(ReadText(folder / name), text);
      // Cut between characters alone.
      const size_t kept = temporary.find(".tmp-");
      EXPECT_EQ(kept, std::min<size_t>(size, 244 - size % 2)) << temporary;
      EXPECT_EQ(temporary.substr(0, kept), name.substr(0, kept));
      // A dead writer's goes here too.
      folder.Write(temporary, {});
    }
    WriteFileAtomically(folder / name, "third");
    EXPECT_EQ(folder.CountFiles(), 1);
    fs::remove(folder / name);
  }
  ExpectError<std::runtime_error>([&] { WriteFileAtomically(folder / std::string(256, 'x'), "text"); },
                                  {"File name too long"});
}

TEST(FileIoTest, TwoWritersOfOneNameEachWriteAWholeFile) {
  const TempFolder folder;
  int64_t files_between = 0;
  before_rename = [&] {
    before_rename = nullptr;
    const int code = RunInChild([&] {
      WriteFileAtomically(folder / "file", "second");
      return ReadText(folder / "file") == "second" ? 7 : 1;
    });
    EXPECT_EQ(code, 7);
    // In this process too, where a lock of the process would be its own.
    std::thread([&] { WriteFileAtomically(folder / "file", "third"); }).join();
    files_between = folder.CountFiles();
  };
  WriteFileAtomically(folder / "file", "first");
  EXPECT_EQ(files_between, 2);  // "third" and the temporary file of "first"
  EXPECT_EQ(ReadText(folder / "file"), "first");
  EXPECT_EQ(folder.CountFiles(), 1);
}

TEST(FileIoTest, ManyThreadsWriteOneName) {
  const TempFolder folder;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 25; ++round) {
        WriteFileAtomically(folder / "file", std::string(10000, static_cast<char>('a' + i)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = ReadText(folder / "file");
  EXPECT_EQ(text, std::string(10000, text[0]));
  EXPECT_EQ(folder.CountFiles(), 1);
}

// A limit on the size of files stands for a full disk: write() stores a part, then fails.
TEST(FileIoTest, BeyondTheLimitOfFilesTheOldOneStays) {
  const TempFolder folder;
  WriteFileAtomically(folder / "file", "old");
  const int code = RunInChild([&] {
    std::signal(SIGXFSZ, SIG_DFL);  // which ends a program
    const rlimit limit{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    for (const char* name : {"file", "fresh"}) {
      std::string message;
      try {
        WriteFileAtomically(folder / name, std::string(5000, 'x'));
      } catch (const std::runtime_error& error) {
        message = error.what();
      }
      if (message != folder / name +
                         ": can't write: File too large; this process may write files of 1000 bytes "
                         "(ulimit -f)") {
        return 1;
      }
    }
    WriteFileAtomically(folder / "small", "text");  // goes on as before
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    return sigismember(&blocked, SIGXFSZ) == 0 ? 7 : 2;
  });
  EXPECT_EQ(code, 7);
  EXPECT_EQ(ReadText(folder / "file"), "old");
  EXPECT_EQ(folder.CountFiles(), 2);
}

}  // namespace
}  // namespace hwynn
