// An .npz file as the images and labels of one split, as those of both, and its entries alone; as it is, and with the
// checksums that its entries should have.

#include "hwynn/data/npz.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "hwynn/data/zip.h"
#include "hwynn/formats/npy.h"
#include "hwynn/fuzz/repair.h"
#include "hwynn/fuzz/target.h"

namespace hwynn::fuzz {
namespace {

namespace fs = std::filesystem;

void Use(const DatasetSplits& splits) {
  for (const Dataset* dataset : {splits.train.get(), splits.test.get()}) {
    std::vector<float> image(static_cast<size_t>(dataset->image_shape().num_elements()));
    for (int64_t i = 0; i < dataset->size(); ++i) {
      dataset->Image(i, image);
      Require(std::ranges::all_of(image, [](float x) { return x - x == 0.0f; }), "pixels are finite");
      Require(dataset->Label(i) >= 0 && dataset->Label(i) < dataset->num_classes(), "a label is a class");
    }
  }
}

void LookAtEntries(Bytes input) {
  const ZipArchive archive("input", input);
  for (const ZipArchive::Entry& entry : archive.entries()) {
    ErrorOf([&] {
      const std::vector<std::byte> content = archive.Read(entry);
      Require(content.size() == entry.bytes, "an entry has as many bytes as the directory says");
      const NpyArray array("input", content);
      const auto count = static_cast<size_t>(array.shape().num_elements());
      ErrorOf([&] { Require(array.Bytes().size() == count, "an array has its elements"); });
      ErrorOf([&] { Require(array.Floats().size() == count, "an array has its elements"); });
      ErrorOf([&] { Require(array.Integers().size() == count, "an array has its elements"); });
    });
  }
}

std::string Read(const Scratch& scratch, Bytes input) {
  static const std::string folder = [&] {
    fs::create_directory(scratch / "folder");
    for (const char* name : {"train.npz", "test.npz"}) {
      fs::create_symlink(scratch / "input", fs::path(scratch / "folder") / name);
    }
    return scratch / "folder";
  }();
  const std::string path = scratch.Write("input", input);
  ErrorOf([&] { LookAtEntries(input); });
  const std::string error = ErrorOf([] { Use(LoadNpz(folder)); });
  const std::string error_of_one = ErrorOf([&] { Use(LoadNpz(path)); });
  // Names of arrays say what it is meant for.
  return error.find("has no array \"x\"") != std::string::npos ? error_of_one : error;
}

}  // namespace

std::string ReadInput(Bytes input) {
  static const Scratch scratch;
  std::vector<std::byte> repaired(input.begin(), input.end());
  if (RepairZip(repaired)) Read(scratch, repaired);
  return Read(scratch, input);
}

}  // namespace hwynn::fuzz
