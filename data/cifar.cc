#include "hwynn/data/cifar.h"

#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "hwynn/core/check.h"
#include "hwynn/formats/container.h"
#include "hwynn/formats/file_io.h"
#include "hwynn/formats/pickle.h"
#include "hwynn/formats/utf8.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSide = 32;
constexpr size_t kChannels = 3;
constexpr size_t kPixels = kSide * kSide;
constexpr size_t kImageBytes = kChannels * kPixels;

// One of the two ways that the data come in.
struct Version {
  const char* folder;  // what the archive unpacks to
  const char* archive;
  std::span<const char* const> train_files;
  const char* test_file;
  const char* names_file;
};

// What tells CIFAR-10 from CIFAR-100.
struct Format {
  const char* title;
  Version binary;      // names_file: a class name per line
  size_t label_bytes;  // before the pixels; the last one counts
  Version python;
  const char* labels_key;
  const char* names_key;
  std::span<const char* const> class_names;
  std::span<const char* const> matlab_files;
};

// Reads the files of one split, in their order.
class Reader {
 public:
  Reader(fs::path folder, const Format& format, std::vector<std::string> class_names)
      : folder_(std::move(folder)), format_(format), class_names_(std::move(class_names)) {}

  void ReadBinary(const std::string& file) {
    const size_t record_bytes = format_.label_bytes + kImageBytes;
    const std::string path = (folder_ / file).string();
    const std::vector<std::byte> bytes = ReadFile(path);
    // Whole records may begin with any bytes.
    if (bytes.size() % record_bytes != 0) CheckContainer(path, bytes, {});
    const size_t num_records = bytes.size() / record_bytes;
    CheckData(num_records > 0, path, ": ends at byte ", bytes.size(), ", in its first record of ", record_bytes,
              " bytes");
    CheckData(bytes.size() % record_bytes == 0, path, ": ", bytes.size() % record_bytes, " bytes from byte ",
              num_records * record_bytes, " on are not a whole record of ", record_bytes, " bytes");
    images_.reserve(images_.size() + num_records * kImageBytes);
    for (size_t begin = 0; begin < bytes.size(); begin += record_bytes) {
      const size_t label_offset = begin + format_.label_bytes - 1;
      const auto* planes = reinterpret_cast<const uint8_t*>(bytes.data()) + label_offset + 1;
      AppendLabel(static_cast<int64_t>(bytes[label_offset]), path, "byte ", label_offset);
      AppendImage(planes);
    }
  }

  void ReadPython(const std::string& file) {
    const std::string path = (folder_ / file).string();
    const std::vector<std::byte> bytes = ReadFile(path);
    CheckContainer(path, bytes, {Container::kPickle});
    const PickledDictionary batch(path, bytes);
    const std::vector<int64_t> labels = batch.Integers(format_.labels_key);
    const ByteMatrix matrix = batch.Matrix("data");
    CheckData(matrix.columns == kImageBytes && matrix.rows == std::ssize(labels), path,
              ": the pickle's array \"data\" has shape [", matrix.rows, ",", matrix.columns, "], not [", labels.size(),
              ",", kImageBytes, "] for the ", labels.size(), " labels that there are");
    images_.reserve(images_.size() + matrix.values.size());
    for (size_t i = 0; i < labels.size(); ++i) {
      AppendLabel(labels[i], path, "element ", i, " of \"", format_.labels_key, "\"");
      AppendImage(matrix.values.data() + i * kImageBytes);
    }
  }

  std::unique_ptr<Dataset> ToDataset() && {
    return OwningDataset({kSide, kSide, kChannels}, std::move(images_), std::move(labels_), std::move(class_names_));
  }

 private:
  template <class... Place>
  void AppendLabel(int64_t label, const std::string& path, const Place&... place) {
    CheckData(label >= 0 && label < std::ssize(class_names_), path, ": label ", label, " at ", place...,
              " is not one of ", class_names_.size(), " classes");
    labels_.push_back(static_cast<int32_t>(label));
  }

