#ifndef HWYNN_FORMATS_FILE_IO_H_
#define HWYNN_FORMATS_FILE_IO_H_

// Whole files, with every error a std::runtime_error that holds the path and the system's reason.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hwynn {

/// Deflate, and so gzip and PNG, makes at most this many bytes of one: a file that promises more is lying.
inline constexpr uint64_t kMaxInflation = 1032;

/// The bytes of a regular file.
std::vector<std::byte> ReadFile(const std::string& path);

/// Replaces the file `path` by `pieces`, one after another, or leaves it untouched: the bytes go to a temporary file
/// in the same folder, are synced, and take the name; then the folder is synced. On an error (a full disk) the
/// temporary file is removed; those of processes that were killed go with the next call. Calls for the same path
/// must not overlap within a process.
void WriteFileAtomically(const std::string& path, std::span<const std::span<const std::byte>> pieces);

/// The same with the bytes of `text`.
void WriteFileAtomically(const std::string& path, const std::string& text);

}  // namespace hwynn

#endif  // HWYNN_FORMATS_FILE_IO_H_
