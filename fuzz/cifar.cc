// CIFAR's three kinds of file: records of CIFAR-10, of CIFAR-100, and class names. Text is taken for names, anything
// else for the records it is a multiple of.

#include "hwynn/data/cifar.h"

#include <filesystem>
#include <string>
#include <vector>

#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr size_t kImageBytes = 3 * 32 * 32;

void Use(const DatasetSplits& splits) {
  std::vector<float> image(kImageBytes);
  for (const Dataset* dataset : {splits.train.get(), splits.test.get()}) {
    for (int64_t i = 0; i < dataset->size(); ++i) {
      dataset->Image(i, image);
      Require(dataset->Label(i) < dataset->num_classes(), "a label is a class");
    }
  }
}

// A folder of the format's files, all of which are the input or, in another folder, one record of zeros.
class Folder {
 public:
  Folder(const Scratch& scratch, const std::string& name, const std::vector<std::string>& files, const fs::path& target)
      : path_(scratch / name) {
    fs::create_directory(path_);
    for (const std::string& file : files) fs::create_symlink(target, fs::path(path_) / file);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

std::string ReadInput(Bytes input) {
  static const Scratch scratch;
  static const std::vector<std::byte> zeros(2 + kImageBytes);
  static const std::string path = scratch.Write("input", {});
  static const std::string record = scratch.Write("record", zeros);
  static const std::vector<std::string> files10{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                                "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
  static const std::vector<std::string> files100{"train.bin", "test.bin"};
  static const Folder records10(scratch, "records10", files10, path);
  static const Folder records100(scratch, "records100", files100, path);
  static const Folder names100 = [] {
    const Folder folder(scratch, "names100", files100, record);
    fs::create_symlink(path, fs::path(folder.path()) / "fine_label_names.txt");
    return folder;
  }();

  scratch.Write("input", input);
  const std::string error10 = ErrorOf([] { Use(LoadCifar10(records10.path())); });
  const std::string error100 = ErrorOf([] { Use(LoadCifar100(records100.path())); });
  const std::string names_error = ErrorOf([] { Use(LoadCifar100(names100.path())); });
  if (names_error.empty() || input.size() < kImageBytes) return names_error;
  return input.size() % (2 + kImageBytes) == 0 ? error100 : error10;
}

}  // namespace hwynn::fuzz
