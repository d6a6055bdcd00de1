#include "hwynn/data/zip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>
#include <optional>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/formats/file_io.h"

namespace hwynn {
namespace {

constexpr uint32_t kLocalMagic = 0x04034b50, kEntryMagic = 0x02014b50, kEndMagic = 0x06054b50;
constexpr uint32_t kEnd64Magic = 0x06064b50, kLocator64Magic = 0x07064b50;
constexpr size_t kLocalBytes = 30, kEntryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20;
constexpr uint64_t kAll16 = 0xffff, kAll32 = 0xffffffff;  // "see the zip64 field"
constexpr uint32_t kStored = 0, kDeflated = 8;

// zlib counts in unsigned ints.
constexpr size_t kMaxChunk = std::numeric_limits<uInt>::max();

uint32_t Crc32(std::span<const std::byte> bytes) {
  uLong crc = crc32(0, nullptr, 0);
  while (!bytes.empty()) {
    const auto chunk = bytes.first(std::min(bytes.size(), kMaxChunk));
    crc = crc32(crc, reinterpret_cast<const Bytef*>(chunk.data()), static_cast<uInt>(chunk.size()));
    bytes = bytes.subspan(chunk.size());
  }
  return static_cast<uint32_t>(crc);
}

// A deflated stream, which must hold exactly as many bytes as are asked for.
class Inflater {
 public:
  explicit Inflater(std::span<const std::byte> input) : input_(input) {
    constexpr int kNoHeader = -MAX_WBITS;
    if (inflateInit2(&stream_, kNoHeader) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // What is wrong with the stream, or nothing: it has `size` bytes, and `out` has them. Memory grows with them.
  std::optional<std::string> Read(uint64_t size, std::vector<std::byte>& out) {
    constexpr uint64_t kPiece = uint64_t{16} << 20;
    while (out.size() < size) {
      const size_t begin = out.size();
      out.resize(std::min(size, begin + std::max<uint64_t>(begin, kPiece)));
      const size_t count = Inflate(std::span(out).subspan(begin));
      if (begin + count != out.size()) return Reason(begin + count, size);
    }
    std::byte extra;
    if (Inflate({&extra, 1}) != 0) return StrCat("holds more than the ", size, " bytes that the directory says");
    if (!ended_) return Reason(size, size);
    if (input_.size() != 0) return StrCat("has ", input_.size(), " bytes behind its compressed data");
    return {};
  }

 private:
  std::string Reason(uint64_t count, uint64_t size) const {
    if (damaged_) return StrCat("is damaged", stream_.msg ? StrCat(" (", stream_.msg, ")") : "");
    if (!ended_) return StrCat("ends in the middle of its compressed data, after ", count, " of ", size, " bytes");
    return StrCat("ends after ", count, " of the ", size, " bytes that the directory says");
  }

  // Fewer bytes than asked for only at the end, or where the stream is damaged.
  size_t Inflate(std::span<std::byte> out) {
    size_t count = 0;
    while (count < out.size() && !ended_ && !damaged_) {
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input_.data()));
      stream_.avail_in = static_cast<uInt>(std::min(input_.size(), kMaxChunk));
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + count);
      stream_.avail_out = static_cast<uInt>(std::min(out.size() - count, kMaxChunk));
      const auto *const input = stream_.next_in, *const output = stream_.next_out;
      const int code = inflate(&stream_, Z_NO_FLUSH);
      input_ = input_.subspan(static_cast<size_t>(stream_.next_in - input));
      count += static_cast<size_t>(stream_.next_out - output);
      if (code == Z_MEM_ERROR) throw std::bad_alloc();
      if (code == Z_BUF_ERROR) return count;  // no more input
      ended_ = code == Z_STREAM_END;
      damaged_ = !ended_ && code != Z_OK;
    }
    return count;
  }

  std::span<const std::byte> input_;
  z_stream stream_{};
  bool ended_ = false, damaged_ = false;
};

}  // namespace

ZipArchive::ZipArchive(std::string path, std::span<const std::byte> file) : path_(std::move(path)), file_(file) {
  ReadDirectory(FindDirectory());
}

uint64_t ZipArchive::Number(uint64_t offset, size_t size, std::string_view what) const {
  CheckData(offset <= file_.size() && size <= file_.size() - offset, path_, ": the archive's ", what, " at byte ",
            offset, " lies outside the file of ", file_.size(), " bytes");
  uint64_t number = 0;
  for (size_t i = 0; i < size; ++i) number |= static_cast<uint64_t>(file_[offset + i]) << (8 * i);
  return number;
}

ZipArchive::Directory ZipArchive::FindDirectory() const {
  // The record at the end has a comment of any length up to 65535.
  for (size_t comment = 0; comment <= kAll16 && kEndBytes + comment <= file_.size(); ++comment) {
    const size_t end = file_.size() - kEndBytes - comment;
    if (Number(end, 4, "end") != kEndMagic || Number(end + 20, 2, "end") != comment) continue;
    const uint64_t num_entries = Number(end + 10, 2, "end"), offset = Number(end + 16, 4, "end");
    const bool is_zip64 = num_entries == kAll16 || offset == kAll32 || Number(end + 12, 4, "end") == kAll32;
    return is_zip64 ? FindDirectory64(end) : Directory{num_entries, offset, end};
  }
  throw std::runtime_error(
      StrCat(path_, ": ends at byte ", file_.size(), " without a zip archive's directory: it is cut off or damaged"));
}

