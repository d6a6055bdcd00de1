#include "hwynn/images/list.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/formats/csv.h"
#include "hwynn/formats/file_io.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 6> kPathNames = {"path", "file", "filename", "filepath", "image", "image_path"};
constexpr std::array<std::string_view, 4> kLabelNames = {"label", "class", "class_name", "category"};

template <size_t n>
std::optional<size_t> Column(const std::array<std::string_view, n>& names, const std::vector<std::string>& row) {
  for (size_t i = 0; i < row.size(); ++i) {
    std::string name = row[i];
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (std::ranges::find(names, name) != names.end()) return i;
  }
  return std::nullopt;
}

std::vector<NamedPhoto> ReadTable(const std::string& path) {
  std::vector<NamedPhoto> photos = ParsePhotoList(ReadFile(path), path);
  for (const NamedPhoto& photo : photos) {
    CheckData(fs::exists(photo.path), path, ": ", photo.path, " is in the list but not on the disk");
  }
  std::ranges::sort(photos, {}, &NamedPhoto::path);
  return photos;
}

}  // namespace

std::vector<NamedPhoto> ParsePhotoList(std::span<const std::byte> file, const std::string& path) {
  std::vector<CsvRow> rows = ParseCsv(file, path);
  size_t path_column = 0, label_column = 1;
  if (!rows.empty()) {
    const auto of_path = Column(kPathNames, rows[0].fields), of_label = Column(kLabelNames, rows[0].fields);
    if (of_path && of_label) {
      path_column = *of_path;
      label_column = *of_label;
      rows.erase(rows.begin());
    }
  }
  const fs::path folder = fs::path(path).parent_path();
  std::vector<NamedPhoto> photos;
  for (CsvRow& row : rows) {
    CheckData(row.fields.size() > std::max(path_column, label_column), path, ": line ", row.line, " has ",
              row.fields.size(), " fields, a path and a label are needed");
    std::string& name = row.fields[path_column];
    std::string& label = row.fields[label_column];
    CheckData(!name.empty() && !label.empty(), path, ": line ", row.line, " lacks a ", name.empty() ? "path" : "label");
    photos.push_back({(folder / name).string(), std::move(label)});
  }
  return photos;
}

PhotoFileSplits ReadPhotoList(const std::string& path, const PhotoSplitOptions& options) {
  if (!fs::is_directory(path)) return SplitPhotos(ReadTable(path), std::nullopt, options, path);
  const fs::path folder = path;
  const bool has_train = fs::exists(folder / "train.csv");
  std::vector<NamedPhoto> train;
  if (has_train) train = ReadTable((folder / "train.csv").string());
  std::optional<std::vector<NamedPhoto>> test;
  for (const char* name : {"val.csv", "valid.csv", "validation.csv", "test.csv"}) {
    if (!test && fs::exists(folder / name)) test = ReadTable((folder / name).string());
  }
  CheckData(has_train || test, path, ": there is neither a train.csv nor a val.csv or test.csv in it");
  return SplitPhotos(std::move(train), std::move(test), options, path);
}

}  // namespace hwynn
