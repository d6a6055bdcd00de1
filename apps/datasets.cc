#include "hwynn/apps/datasets.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string_view>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/images/folder.h"
#include "hwynn/images/list.h"

namespace hwynn::apps {
namespace {

constexpr std::string_view kFolder = "folder";
constexpr std::string_view kCsv = "csv";

/// "auto", or a number of bytes that may end in k, M or G (of 1024).
int64_t CacheBytes(const std::string& text) {
  if (text == "auto") return DefaultCacheBytes();
  int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto number = std::from_chars(text.data(), end, value);
  const std::string_view unit(number.ptr, static_cast<size_t>(end - number.ptr));
  std::optional<int> shift;
  if (unit.empty()) shift = 0;
  if (unit == "k" || unit == "K") shift = 10;
  if (unit == "m" || unit == "M") shift = 20;
  if (unit == "g" || unit == "G") shift = 30;
  Check(number.ec == std::errc() && value >= 0 && shift && value <= INT64_MAX >> *shift, "--cache-images ", text,
        " is neither auto nor a number of bytes, such as 2G");
  return value << *shift;
}

void LeaveOutBroken(PhotoFiles& files, std::vector<BrokenPhoto>& left_out) {
  for (BrokenPhoto& broken : TakeBrokenPhotos(files)) {
    std::cout << "left out: " << broken.reason << std::endl;
    left_out.push_back(std::move(broken));
  }
}

LoadedDataset LoadPhotographs(const DatasetRequest& request, const DataOptions& options) {
  const std::string& directory = options.directory;
  Check(!directory.empty(), "--dataset ", request.name, " needs --data-dir");
  const int64_t cache_bytes = CacheBytes(options.cache);
  const PhotoSplitOptions split{.class_names = request.class_names, .seed = request.seed};
  PhotoFileSplits files = request.name == kFolder ? ListPhotoFolder(directory, split) : ReadPhotoList(directory, split);
  LoadedDataset loaded;
  if (options.skip_broken) {
    const auto count = files.test.paths.size() + (request.test_only ? 0 : files.train.paths.size());
    if (!request.test_only) LeaveOutBroken(files.train, loaded.left_out);
    LeaveOutBroken(files.test, loaded.left_out);
    if (!loaded.left_out.empty()) {
      std::cout << loaded.left_out.size() << " of " << count << " images were left out" << std::endl;
    }
  }
  CheckData(request.test_only || !files.train.paths.empty(), directory, ": there are no images for training");
  CheckData(!files.test.paths.empty(), directory, ": there are no images for evaluation");
  loaded.splits.test = MakePhotoDataset(std::move(files.test), {.transform = request.transform,
                                                                .cache_bytes = request.test_only ? 0 : cache_bytes / 8,
                                                                .keep_transformed = true});
  if (!request.test_only) {
    loaded.splits.train =
        MakePhotoDataset(std::move(files.train), {.transform = request.transform, .cache_bytes = cache_bytes / 8 * 7});
  }
  return loaded;
}

}  // namespace

void DataOptions::AddTo(CLI::App& app) {
  app.add_option("--data-dir", directory, "the folder of the data set's files; of csv also the file itself")
      ->type_name("DIR");
  app.add_flag("--skip-broken", skip_broken, "leaves photographs out that can't be read, and says which and why");
  app.add_option("--cache-images", cache,
                 "memory for decoded photographs, in bytes or as 500M, 2G; 0: none; auto: a quarter of what is free")
      ->type_name("BYTES")
      ->capture_default_str();
}

bool IsOfPhotographs(const std::string& dataset) { return dataset == kFolder || dataset == kCsv; }

std::string AllDatasetNamesText() { return StrCat(DatasetNamesText(), ", ", kFolder, ", ", kCsv); }

LoadedDataset LoadNamedDataset(const DatasetRequest& request, const DataOptions& options) {
  if (IsOfPhotographs(request.name)) return LoadPhotographs(request, options);
  const auto& names = DatasetNames();
  Check(std::find(names.begin(), names.end(), request.name) != names.end(), "unknown data set \"", request.name,
        "\"; known: ", AllDatasetNamesText());
  Check(!options.skip_broken, "--skip-broken: ", request.name, " has no files of photographs");
  DatasetOptions dataset;
  dataset.name = request.name;
  dataset.directory = options.directory;
  return {.splits = LoadDataset(dataset), .left_out = {}};
}

}  // namespace hwynn::apps
