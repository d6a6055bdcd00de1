#include "hwynn/formats/file_io.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "hwynn/core/check.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;

using Pieces = std::span<const std::span<const std::byte>>;

// One call of read or write moves at most this: Linux stops at 2 GiB − 4096 bytes anyway.
constexpr size_t kMaxTransferBytes = size_t{1} << 30;

constexpr char kTemporaryMark[] = ".tmp-";
constexpr char kRandomPart[] = "XXXXXX";  // as mkostemp wants it

[[noreturn]] void ThrowErrno(const std::string& path, const char* action, int error) {
  std::string reason = std::generic_category().message(error);
  rlimit limit{};
  if (error == EFBIG && getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    reason += StrCat("; this process may write files of ", limit.rlim_cur, " bytes (ulimit -f)");
  }
  throw std::runtime_error(StrCat(path, ": can't ", action, ": ", reason));
}

void CheckSystem(bool ok, const std::string& path, const char* action) {
  if (!ok) ThrowErrno(path, action, errno);
}

// Holds back the signals with which a write that fails would end the program: what write returns says it too. Those
// that came in between are taken away, but for one that was pending before.
class HeldSignals {
 public:
  HeldSignals() {
    sigset_t pending;
    sigpending(&pending);
    sigemptyset(&held_);
    for (const int signal : {SIGPIPE, SIGXFSZ}) {
      if (sigismember(&pending, signal) == 0) sigaddset(&held_, signal);
    }
    pthread_sigmask(SIG_BLOCK, &held_, &before_);
  }
  ~HeldSignals() {
    for (const int signal : {SIGPIPE, SIGXFSZ}) {
      sigset_t pending, one;
      sigpending(&pending);
      sigemptyset(&one);
      sigaddset(&one, signal);
      int taken = 0;
      if (sigismember(&held_, signal) == 1 && sigismember(&pending, signal) == 1) sigwait(&one, &taken);
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

 private:
  sigset_t held_{}, before_{};
};

// An open file; closed when it goes out of scope.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

  int get() const { return descriptor_; }
  bool ok() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

Descriptor Open(const std::string& path, int flags) { return Descriptor(open(path.c_str(), flags | O_CLOEXEC)); }

void WriteAll(const Descriptor& file, Pieces pieces, const std::string& path) {
  const HeldSignals held;
  for (std::span<const std::byte> bytes : pieces) {
    while (!bytes.empty()) {
      const ssize_t count = write(file.get(), bytes.data(), std::min(bytes.size(), kMaxTransferBytes));
      if (count < 0 && errno == EINTR) continue;
      CheckSystem(count >= 0, path, "write");
      bytes = bytes.subspan(static_cast<size_t>(count));
    }
  }
}

std::string FolderOf(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

// `NAME.tmp-`. NAME loses its end, by whole characters of UTF-8, where the temporary file's name would be longer than
// file systems take.
std::string TemporaryPrefix(const std::string& target) {
  std::string name = fs::path(target).filename().string();
  constexpr size_t kMostBytes =
      NAME_MAX - std::string_view(kTemporaryMark).size() - std::string_view(kRandomPart).size();
  if (name.size() > kMostBytes) {
    size_t end = kMostBytes;
    while (end > 1 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;
    name.resize(end);
  }
  return name + kTemporaryMark;
}

bool SameFile(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// Whether `name` in the file system is the open file, and not gone or another one by now.
bool IsNameOf(const std::string& name, const Descriptor& file) {
  struct stat open_file {
  }, named{};
  return fstat(file.get(), &open_file) == 0 && lstat(name.c_str(), &named) == 0 && SameFile(open_file, named);
}

bool Lock(const Descriptor& file) { return flock(file.get(), LOCK_EX | LOCK_NB) == 0; }

// A file beside `target` with a name of its own, locked while this object lives. It is removed unless it took the
// target's name. `path` is for errors.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& target, const std::string& path) : target_(target), path_(path) {
    // Another writer may take the file for a dead one's, and remove it, until it is locked: then it takes another one.
    for (int attempts = 100; attempts > 0; --attempts) {
      name_ = (fs::path(target).parent_path() / (TemporaryPrefix(target) + kRandomPart)).string();
      file_ = Descriptor(mkostemp(name_.data(), O_CLOEXEC));
      CheckSystem(file_.ok(), path, "create a file beside it");
      // Where there are no locks at all, nobody can lock the file of another one either, and so nobody removes it.
      const bool safe = Lock(file_) || errno != EWOULDBLOCK;
      if (safe && IsNameOf(name_, file_)) return;
      unlink(name_.c_str());
    }
    ThrowErrno(path, "create a file beside it", EBUSY);
  }
  ~TemporaryFile() {
    if (!name_.empty()) unlink(name_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void Write(Pieces pieces) { WriteAll(file_, pieces, path_); }

  // Permissions of the file that is replaced, or of any new one.
  void SetMode(const struct stat* replaced) {
    mode_t mode = 0666;
    if (replaced != nullptr) {
      // Only the superuser may give a file away: for others it becomes their own, as with any editor.
      [[maybe_unused]] const int given = fchown(file_.get(), replaced->st_uid, replaced->st_gid);
      mode = replaced->st_mode & 0777;
    } else {
      // The mask can be read only by setting it; a file that another thread makes meanwhile gets too few rights, not
      // too many.
      const mode_t mask = umask(0077);
      umask(mask);
      mode &= ~mask;
    }
    CheckSystem(fchmod(file_.get(), mode) == 0, path_, "set the mode");
  }

  void TakeName() {
    CheckSystem(fsync(file_.get()) == 0, path_, "sync");
    CheckSystem(rename(name_.c_str(), target_.c_str()) == 0, path_, "replace");
    name_.clear();
    const std::string folder = FolderOf(target_);
    const Descriptor directory = Open(folder, O_RDONLY | O_DIRECTORY);
    CheckSystem(directory.ok(), folder, "open the folder");
    // Some file systems can't sync a folder, and say so.
    CheckSystem(fsync(directory.get()) == 0 || errno == EINVAL || errno == ENOTSUP, folder, "sync the folder");
  }

 private:
  const std::string& target_;
  const std::string& path_;
  std::string name_;
  Descriptor file_{-1};
};

// Removes the temporary files of writers that died: those that nobody has locked.
void RemoveLeftovers(const std::string& target) {
  const std::string prefix = TemporaryPrefix(target);
  constexpr size_t kRandomCharacters = sizeof(kRandomPart) - 1;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(FolderOf(target), ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix) || name.size() != prefix.size() + kRandomCharacters) continue;
    const auto is_random = [](unsigned char c) { return std::isalnum(c) != 0; };
    if (!std::all_of(name.begin() + static_cast<std::ptrdiff_t>(prefix.size()), name.end(), is_random)) continue;
    // For writing, which a lock over NFS asks for.
    const Descriptor file = Open(entry.path().string(), O_RDWR | O_NOFOLLOW | O_NONBLOCK);
    struct stat status {};
    if (!file.ok() || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if (Lock(file) && IsNameOf(entry.path().string(), file)) unlink(entry.path().c_str());
  }
}

// Where the symbolic links that begin at `path` end: at a name that is no link, or free.
std::string FollowLinks(const std::string& path) {
  constexpr int kMaxLinks = 40;  // Linux's
  fs::path target = path;
  for (int i = 0; i < kMaxLinks; ++i) {
    std::error_code error;
    const fs::path next = fs::read_symlink(target, error);
    if (error) return target.string();
    target = target.parent_path() / next;  // from the link's folder on; an absolute path stands alone
  }
  ThrowErrno(path, "follow the links", ELOOP);
}

// Gives the bytes to what is no file: it stays what it is.
void WriteInto(const std::string& path, Pieces pieces) {
  // A pipe that nobody reads would keep the program waiting: without waiting, opening it is an error.
  const Descriptor file = Open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  CheckData(file.ok() || errno != ENXIO, path, ": is a pipe or a socket that nobody reads");
  CheckSystem(file.ok(), path, "open");
  CheckSystem(fcntl(file.get(), F_SETFL, fcntl(file.get(), F_GETFL) & ~O_NONBLOCK) == 0, path, "open");
  WriteAll(file, pieces, path);
}

void ReplaceFile(const std::string& path, Pieces pieces, const struct stat* replaced) {
  const std::string target = FollowLinks(path);
  // As /dev/stdout does when the file that it was is gone.
  CheckData(replaced == nullptr || access(target.c_str(), F_OK) == 0, path, ": leads to a file without a name");
  RemoveLeftovers(target);
  TemporaryFile file(target, path);
  file.Write(pieces);
  file.SetMode(replaced);
  file.TakeName();
}

// A regular file, for reading.
Descriptor OpenFile(const std::string& path) {
  Descriptor file = Open(path, O_RDONLY | O_NONBLOCK);  // a pipe is no file, but would keep the program waiting
  CheckSystem(file.ok(), path, "open");
  return file;
}

size_t SizeOf(const Descriptor& file, const std::string& path) {
  struct stat status {};
  CheckSystem(fstat(file.get(), &status) == 0, path, "read the size");
  CheckData(S_ISREG(status.st_mode), path, ": not a regular file");
  return static_cast<size_t>(status.st_size);
}

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  const Descriptor file = OpenFile(path);
  const size_t size = SizeOf(file, path);
  if (size == 0) return;  // which no system maps
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  CheckSystem(data != MAP_FAILED, path, "map");
  bytes_ = {static_cast<const std::byte*>(data), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::vector<std::byte> ReadFile(const std::string& path) {
  const Descriptor file = OpenFile(path);
  std::vector<std::byte> bytes(SizeOf(file, path));
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
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {  // follows links
    CheckSystem(errno == ENOENT, path, "write");
    return ReplaceFile(path, pieces, nullptr);
  }
  CheckData(!S_ISDIR(status.st_mode), path, ": is a folder, not a file");
  CheckData(!S_ISBLK(status.st_mode), path, ": is a disk, not a file");
  if (!S_ISREG(status.st_mode)) return WriteInto(path, pieces);
  CheckData((status.st_mode & 0222) != 0, path, ": is read-only");  // as the system says to all but the superuser
  CheckSystem(faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0, path, "replace");
  ReplaceFile(path, pieces, &status);
}

void WriteFileAtomically(const std::string& path, const std::string& text) {
  const std::array pieces{std::as_bytes(std::span(text))};
  WriteFileAtomically(path, pieces);
}

}  // namespace hwynn