  void AppendImage(const uint8_t* planes) {
    for (size_t pixel = 0; pixel < kPixels; ++pixel) {
      for (size_t c = 0; c < kChannels; ++c) images_.push_back(planes[c * kPixels + pixel]);
    }
  }

  const fs::path folder_;
  const Format& format_;
  std::vector<std::string> class_names_;
  std::vector<uint8_t> images_;
  std::vector<int32_t> labels_;
};

std::vector<std::string> ReadNameLines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> names;
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    CheckData(IsUtf8(line), path, ": line ", number, " isn't UTF-8");
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (!line.empty()) names.push_back(line);
  }
  return names;
}

std::vector<std::string> ReadPickledNames(const std::string& path, const Format& format) {
  const std::vector<std::byte> bytes = ReadFile(path);
  CheckContainer(path, bytes, {Container::kPickle});
  return PickledDictionary(path, bytes).Texts(format.names_key, format.class_names.size());
}

std::vector<std::string> ReadClassNames(const fs::path& folder, const Format& format, bool is_python) {
  const std::string path = (folder / (is_python ? format.python : format.binary).names_file).string();
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return {format.class_names.begin(), format.class_names.end()};
  std::vector<std::string> names = is_python ? ReadPickledNames(path, format) : ReadNameLines(path);
  CheckData(names.size() == format.class_names.size(), path, ": ", names.size(), " class names instead of ",
            format.class_names.size());
  return names;
}

// Where a version's files are: `directory`, or the folder that its archive unpacks to. Empty when none of them is
// there.
fs::path FolderOf(const Version& version, const fs::path& directory) {
  std::vector<std::string> files(version.train_files.begin(), version.train_files.end());
  files.emplace_back(version.test_file);
  for (const fs::path& folder : {directory / version.folder, directory}) {
    for (const std::string& file : files) {
      std::error_code ignored;
      if (fs::is_regular_file(folder / file, ignored)) return folder;
    }
  }
  return {};
}

// Says what the folder holds in place of the files.
[[noreturn]] void RefuseFolder(const fs::path& directory, const Format& format) {
  std::error_code ignored;
  for (const Version* version : {&format.binary, &format.python}) {
    CheckData(!fs::exists(directory / version->archive, ignored), (directory / version->archive).string(),
              ": must be unpacked first: tar xf ", version->archive);
  }
  for (const char* file : format.matlab_files) {
    CheckData(!fs::exists(directory / file, ignored), (directory / file).string(), ": is of the Matlab version of ",
              format.title, "; hwynn reads the binary and the Python version, ", format.binary.archive, " and ",
              format.python.archive);
  }
  throw std::runtime_error(StrCat((directory / format.binary.test_file).string(), ": no such file, nor ",
                                  format.python.test_file, " of the Python version, of ", format.title));
}

DatasetSplits Load(const std::string& directory, const Format& format) {
  const std::string help =
      StrCat("name the folder that holds the binary or the Python version of ", format.title, " (--data-dir)");
  Check(!directory.empty(), format.title, ": no package brings this data set: ", help);
  std::error_code ignored;
  CheckData(fs::is_directory(directory, ignored), directory, ": no such folder; ", help);
  fs::path folder = FolderOf(format.binary, directory);
  const bool is_python = folder.empty();
  if (is_python) folder = FolderOf(format.python, directory);
  if (folder.empty()) RefuseFolder(directory, format);

  const std::vector<std::string> class_names = ReadClassNames(folder, format, is_python);
  const auto load = [&](std::span<const char* const> files) {
    Reader reader(folder, format, class_names);
    for (const char* file : files) is_python ? reader.ReadPython(file) : reader.ReadBinary(file);
    return std::move(reader).ToDataset();
  };
  const Version& version = is_python ? format.python : format.binary;
  return {load(version.train_files), load({&version.test_file, 1})};
}