ZipArchive::Directory ZipArchive::FindDirectory64(size_t end) const {
  CheckData(end >= kLocator64Bytes && Number(end - kLocator64Bytes, 4, "zip64 locator") == kLocator64Magic, path_,
            ": the archive's zip64 locator isn't before byte ", end);
  const uint64_t end64 = Number(end - kLocator64Bytes + 8, 8, "zip64 locator");
  CheckData(end64 <= end - kLocator64Bytes && kEnd64Bytes <= end - kLocator64Bytes - end64 &&
                Number(end64, 4, "zip64 end") == kEnd64Magic,
            path_, ": the archive's zip64 directory isn't at byte ", end64);
  return {Number(end64 + 32, 8, "zip64 end"), Number(end64 + 48, 8, "zip64 end"), end64};
}

void ZipArchive::ReadDirectory(const Directory& directory) {
  CheckData(
      directory.offset <= directory.end && directory.num_entries <= (directory.end - directory.offset) / kEntryBytes,
      path_, ": the archive's directory of ", directory.num_entries, " entries can't be at byte ", directory.offset);
  directory_offset_ = directory.offset;
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.num_entries; ++i) {
    CheckData(Number(at, 4, "entry") == kEntryMagic, path_, ": entry ", i, " of the archive's directory isn't at byte ",
              at);
    const uint64_t name = at + kEntryBytes, name_bytes = Number(at + 28, 2, "entry"), extra = name + name_bytes;
    const uint64_t extra_bytes = Number(at + 30, 2, "entry"), next = extra + extra_bytes + Number(at + 32, 2, "entry");
    CheckData(next <= directory.end, path_, ": entry ", i, " of the archive's directory at byte ", at,
              " is longer than the directory");
    Entry entry{.name = {reinterpret_cast<const char*>(file_.data()) + name, static_cast<size_t>(name_bytes)},
                .method = static_cast<uint32_t>(Number(at + 10, 2, "entry")),
                .checksum = static_cast<uint32_t>(Number(at + 16, 4, "entry")),
                .compressed_bytes = Number(at + 20, 4, "entry"),
                .bytes = Number(at + 24, 4, "entry"),
                .offset = Number(at + 42, 4, "entry")};
    constexpr uint32_t kEncrypted = 1;
    if ((Number(at + 8, 2, "entry") & kEncrypted) != 0) entry.method = kAll16;
    // The zip64 field has the numbers that didn't fit, in this order.
    for (uint64_t field = extra; field + 4 <= extra + extra_bytes;) {
      const uint64_t size = Number(field + 2, 2, "entry"), end = field + 4 + size;
      uint64_t value = field + 4;
      if (Number(field, 2, "entry") == 1) {
        for (uint64_t* number : {&entry.bytes, &entry.compressed_bytes, &entry.offset}) {
          if (*number != kAll32 || value + 8 > std::min(end, extra + extra_bytes)) continue;
          *number = Number(value, 8, "entry");
          value += 8;
        }
      }
      field = end;
    }
    entries_.push_back(entry);
    at = next;
  }
}

const ZipArchive::Entry* ZipArchive::Find(std::string_view name) const {
  const auto found = std::ranges::find(entries_, name, &Entry::name);
  if (found == entries_.end()) return nullptr;
  CheckData(std::ranges::count(entries_, name, &Entry::name) == 1, path_, ": the archive has \"", name, "\" twice");
  return &*found;
}

std::span<const std::byte> ZipArchive::DataOf(const Entry& entry) const {
  const auto require = [&](bool ok, const auto&... parts) {
    CheckData(ok, path_, ": the archive's \"", entry.name, "\" ", parts...);
  };
  require(entry.method != kAll16, "is encrypted");
  require(entry.method == kStored || entry.method == kDeflated, "is compressed by method ", entry.method,
          ", which is neither stored nor deflated");
  require(entry.offset <= directory_offset_ && kLocalBytes <= directory_offset_ - entry.offset &&
              Number(entry.offset, 4, "header") == kLocalMagic,
          "isn't at byte ", entry.offset);
  const uint64_t data =
      entry.offset + kLocalBytes + Number(entry.offset + 26, 2, "header") + Number(entry.offset + 28, 2, "header");
  require(data <= directory_offset_ && entry.compressed_bytes <= directory_offset_ - data, "of ",
          entry.compressed_bytes, " bytes from byte ", data, " on reaches into the directory at byte ",
          directory_offset_);
  require(entry.bytes <= kMaxEntryBytes, "says that it holds ", entry.bytes, " bytes; the limit is ", kMaxEntryBytes);
  const uint64_t most = entry.compressed_bytes * (entry.method == kStored ? 1 : kMaxInflation);
  require(entry.bytes <= most, "says that it holds ", entry.bytes, " bytes, which ", entry.compressed_bytes, " can't");
  return file_.subspan(data, entry.compressed_bytes);
}

std::vector<std::byte> ZipArchive::Read(const Entry& entry) const {
  const std::span<const std::byte> data = DataOf(entry);
  std::vector<std::byte> content;
  if (entry.method == kStored) {
    CheckData(entry.bytes == data.size(), path_, ": the archive's \"", entry.name, "\" is stored in ", data.size(),
              " bytes, but has ", entry.bytes);
    content.assign(data.begin(), data.end());
  } else if (const auto reason = Inflater(data).Read(entry.bytes, content)) {
    CheckData(false, path_, ": the archive's \"", entry.name, "\" ", *reason);
  }
  CheckData(Crc32(content) == entry.checksum, path_, ": the archive's \"", entry.name,
            "\" is damaged: its checksum is another one");
  return content;
}

}  // namespace hwynn
