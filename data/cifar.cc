#include "hwynn/data/cifar.h"

#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/formats/container.h"
#include "hwynn/formats/file_io.h"
#include "hwynn/formats/utf8.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSide = 32;
constexpr size_t kChannels = 3;
constexpr size_t kPixels = kSide * kSide;

// What tells CIFAR-10 from CIFAR-100.
struct Format {
  const char* folder;  // what the archive unpacks to
  const char* archive;
  const char* names_file;  // a class name per line
  size_t label_bytes;      // before the pixels; the last one counts
  std::vector<std::string> train_files;
  const char* test_file;
  std::vector<std::string> class_names;
  std::vector<fs::path> other_versions;  // what the other versions have in the folder that is given
};

std::unique_ptr<Dataset> ReadRecords(const fs::path& directory, const Format& format,
                                     const std::vector<std::string>& files,
                                     const std::vector<std::string>& class_names) {
  const size_t record_bytes = format.label_bytes + kPixels * kChannels;
  std::vector<uint8_t> images;
  std::vector<int32_t> labels;
  for (const std::string& file : files) {
    const std::string path = (directory / file).string();
    const std::vector<std::byte> bytes = ReadFile(path);
    // Whole records may begin with any bytes.
    if (bytes.size() % record_bytes != 0) CheckContainer(path, bytes, {});
    const size_t num_records = bytes.size() / record_bytes;
    CheckData(num_records > 0, path, ": ends at byte ", bytes.size(), ", in its first record of ", record_bytes,
              " bytes");
    CheckData(bytes.size() % record_bytes == 0, path, ": ", bytes.size() % record_bytes, " bytes from byte ",
              num_records * record_bytes, " on are not a whole record of ", record_bytes, " bytes");
    size_t out = images.size();
    images.resize(out + num_records * kPixels * kChannels);
    for (size_t begin = 0; begin < bytes.size(); begin += record_bytes) {
      const size_t label_offset = begin + format.label_bytes - 1;
      const auto label = static_cast<int32_t>(bytes[label_offset]);
      CheckData(label < std::ssize(class_names), path, ": label ", label, " at byte ", label_offset, " is not one of ",
                class_names.size(), " classes");
      labels.push_back(label);
      for (size_t pixel = 0; pixel < kPixels; ++pixel) {
        for (size_t c = 0; c < kChannels; ++c) {
          images[out++] = static_cast<uint8_t>(bytes[label_offset + 1 + c * kPixels + pixel]);
        }
      }
    }
  }
  return OwningDataset({kSide, kSide, kChannels}, std::move(images), std::move(labels), class_names);
}

std::vector<std::string> ReadClassNames(const fs::path& directory, const Format& format) {
  const fs::path path = directory / format.names_file;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return format.class_names;
  std::ifstream file(path);
  std::vector<std::string> names;
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    CheckData(IsUtf8(line), path.string(), ": line ", number, " isn't UTF-8");
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (!line.empty()) names.push_back(line);
  }
  CheckData(names.size() == format.class_names.size(), path.string(), ": ", names.size(), " class names instead of ",
            format.class_names.size());
  return names;
}

DatasetSplits Load(const std::string& directory, const Format& format, std::string_view title) {
  const std::string help = StrCat("name the folder that holds the binary version of ", title, " (--data-dir)");
  Check(!directory.empty(), title, ": no package brings this data set: ", help);
  std::error_code ignored;
  CheckData(fs::is_directory(directory, ignored), directory, ": no such folder; ", help);
  const fs::path unpacked = fs::path(directory) / format.folder;
  const fs::path folder = fs::is_directory(unpacked, ignored) ? unpacked : fs::path(directory);
  if (!fs::exists(folder / format.test_file, ignored)) {
    CheckData(!fs::exists(fs::path(directory) / format.archive, ignored),
              (fs::path(directory) / format.archive).string(), ": must be unpacked first: tar xf ", format.archive);
    for (const fs::path& other : format.other_versions) {
      CheckData(!fs::exists(fs::path(directory) / other, ignored), (fs::path(directory) / other).string(),
                ": is of the Python or Matlab version of ", title, "; hwynn reads the binary version, ",
                format.archive);
    }
  }
  const std::vector<std::string> class_names = ReadClassNames(folder, format);
  return {ReadRecords(folder, format, format.train_files, class_names),
          ReadRecords(folder, format, {format.test_file}, class_names)};
}

}  // namespace

DatasetSplits LoadCifar10(const std::string& directory) {
  return Load(
      directory,
      {.folder = "cifar-10-batches-bin",
       .archive = "cifar-10-binary.tar.gz",
       .names_file = "batches.meta.txt",
       .label_bytes = 1,
       .train_files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                       "data_batch_5.bin"},
       .test_file = "test_batch.bin",
       .class_names = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"},
       .other_versions = {"cifar-10-batches-py", "data_batch_1", "test_batch", "cifar-10-batches-mat",
                          "data_batch_1.mat", "cifar-10-python.tar.gz"}},
      "CIFAR-10");
}

DatasetSplits LoadCifar100(const std::string& directory) {
  return Load(
      directory,
      {.folder = "cifar-100-binary",
       .archive = "cifar-100-binary.tar.gz",
       .names_file = "fine_label_names.txt",
       .label_bytes = 2,
       .train_files = {"train.bin"},
       .test_file = "test.bin",
       .class_names = {"apple",       "aquarium_fish", "baby",      "bear",       "beaver",       "bed",
                       "bee",         "beetle",        "bicycle",   "bottle",     "bowl",         "boy",
                       "bridge",      "bus",           "butterfly", "camel",      "can",          "castle",
                       "caterpillar", "cattle",        "chair",     "chimpanzee", "clock",        "cloud",
                       "cockroach",   "couch",         "crab",      "crocodile",  "cup",          "dinosaur",
                       "dolphin",     "elephant",      "flatfish",  "forest",     "fox",          "girl",
                       "hamster",     "house",         "kangaroo",  "keyboard",   "lamp",         "lawn_mower",
                       "leopard",     "lion",          "lizard",    "lobster",    "man",          "maple_tree",
                       "motorcycle",  "mountain",      "mouse",     "mushroom",   "oak_tree",     "orange",
                       "orchid",      "otter",         "palm_tree", "pear",       "pickup_truck", "pine_tree",
                       "plain",       "plate",         "poppy",     "porcupine",  "possum",       "rabbit",
                       "raccoon",     "ray",           "road",      "rocket",     "rose",         "sea",
                       "seal",        "shark",         "shrew",     "skunk",      "skyscraper",   "snail",
                       "snake",       "spider",        "squirrel",  "streetcar",  "sunflower",    "sweet_pepper",
                       "table",       "tank",          "telephone", "television", "tiger",        "tractor",
                       "train",       "trout",         "tulip",     "turtle",     "wardrobe",     "whale",
                       "willow_tree", "wolf",          "woman",     "worm"},
       .other_versions = {"cifar-100-python", "train", "test", "cifar-100-matlab", "train.mat",
                          "cifar-100-python.tar.gz"}},
      "CIFAR-100");
}

}  // namespace hwynn