// Constants, of which nothing has to be built: GCC 12 destroys members that don't exist yet where building such a table
// of vectors throws.
constexpr const char* kTrainFiles10[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                         "data_batch_5.bin"};
constexpr const char* kPythonTrainFiles10[] = {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4",
                                               "data_batch_5"};
constexpr const char* kMatlabFiles10[] = {"cifar-10-batches-mat", "data_batch_1.mat", "test_batch.mat"};
constexpr const char* kClasses10[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                      "dog",      "frog",       "horse", "ship", "truck"};

constexpr Format kCifar10 = {.title = "CIFAR-10",
                             .binary = {.folder = "cifar-10-batches-bin",
                                        .archive = "cifar-10-binary.tar.gz",
                                        .train_files = kTrainFiles10,
                                        .test_file = "test_batch.bin",
                                        .names_file = "batches.meta.txt"},
                             .label_bytes = 1,
                             .python = {.folder = "cifar-10-batches-py",
                                        .archive = "cifar-10-python.tar.gz",
                                        .train_files = kPythonTrainFiles10,
                                        .test_file = "test_batch",
                                        .names_file = "batches.meta"},
                             .labels_key = "labels",
                             .names_key = "label_names",
                             .class_names = kClasses10,
                             .matlab_files = kMatlabFiles10};

constexpr const char* kTrainFiles100[] = {"train.bin"};
constexpr const char* kPythonTrainFiles100[] = {"train"};
constexpr const char* kMatlabFiles100[] = {"cifar-100-matlab", "train.mat", "test.mat"};
constexpr const char* kClasses100[] = {
    "apple",      "aquarium_fish", "baby",         "bear",       "beaver",      "bed",         "bee",
    "beetle",     "bicycle",       "bottle",       "bowl",       "boy",         "bridge",      "bus",
    "butterfly",  "camel",         "can",          "castle",     "caterpillar", "cattle",      "chair",
    "chimpanzee", "clock",         "cloud",        "cockroach",  "couch",       "crab",        "crocodile",
    "cup",        "dinosaur",      "dolphin",      "elephant",   "flatfish",    "forest",      "fox",
    "girl",       "hamster",       "house",        "kangaroo",   "keyboard",    "lamp",        "lawn_mower",
    "leopard",    "lion",          "lizard",       "lobster",    "man",         "maple_tree",  "motorcycle",
    "mountain",   "mouse",         "mushroom",     "oak_tree",   "orange",      "orchid",      "otter",
    "palm_tree",  "pear",          "pickup_truck", "pine_tree",  "plain",       "plate",       "poppy",
    "porcupine",  "possum",        "rabbit",       "raccoon",    "ray",         "road",        "rocket",
    "rose",       "sea",           "seal",         "shark",      "shrew",       "skunk",       "skyscraper",
    "snail",      "snake",         "spider",       "squirrel",   "streetcar",   "sunflower",   "sweet_pepper",
    "table",      "tank",          "telephone",    "television", "tiger",       "tractor",     "train",
    "trout",      "tulip",         "turtle",       "wardrobe",   "whale",       "willow_tree", "wolf",
    "woman",      "worm"};

constexpr Format kCifar100 = {.title = "CIFAR-100",
                              .binary = {.folder = "cifar-100-binary",
                                         .archive = "cifar-100-binary.tar.gz",
                                         .train_files = kTrainFiles100,
                                         .test_file = "test.bin",
                                         .names_file = "fine_label_names.txt"},
                              .label_bytes = 2,
                              .python = {.folder = "cifar-100-python",
                                         .archive = "cifar-100-python.tar.gz",
                                         .train_files = kPythonTrainFiles100,
                                         .test_file = "test",
                                         .names_file = "meta"},
                              .labels_key = "fine_labels",
                              .names_key = "fine_label_names",
                              .class_names = kClasses100,
                              .matlab_files = kMatlabFiles100};

}  // namespace

DatasetSplits LoadCifar10(const std::string& directory) { return Load(directory, kCifar10); }

DatasetSplits LoadCifar100(const std::string& directory) { return Load(directory, kCifar100); }

}  // namespace hwynn
