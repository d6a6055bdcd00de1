#include "hwynn/data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/formats/container.h"
#include "hwynn/formats/file_io.h"

namespace hwynn {
namespace {

constexpr uint32_t kLabelsMagic = 0x00000801;
constexpr uint32_t kImagesMagic = 0x00000803;

// The content of a file, decompressed if need be, from front to back.
class Content {
 public:
  explicit Content(const std::string& path) : path_(path), file_(ReadFile(path)) {
    CheckContainer(path_, file_, {Container::kGzip});
    constexpr std::array gzip_magic{std::byte{0x1f}, std::byte{0x8b}};
    gzip_ = file_.size() >= 2 && std::equal(gzip_magic.begin(), gzip_magic.end(), file_.begin());
    constexpr int kGzipOnly = 16;
    if (gzip_ && inflateInit2(&stream_, kGzipOnly + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~Content() {
    if (gzip_) inflateEnd(&stream_);
  }
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;

  // The next `size` bytes; `what` is for the error when there aren't as many. Memory grows with what is there.
  std::vector<uint8_t> Read(uint64_t size, const char* what) {
    constexpr uint64_t kPiece = uint64_t{16} << 20;
    std::vector<uint8_t> bytes;
    while (bytes.size() < size) {
      const size_t begin = bytes.size();
      bytes.resize(std::min(size, begin + kPiece));
      const size_t count = ReadSome(std::span(bytes).subspan(begin));
      CheckData(begin + count == bytes.size(), path_, ": ends at byte ", Position(), ", ", size - begin - count,
                " bytes before the end of its ", what);
    }
    return bytes;
  }

  void CheckEnd() {
    const std::string end = Position();
    std::array<uint8_t, 1> extra;
    CheckData(ReadSome(extra) == 0, path_, ": trailing bytes from byte ", end, " on");
    CheckData(input_ == file_.size() || !gzip_, path_, ": trailing bytes after the compressed data, from byte ", input_,
              " on");
  }

  // No more bytes than this can come.
  uint64_t MaxSize() const { return file_.size() * (gzip_ ? kMaxInflation : 1); }

  // "17", with a word about what is counted.
  std::string Position(int64_t distance = 0) const {
    return StrCat(static_cast<int64_t>(offset_) + distance, gzip_ ? " of the decompressed data" : "");
  }

 private:
  // Fewer bytes than asked for only at the end.
  size_t ReadSome(std::span<uint8_t> out) {
    const size_t count = gzip_ ? Inflate(out) : Copy(out);
    offset_ += count;
    return count;
  }

  size_t Copy(std::span<uint8_t> out) {
    const size_t count = std::min(out.size(), file_.size() - input_);
    std::transform(file_.begin() + static_cast<ptrdiff_t>(input_),
                   file_.begin() + static_cast<ptrdiff_t>(input_ + count), out.begin(),
                   [](std::byte byte) { return static_cast<uint8_t>(byte); });
    input_ += count;
    return count;
  }

  size_t Inflate(std::span<uint8_t> out) {
    constexpr size_t kMaxChunk = std::numeric_limits<uInt>::max();
    size_t count = 0;
    while (count < out.size() && !ended_) {
      stream_.next_in = reinterpret_cast<Bytef*>(file_.data() + input_);
      stream_.avail_in = static_cast<uInt>(std::min(file_.size() - input_, kMaxChunk));
      stream_.next_out = out.data() + count;
      stream_.avail_out = static_cast<uInt>(std::min(out.size() - count, kMaxChunk));
      const int code = inflate(&stream_, Z_NO_FLUSH);
      input_ = static_cast<size_t>(reinterpret_cast<std::byte*>(stream_.next_in) - file_.data());
      count = static_cast<size_t>(stream_.next_out - out.data());
      CheckData(code != Z_BUF_ERROR, path_, ": the compressed data end at byte ", input_, " in the middle of a stream");
      CheckData(code == Z_OK || code == Z_STREAM_END, path_, ": the compressed data are damaged before byte ", input_,
                stream_.msg ? StrCat(" (", stream_.msg, ")") : "");
      ended_ = code == Z_STREAM_END;
    }
    return count;
  }

  const std::string path_;
  std::vector<std::byte> file_;
  bool gzip_ = false;
  z_stream stream_{};
  bool ended_ = false;
  size_t input_ = 0;   // bytes of the file that were used
  size_t offset_ = 0;  // bytes of content that were handed out
};

struct IdxArray {
  std::vector<int64_t> extents;
  std::vector<uint8_t> values;
};

uint32_t ReadBigEndian(Content& content) {
  const std::vector<uint8_t> bytes = content.Read(4, "header");
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

IdxArray ReadIdx(const std::string& path, uint32_t expected_magic, size_t rank) {
  Content content(path);
  const uint32_t magic = ReadBigEndian(content);
  CheckData(magic == expected_magic, path, ": the magic number at byte 0 is ", magic, ", not ", expected_magic,
            rank == 3 ? " (IDX images of bytes)" : " (IDX labels of bytes)");
  IdxArray array;
  uint64_t size = 1;
  for (size_t axis = 0; axis < rank; ++axis) {
    const uint32_t extent = ReadBigEndian(content);
    CheckData(extent > 0, path, ": the size at byte ", content.Position(-4), " is 0");
    CheckData(size <= content.MaxSize() / extent, path, ": the sizes up to byte ", content.Position(),
              " promise more data than a file of this size can hold");
    size *= extent;
    array.extents.push_back(extent);
  }
  array.values = content.Read(size, rank == 3 ? "images" : "labels");
  content.CheckEnd();
  return array;
}

// The same images with their rows as columns, and the extents that they have then.
void Transpose(IdxArray& images) {
  const auto height = static_cast<size_t>(images.extents[1]), width = static_cast<size_t>(images.extents[2]);
  std::vector<uint8_t> image(height * width);
  for (size_t begin = 0; begin < images.values.size(); begin += image.size()) {
    uint8_t* const out = images.values.data() + begin;
    std::copy_n(out, image.size(), image.begin());
    for (size_t x = 0; x < width; ++x) {
      for (size_t y = 0; y < height; ++y) out[x * height + y] = image[y * width + x];
    }
  }
  std::swap(images.extents[1], images.extents[2]);
}

}  // namespace

std::unique_ptr<Dataset> LoadIdx(const std::string& images_path, const std::string& labels_path,
                                 std::vector<std::string> class_names, const IdxOptions& options) {
  IdxArray images = ReadIdx(images_path, kImagesMagic, 3);
  const IdxArray labels = ReadIdx(labels_path, kLabelsMagic, 1);
  CheckData(images.extents[0] == labels.extents[0], images_path, " holds ", images.extents[0], " images, ", labels_path,
            " ", labels.extents[0], " labels");
  const auto num_classes = static_cast<int>(class_names.size());
  std::vector<int32_t> classes;
  classes.reserve(labels.values.size());
  for (const int label : labels.values) {
    const int index = label - options.first_label;
    CheckData(index >= 0 && index < num_classes, labels_path, ": label ", label, " at byte ", 8 + classes.size(),
              " is not one of ", num_classes, " classes",
              options.first_label == 0 ? "" : StrCat(" from ", options.first_label, " on"));
    classes.push_back(index);
  }
  if (options.transposed) Transpose(images);
  return OwningDataset({images.extents[1], images.extents[2], 1}, std::move(images.values), std::move(classes),
                       std::move(class_names));
}

}  // namespace hwynn
