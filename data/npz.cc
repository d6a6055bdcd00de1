#include "hwynn/data/npz.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/data/zip.h"
#include "hwynn/formats/container.h"
#include "hwynn/formats/file_io.h"
#include "hwynn/formats/npy.h"
#include "hwynn/formats/sound_values.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxClasses = 65536;

// An archive, and what its arrays are called.
class Archive {
 public:
  explicit Archive(std::string path) : path_(std::move(path)), file_(ReadFile(path_)), zip_(Open()) {}
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  const std::string& path() const { return path_; }

  bool Has(const std::string& name) const { return zip_.Find(name + ".npy") != nullptr; }

  // The bytes of an array, and `where` for errors about it.
  std::vector<std::byte> Read(const std::string& name) const {
    const ZipArchive::Entry* entry = zip_.Find(name + ".npy");
    CheckData(entry != nullptr, path_, ": has no array \"", name, "\"", Names());
    return zip_.Read(*entry);
  }
  std::string Where(const std::string& name) const { return StrCat(path_, ": array \"", name, "\""); }

  // "; it has x, y"
  std::string Names() const {
    constexpr size_t kMost = 8, kMostBytes = 32;
    std::string text;
    for (const ZipArchive::Entry& entry : std::span(zip_.entries()).first(std::min(zip_.entries().size(), kMost))) {
      std::string name(entry.name.substr(0, std::min(entry.name.find(".npy"), kMostBytes)));
      std::ranges::replace_if(
          name, [](unsigned char c) { return c < ' ' || c >= 0x7f; }, '?');
      text += (text.empty() ? "; it has " : ", ") + name;
    }
    return text + (zip_.entries().size() > kMost ? ", …" : "");
  }

 private:
  ZipArchive Open() const {
    CheckContainer(path_, file_, {Container::kNpz, Container::kZip, Container::kPyTorch});
    return {path_, file_};
  }

  const std::string path_;
  const std::vector<std::byte> file_;
  const ZipArchive zip_;
};

struct Images {
  Shape shape;  // [H,W,C]
  int64_t count = 0;
  bool is_bytes = false;
  std::vector<uint8_t> bytes;
  std::vector<float> floats;
};

Images ReadImages(const Archive& archive, const std::string& name) {
  const std::vector<std::byte> file = archive.Read(name);
  const std::string where = archive.Where(name);
  const NpyArray array(where, file);
  const Shape& shape = array.shape();
  CheckData((shape.rank() == 3 || shape.rank() == 4) && shape.num_elements() > 0, where, " has shape ", shape,
            ", not that of images, [N,H,W] or [N,H,W,C]");
  const int64_t channels = shape.rank() == 3 ? 1 : shape[3];
  const bool has_planes = shape.rank() == 4 && (shape[1] == 1 || shape[1] == 3) && shape[2] == shape[3] && channels > 4;
  CheckData(!has_planes, where, " has shape ", shape, ", as images in colour planes have; make it [N,H,W,C] with ",
            "x.transpose(0, 2, 3, 1)");
  Images images{.shape = {shape[1], shape[2], channels}, .count = shape[0], .is_bytes = array.type() == "uint8"};
  if (images.is_bytes) {
    images.bytes = array.Bytes();
    return images;
  }
  images.floats = array.Floats();
  const auto reason = FindUnsoundValue(name, std::as_bytes(std::span(images.floats)));
  CheckData(!reason, where, " ", reason.value_or(""));
  return images;
}

std::vector<int32_t> ReadLabels(const Archive& archive, const std::string& name, int64_t count) {
  const std::vector<std::byte> file = archive.Read(name);
  const std::string where = archive.Where(name);
  const NpyArray array(where, file);
  const Shape& shape = array.shape();
  CheckData(shape == Shape{count} || shape == Shape({count, 1}), where, " has shape ", shape, ", not [", count,
            "] or [", count, ",1], a class for each of the ", count, " images");
  std::vector<int32_t> labels;
  labels.reserve(static_cast<size_t>(count));
  for (const int64_t label : array.Integers()) {
    CheckData(label >= 0 && label < kMaxClasses, where, " holds label ", label, " at element ", labels.size(),
              ", which is not in 0 … ", kMaxClasses - 1);
    labels.push_back(static_cast<int32_t>(label));
  }
  return labels;
}

// A split's arrays.
struct Part {
  const Archive* archive;
  std::string x, y;
};

DatasetSplits Load(const Part& train, const Part& test) {
  struct Split {
    Images images;
    std::vector<int32_t> labels;
  };
  std::array<Split, 2> splits;
  int32_t num_classes = 2;
  for (size_t i = 0; i < 2; ++i) {
    const Part& part = i == 0 ? train : test;
    splits[i].images = ReadImages(*part.archive, part.x);
    splits[i].labels = ReadLabels(*part.archive, part.y, splits[i].images.count);
    num_classes = std::max(num_classes, *std::ranges::max_element(splits[i].labels) + 1);
  }
  const Images& images = splits[0].images;
  CheckData(images.shape == splits[1].images.shape, test.archive->Where(test.x), " holds images of ",
            splits[1].images.shape, ", ", train.archive->Where(train.x), " of ", images.shape);
  CheckData(images.is_bytes == splits[1].images.is_bytes, test.archive->Where(test.x), " holds ",
            images.is_bytes ? "floating-point numbers" : "bytes", ", ", train.archive->Where(train.x), " ",
            images.is_bytes ? "bytes" : "floating-point numbers");
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(num_classes));
  for (int32_t i = 0; i < num_classes; ++i) names.push_back(std::to_string(i));
  const auto make = [&](Split& split) {
    if (!split.images.is_bytes) {
      return OwningDataset(split.images.shape, std::move(split.images.floats), std::move(split.labels), names);
    }
    return OwningDataset(split.images.shape, std::move(split.images.bytes), std::move(split.labels), names);
  };
  return {make(splits[0]), make(splits[1])};
}

DatasetSplits LoadOneFile(const std::string& path) {
  const Archive archive(path);
  for (const auto& names : {std::array{"x_train", "y_train", "x_test", "y_test"},
                            std::array{"train_images", "train_labels", "test_images", "test_labels"}}) {
    if (!archive.Has(names[0])) continue;
    return Load({&archive, names[0], names[1]}, {&archive, names[2], names[3]});
  }
  CheckData(!archive.Has("x"), path,
            ": has an array x, and so is one of two files: train.npz and test.npz in a folder");
  throw std::runtime_error(StrCat(path, ": has no array \"x_train\"", archive.Names()));
}

}  // namespace

DatasetSplits LoadNpz(const std::string& path) {
  constexpr char kHelp[] = "name a folder with train.npz and test.npz, or the .npz file that has both (--data-dir)";
  Check(!path.empty(), "LoadNpz: ", kHelp);
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    CheckData(fs::exists(path, ignored), path, ": no such file or folder; ", kHelp);
    return LoadOneFile(path);
  }
  const fs::path folder = path;
  if (fs::exists(folder / "train.npz", ignored)) {
    const bool has_test = fs::exists(folder / "test.npz", ignored) || !fs::exists(folder / "val.npz", ignored);
    const Archive train((folder / "train.npz").string());
    const Archive test((folder / (has_test ? "test.npz" : "val.npz")).string());
    return Load({&train, "x", "y"}, {&test, "x", "y"});
  }
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".npz") files.push_back(entry.path().string());
  }
  CheckData(files.size() == 1, (folder / "train.npz").string(), ": no such file, and ", files.size(),
            " other .npz files beside it; ", kHelp);
  return LoadOneFile(files.front());
}

}  // namespace hwynn
