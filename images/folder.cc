#include "hwynn/images/folder.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/formats/container.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;

bool IsHidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

bool HasImageName(const fs::path& path) {
  constexpr std::array<std::string_view, 13> kEndings = {".png", ".jpg",  ".jpeg", ".jpe",  ".jfif", ".gif", ".bmp",
                                                         ".tif", ".tiff", ".webp", ".heic", ".avif", ".jxl"};
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::ranges::find(kEndings, ending) != kEndings.end();
}

bool HasImageContent(const fs::path& path) {
  std::array<char, 64> start{};
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), start.size());
  const Container container = RecogniseFile(std::as_bytes(std::span(start).first(static_cast<size_t>(file.gcount()))));
  return container == Container::kPng || container == Container::kJpeg;
}

// What is in a folder, sorted by name, without what is hidden.
std::vector<fs::path> Entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (!IsHidden(entry.path())) entries.push_back(entry.path());
  }
  std::ranges::sort(entries);
  return entries;
}

std::vector<fs::path> Folders(const fs::path& folder) {
  std::vector<fs::path> folders = Entries(folder);
  std::erase_if(folders, [](const fs::path& path) { return !fs::is_directory(path); });
  return folders;
}

// `entered` are the folders that were entered so far, without links.
void AddPhotos(const fs::path& folder, std::set<fs::path>& entered, std::vector<std::string>& photos) {
  if (!entered.insert(fs::canonical(folder)).second) return;
  for (const fs::path& path : Entries(folder)) {
    if (fs::is_directory(path)) {
      AddPhotos(path, entered, photos);
    } else if (HasImageName(path) || (fs::is_regular_file(path) && HasImageContent(path))) {
      photos.push_back(path.string());
    }
  }
}

// The photographs of a folder of classes.
std::vector<NamedPhoto> OfClasses(const fs::path& folder, bool training) {
  std::vector<NamedPhoto> named;
  for (const fs::path& of_class : Folders(folder)) {
    std::vector<std::string> photos = FindPhotos(of_class.string());
    CheckData(!photos.empty() || !training, of_class.string(), ": this class has no PNG or JPEG images");
    for (std::string& photo : photos) named.push_back({std::move(photo), of_class.filename().string()});
  }
  CheckData(!named.empty(), folder.string(), ": there is no folder of PNG or JPEG images for each class in it");
  return named;
}

std::optional<fs::path> TestFolder(const fs::path& folder) {
  for (const char* name : {"val", "valid", "validation", "test"}) {
    if (fs::is_directory(folder / name) && !Folders(folder / name).empty()) return folder / name;
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> FindPhotos(const std::string& directory) {
  std::vector<std::string> photos;
  std::set<fs::path> entered;
  AddPhotos(directory, entered, photos);
  std::ranges::sort(photos);
  return photos;
}

PhotoFileSplits ListPhotoFolder(const std::string& directory, const PhotoSplitOptions& options) {
  const fs::path folder = directory;
  CheckData(fs::is_directory(folder), directory, ": there is no such folder");
  const fs::path train = folder / "train";
  const std::optional<fs::path> test = TestFolder(folder);
  const bool has_train = fs::is_directory(train) && !Folders(train).empty();
  std::vector<NamedPhoto> train_photos;
  if (has_train || !test) train_photos = OfClasses(has_train ? train : folder, /*training=*/true);
  std::optional<std::vector<NamedPhoto>> test_photos;
  if (test) test_photos = OfClasses(*test, /*training=*/false);
  return SplitPhotos(std::move(train_photos), std::move(test_photos), options, directory);
}

}  // namespace hwynn
