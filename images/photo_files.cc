#include "hwynn/images/photo_files.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "hwynn/core/check.h"
#include "hwynn/core/random.h"
#include "hwynn/formats/utf8.h"

namespace hwynn {
namespace {

constexpr uint32_t kSplitDomain = 0x73706c74;  // keeps these keys apart from the other ones of the seed

// The classes that occur, sorted.
std::vector<std::string> ClassesOf(const std::vector<NamedPhoto>& photos) {
  std::set<std::string> names;
  for (const NamedPhoto& photo : photos) names.insert(photo.class_name);
  return {names.begin(), names.end()};
}

// "cat, dog and 3 more".
std::string ListText(const std::vector<std::string>& names) {
  constexpr size_t kMost = 20;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kMost); ++i) text += (text.empty() ? "" : ", ") + names[i];
  return names.size() > kMost ? StrCat(text, " and ", names.size() - kMost, " more") : text;
}

PhotoFiles Number(std::vector<NamedPhoto> photos, const std::vector<std::string>& classes, const std::string& source) {
  std::map<std::string, int32_t> numbers;
  for (const std::string& name : classes) numbers.emplace(name, static_cast<int32_t>(numbers.size()));
  PhotoFiles files{.paths = {}, .labels = {}, .class_names = classes};
  for (NamedPhoto& photo : photos) {
    const auto number = numbers.find(photo.class_name);
    if (number == numbers.end()) {
      throw std::runtime_error(StrCat(source, ": \"", photo.class_name, "\" isn't one of the classes ",
                                      ListText(classes), "; those of these images are ", ListText(ClassesOf(photos))));
    }
    files.labels.push_back(number->second);
    files.paths.push_back(std::move(photo.path));
  }
  return files;
}

// Moves a share of each class from `train` to the result.
PhotoFiles TakeShare(PhotoFiles& train, const PhotoSplitOptions& options) {
  std::vector<std::vector<size_t>> of_class(train.class_names.size());
  for (size_t i = 0; i < train.paths.size(); ++i) of_class[static_cast<size_t>(train.labels[i])].push_back(i);
  std::vector<bool> taken(train.paths.size());
  const Key key = FoldIn(KeyFromSeed(options.seed), kSplitDomain);
  for (size_t c = 0; c < of_class.size(); ++c) {
    const auto count = std::ssize(of_class[c]);
    if (count < 2) continue;
    const int64_t share = std::lround(options.test_share * static_cast<double>(count));
    const std::vector<int64_t> order = Permutation(FoldIn(key, static_cast<uint32_t>(c)), count);
    for (int64_t i = 0; i < std::clamp<int64_t>(share, 1, count - 1); ++i) {
      taken[of_class[c][static_cast<size_t>(order[static_cast<size_t>(i)])]] = true;
    }
  }
  const PhotoFiles all = std::exchange(train, {.paths = {}, .labels = {}, .class_names = train.class_names});
  PhotoFiles test{.paths = {}, .labels = {}, .class_names = train.class_names};
  for (size_t i = 0; i < all.paths.size(); ++i) {
    PhotoFiles& part = taken[i] ? test : train;
    part.paths.push_back(all.paths[i]);
    part.labels.push_back(all.labels[i]);
  }
  return test;
}

}  // namespace

PhotoFileSplits SplitPhotos(std::vector<NamedPhoto> train, std::optional<std::vector<NamedPhoto>> test,
                            const PhotoSplitOptions& options, const std::string& source) {
  Check(options.test_share > 0.0 && options.test_share < 1.0, "SplitPhotos: test_share ", options.test_share,
        " is not between 0 and 1");
  CheckData(!train.empty() || (test && !test->empty()), source, ": there are no PNG or JPEG images");
  std::vector<std::string> classes = options.class_names;
  if (classes.empty()) classes = ClassesOf(train.empty() ? *test : train);
  for (const std::string& name : classes) CheckData(IsUtf8(name), source, ": a class's name isn't UTF-8");
  PhotoFileSplits splits{.train = Number(std::move(train), classes, source), .test = {}};
  if (test) {
    splits.test = Number(std::move(*test), classes, source);
  } else {
    splits.test = TakeShare(splits.train, options);
  }
  return splits;
}

}  // namespace hwynn
