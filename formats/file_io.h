#ifndef HWYNN_FORMATS_FILE_IO_H_
#define HWYNN_FORMATS_FILE_IO_H_

// Whole files, with every error a std::runtime_error that holds the path and the system's reason.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hwynn/core/export.h"

namespace HWYNN_EXPORT hwynn {

/// Deflate, and so gzip and PNG, makes at most this many bytes of one: a file that promises more is lying.
inline constexpr uint64_t kMaxInflation = 1032;

/// The bytes of a regular file.
std::vector<std::byte> ReadFile(const std::string& path);

/// A regular file's bytes where the system keeps them, without a copy: pages are read when they are first looked at.
/// The file must stay as it is meanwhile; a replaced one (WriteFileAtomically) stays, one that is cut short ends the
/// program with SIGBUS.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

/// Makes `pieces`, one after another, the content of `path`.
///
/// A file is replaced as a whole or left untouched: the bytes go to a temporary file `<name>.tmp-XXXXXX` in the same
/// folder, are synced, and take the name; then the folder is synced. A symbolic link is followed, also to a name that
/// is still free; the new file has the mode and, where the system allows it, the owner of the old one. What is no file
/// but takes bytes (a terminal, /dev/null, a pipe that someone reads) gets them as it is.
///
/// On an error nothing is left behind. An advisory lock on the temporary file says that its writer lives, on whatever
/// host it runs: the files of writers that were killed go with the next call for the same path. Calls for one path may
/// overlap, in one process or several: one of them wins.
///
/// Throws: for a file that is read-only, also to the superuser, to whom the system would allow it; folders; disks; a
/// pipe without a reader; a full disk; more bytes than RLIMIT_FSIZE allows. No signal ends the program.
void WriteFileAtomically(const std::string& path, std::span<const std::span<const std::byte>> pieces);

/// The same with the bytes of `text`.
void WriteFileAtomically(const std::string& path, const std::string& text);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_FILE_IO_H_
