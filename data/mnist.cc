#include "hwynn/data/mnist.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "hwynn/core/check.h"
#include "hwynn/data/idx.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;

constexpr char kImagesFile[] = "images-idx3-ubyte";
constexpr char kLabelsFile[] = "labels-idx1-ubyte";

// What tells one of the data sets from the others.
struct Source {
  std::string title;
  std::string torchvision;  // its class, and so its folder
  std::string train;        // what the files' names begin with
  std::string test;
  std::vector<std::string> class_names;
  IdxOptions idx{};
};

// The file of a split's images or labels: "train" and "images-idx3-ubyte", joined with '-' or, as some unpack them,
// with '.'; plain or compressed. Empty when there is none.
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

// Where the files are: in `directory`, where EMNIST's archive puts them, or where torchvision does below its root.
fs::path FolderOfFiles(const fs::path& directory, const Source& source) {
  const fs::path raw = directory / source.torchvision / "raw";
  for (const fs::path& folder : {directory, directory / "gzip", directory / "raw", raw, raw / "gzip"}) {
    if (!FindFile(folder, source.train, kImagesFile).empty()) return folder;
  }
  return directory;
}

DatasetSplits Load(const fs::path& directory, const Source& source, const std::string& help) {
  std::error_code ignored;
  CheckData(fs::is_directory(directory, ignored), directory.string(), ": no such folder; ", help);
  const fs::path folder = FolderOfFiles(directory, source);
  const auto load = [&](const std::string& split) {
    const std::string images = FileOf(folder, split, kImagesFile);
    return LoadIdx(images, FileOf(folder, split, kLabelsFile), source.class_names, source.idx);
  };
  DatasetSplits splits{load(source.train), load(source.test)};
  CheckData(splits.train->image_shape() == splits.test->image_shape(), folder.string(), ": training images are ",
            splits.train->image_shape(), ", test images ", splits.test->image_shape());
  return splits;
}

DatasetSplits LoadNamed(const std::string& directory, const Source& source) {
  const std::string help = StrCat("name the folder that holds ", source.title, "'s IDX files (--data-dir)");
  Check(!directory.empty(), source.title, ": no package brings this data set: ", help);
  return Load(directory, source, help);
}

// One name a character.
std::vector<std::string> Characters(std::string_view characters) {
  std::vector<std::string> names;
  for (const char c : characters) names.emplace_back(1, c);
  return names;
}

constexpr std::string_view kDigits = "0123456789";

struct EmnistSplit {
  std::string_view name;
  std::string_view characters;
  int first_label;
};

constexpr EmnistSplit kEmnistSplits[] = {
    {"letters", "abcdefghijklmnopqrstuvwxyz", 1},
    // Without the lower case of C I J K L M O P S U V W X Y Z, which looks like the upper one.
    {"balanced", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt", 0},
    {"byclass", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 0},
    {"bymerge", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt", 0},
    {"digits", kDigits, 0},
    {"mnist", kDigits, 0},
};

}  // namespace

DatasetSplits LoadFashionMnist(const std::string& directory) {
  const Source source{
      "Fashion-MNIST",
      "FashionMNIST",
      "train",
      "t10k",
      {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}};
  return Load(directory.empty() ? kDebianFashionMnistDirectory : directory, source,
              "install Debian's package dataset-fashion-mnist, or name the folder that holds Fashion-MNIST's "
              "IDX files (--data-dir)");
}

DatasetSplits LoadMnist(const std::string& directory) {
  return LoadNamed(directory, {"MNIST", "MNIST", "train", "t10k", Characters(kDigits)});
}

DatasetSplits LoadKmnist(const std::string& directory) {
  return LoadNamed(directory,
                   {"KMNIST", "KMNIST", "train", "t10k", {"o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"}});
}

const std::vector<std::string>& EmnistSplits() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const EmnistSplit& split : kEmnistSplits) list.emplace_back(split.name);
    return list;
  }();
  return names;
}

DatasetSplits LoadEmnist(const std::string& split, const std::string& directory) {
  const auto* found = std::ranges::find(kEmnistSplits, split, &EmnistSplit::name);
  Check(found != std::end(kEmnistSplits), "LoadEmnist: there is no split \"", split, "\" of EMNIST");
  const std::string prefix = StrCat("emnist-", split, "-");
  return LoadNamed(directory, {"EMNIST",
                               "EMNIST",
                               prefix + "train",
                               prefix + "test",
                               Characters(found->characters),
                               {.transposed = true, .first_label = found->first_label}});
}

}  // namespace hwynn
