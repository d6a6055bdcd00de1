#include "hwynn/data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/formats/container.h"
#include "hwynn/formats/file_io.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kLabelsMagic = 0x00000801;
constexpr uint32_t kImagesMagic = 0x00000803;
constexpr char kImagesFile[] = "images-idx3-ubyte";
constexpr char kLabelsFile[] = "labels-idx1-ubyte";

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

/// The file of a split's images or labels: "train" and "images-idx3-ubyte", joined with '-' or, as some unpack them,
/// with '.'; plain or compressed. Empty when there is none.
std::string FindFile(const fs::path& directory, const std::string& split, const std::string& rest) {
  for (const char* join : {"-", "."}) {
    std::string name = StrCat(split, "-", rest);
    name.replace(name.rfind("-idx"), 1, join);
    for (const char* suffix : {"", ".gz"}) {
      const fs::path path = directory / (name + suffix);
      std::error_code ignored;
      if (fs::exists(path, ignored)) return path.string();
    }
  }
  return {};
}

std::string FileOf(const fs::path& directory, const std::string& split, const std::string& rest) {
  std::string path = FindFile(directory, split, rest);
  CheckData(!path.empty(), (directory / StrCat(split, "-", rest)).string(), ": no such file, nor with .gz");
  return path;
}

/// Where the files are: in `directory`, or where torchvision puts those of its class `name` below its root.
fs::path FolderOfFiles(const fs::path& directory, const std::string& name) {
  for (const fs::path& folder : {directory, directory / "raw", directory / name / "raw"}) {
    if (!FindFile(folder, "train", kImagesFile).empty()) return folder;
  }
  return directory;
}

DatasetSplits LoadFolder(const fs::path& directory, const std::string& name,
                         const std::vector<std::string>& class_names, const std::string& help) {
  std::error_code ignored;
  CheckData(fs::is_directory(directory, ignored), directory.string(), ": no such folder; ", help);
  const fs::path folder = FolderOfFiles(directory, name);
  const auto load = [&](const std::string& split) {
    const std::string images = FileOf(folder, split, kImagesFile);
    return LoadIdx(images, FileOf(folder, split, kLabelsFile), class_names);
  };
  DatasetSplits splits{load("train"), load("t10k")};
  CheckData(splits.train->image_shape() == splits.test->image_shape(), folder.string(), ": training images are ",
            splits.train->image_shape(), ", test images ", splits.test->image_shape());
  return splits;
}

}  // namespace

std::unique_ptr<Dataset> LoadIdx(const std::string& images_path, const std::string& labels_path,
                                 std::vector<std::string> class_names) {
  IdxArray images = ReadIdx(images_path, kImagesMagic, 3);
  const IdxArray labels = ReadIdx(labels_path, kLabelsMagic, 1);
  CheckData(images.extents[0] == labels.extents[0], images_path, " holds ", images.extents[0], " images, ", labels_path,
            " ", labels.extents[0], " labels");
  for (size_t i = 0; i < labels.values.size(); ++i) {
    CheckData(labels.values[i] < class_names.size(), labels_path, ": label ", int{labels.values[i]}, " at byte ", 8 + i,
              " is not one of ", class_names.size(), " classes");
  }
  return OwningDataset({images.extents[1], images.extents[2], 1}, std::move(images.values),
                       {labels.values.begin(), labels.values.end()}, std::move(class_names));
}

DatasetSplits LoadFashionMnist(const std::string& directory) {
  return LoadFolder(
      directory.empty() ? kDebianFashionMnistDirectory : directory, "FashionMNIST",
      {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"},
      "install Debian's package dataset-fashion-mnist, or name the folder that holds Fashion-MNIST's "
      "IDX files (--data-dir)");
}

DatasetSplits LoadMnist(const std::string& directory) {
  const std::string help = "name the folder that holds MNIST's IDX files (--data-dir)";
  Check(!directory.empty(), "LoadMnist: no package brings this data set: ", help);
  return LoadFolder(directory, "MNIST", {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, help);
}

}  // namespace hwynn
