#include "hwynn/formats/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <system_error>

#include "hwynn/core/check.h"

namespace hwynn {
namespace {

// One call of read or write moves at most this: Linux stops at 2 GiB − 4096 bytes anyway.
constexpr size_t kMaxTransferBytes = size_t{1} << 30;

[[noreturn]] void ThrowErrno(const std::string& path, const char* action, int error) {
  throw std::runtime_error(StrCat(path, ": can't ", action, ": ", std::generic_category().message(error)));
}

void CheckSystem(bool ok, const std::string& path, const char* action) {
  if (!ok) ThrowErrno(path, action, errno);
}

// An open file; closed when it goes out of scope.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags, const char* action)
      : path_(path), descriptor_(open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    CheckSystem(descriptor_ >= 0, path_, action);
  }
  ~Descriptor() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return descriptor_; }

  void Write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = write(descriptor_, bytes.data(), std::min(bytes.size(), kMaxTransferBytes));
      if (count < 0 && errno == EINTR) continue;
      CheckSystem(count >= 0, path_, "write");
      bytes = bytes.subspan(static_cast<size_t>(count));
    }
  }

  void Sync() { CheckSystem(fsync(descriptor_) == 0, path_, "sync"); }

  // Some file systems report a full disk only here.
  void Close() {
    const int descriptor = descriptor_;
    descriptor_ = -1;
    CheckSystem(close(descriptor) == 0 || errno == EINTR, path_, "close");
  }

 private:
  const std::string path_;
  int descriptor_;
};

// Removes the temporary files of processes that ended before they could, each "<path>.tmp.<process id>".
void RemoveLeftovers(const std::filesystem::path& directory, const std::string& path) {
  const std::string prefix = std::filesystem::path(path).filename().string() + ".tmp.";
  std::error_code ignored;
  for (const auto& file : std::filesystem::directory_iterator(directory, ignored)) {
    const std::string name = file.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    const char* const end = name.data() + name.size();
    pid_t process = 0;
    const auto number = std::from_chars(name.data() + prefix.size(), end, process);
    const bool is_ours = number.ec == std::errc() && number.ptr == end && process > 0;
    if (is_ours && kill(process, 0) != 0 && errno == ESRCH) unlink(file.path().c_str());
  }
}

void SyncDirectory(const std::string& path) {
  Descriptor directory(path, O_RDONLY | O_DIRECTORY, "open the folder");
  // Some file systems can't sync a folder, and say so.
  CheckSystem(fsync(directory.get()) == 0 || errno == EINVAL || errno == ENOTSUP, path, "sync the folder");
}

}  // namespace

std::vector<std::byte> ReadFile(const std::string& path) {
  const Descriptor file(path, O_RDONLY, "open");
  struct stat status {};
  CheckSystem(fstat(file.get(), &status) == 0, path, "read the size");
  CheckData(S_ISREG(status.st_mode), path, ": not a regular file");

  std::vector<std::byte> bytes(static_cast<size_t>(status.st_size));
  size_t offset = 0;
  while (offset < bytes.size()) {
    const ssize_t count = read(file.get(), bytes.data() + offset, std::min(bytes.size() - offset, kMaxTransferBytes));
    if (count < 0 && errno == EINTR) continue;
    CheckSystem(count >= 0, path, "read");
    CheckData(count > 0, path, ": ends at byte ", offset, " while it is read; it had ", bytes.size(), " bytes");
    offset += static_cast<size_t>(count);
  }
  return bytes;
}

void WriteFileAtomically(const std::string& path, std::span<const std::span<const std::byte>> pieces) {
  std::filesystem::path directory = std::filesystem::path(path).parent_path();
  if (directory.empty()) directory = ".";
  RemoveLeftovers(directory, path);
  // The process id keeps two programs that write the same file apart; a file of that name is a dead process's.
  const std::string temporary = StrCat(path, ".tmp.", getpid());
  unlink(temporary.c_str());
  Descriptor file(temporary, O_WRONLY | O_CREAT | O_EXCL, "create");
  try {
    for (const std::span<const std::byte> piece : pieces) file.Write(piece);
    file.Sync();
    file.Close();
    CheckSystem(rename(temporary.c_str(), path.c_str()) == 0, path, "replace");
  } catch (...) {
    unlink(temporary.c_str());
    throw;
  }
  SyncDirectory(directory.string());
}

void WriteFileAtomically(const std::string& path, const std::string& text) {
  const std::array pieces{std::as_bytes(std::span(text))};
  WriteFileAtomically(path, pieces);
}

}  // namespace hwynn
