#include "hwynn/images/folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/png.h"

namespace hwynn {
namespace {

namespace fs = std::filesystem;
using testing::ExpectError;
using testing::TempFolder;

const testing::Bytes kPng = testing::MakePng(1, 1, 1, {7});
const testing::Bytes kText = {'n', 'o', 't', 'e', 's'};

// "class/name" of each file, with its class's name by label.
std::vector<std::string> Described(const PhotoFiles& files, const TempFolder& folder) {
  std::vector<std::string> described;
  for (size_t i = 0; i < files.paths.size(); ++i) {
    described.push_back(files.class_names[static_cast<size_t>(files.labels[i])] + ": " +
                        fs::relative(files.paths[i], folder.path()).string());
  }
  return described;
}

using Strings = std::vector<std::string>;

TEST(FolderTest, TrainAndValWithClasses) {
  for (const std::string name : {"val", "valid", "validation", "test"}) {
    const TempFolder folder;
    folder.Write("train/dog/b.png", kPng);
    folder.Write("train/dog/a.png", kPng);
    folder.Write("train/cat/deep/er/c.png", kPng);
    folder.Write(name + "/dog/d.png", kPng);
    const PhotoFileSplits splits = ListPhotoFolder(folder.path());
    EXPECT_EQ(splits.train.class_names, (Strings{"cat", "dog"}));
    EXPECT_EQ(splits.test.class_names, (Strings{"cat", "dog"}));
    EXPECT_EQ(Described(splits.train, folder),
              (Strings{"cat: train/cat/deep/er/c.png", "dog: train/dog/a.png", "dog: train/dog/b.png"}));
    EXPECT_EQ(Described(splits.test, folder), (Strings{"dog: " + name + "/dog/d.png"}));
  }
}

TEST(FolderTest, ValComesBeforeTest) {
  const TempFolder folder;
  for (const char* name : {"train/a/1.png", "test/a/2.png", "val/a/3.png"}) folder.Write(name, kPng);
  EXPECT_EQ(Described(ListPhotoFolder(folder.path()).test, folder), (Strings{"a: val/a/3.png"}));
}

TEST(FolderTest, AFolderForEvaluationAlone) {
  const TempFolder folder;
  folder.Write("test/b/1.png", kPng);
  const PhotoFileSplits splits = ListPhotoFolder(folder.path(), {.class_names = {"c", "b", "a"}});
  EXPECT_TRUE(splits.train.paths.empty());
  EXPECT_EQ(splits.test.labels, (std::vector<int32_t>{1}));
  EXPECT_EQ(splits.test.class_names, (Strings{"c", "b", "a"}));
}

TEST(FolderTest, ContentOrNameMakesAPhoto) {
  const TempFolder folder;
  folder.Write("a/without_ending", kPng);
  folder.Write("a/photo.jpg", {0xFF, 0xD8, 0xFF, 0xE0});
  folder.Write("a/broken.JPEG", kText);
  folder.Write("a/old.gif", {'G', 'I', 'F', '8', '9', 'a'});
  folder.Write("a/Thumbs.db", kText);
  folder.Write("a/readme.txt", kText);
  folder.Write("a/.hidden.png", kPng);
  folder.Write("a/.thumbnails/x.png", kPng);
  folder.Write("a/empty.png", {});
  folder.Write("a/empty", {});
  folder.Write("readme.md", kText);
  folder.Write(".git/x.png", kPng);
  Strings names;
  for (const std::string& path : FindPhotos(folder.path())) names.push_back(fs::path(path).filename().string());
  EXPECT_EQ(names, (Strings{"broken.JPEG", "empty.png", "old.gif", "photo.jpg", "without_ending"}));
}

TEST(FolderTest, LinksAreFollowedOnce) {
  const TempFolder folder;
  folder.Write("a/1.png", kPng);
  folder.Write("b/2.png", kPng);
  folder.Write("elsewhere/.x", kText);
  fs::create_directory_symlink(folder.path(), folder / "a/loop");
  fs::create_directory_symlink(folder / "a", folder / "a/self");
  fs::create_symlink(folder / "nowhere", folder / "a/dangling.png");
  fs::create_symlink(folder / "nowhere", folder / "a/dangling");
  fs::remove_all(folder / "elsewhere");
  // The loop leads back to everything, each folder once.
  const Strings found = FindPhotos(folder / "a");
  EXPECT_EQ(found, (Strings{folder / "a/1.png", folder / "a/dangling.png", folder / "a/loop/b/2.png"}));
}

TEST(FolderTest, ClassesAreSplitBySeed) {
  const TempFolder folder;
  for (int i = 0; i < 40; ++i) folder.Write("big/" + std::to_string(100 + i) + ".png", kPng);
  for (int i = 0; i < 3; ++i) folder.Write("small/" + std::to_string(i) + ".png", kPng);
  folder.Write("one/1.png", kPng);
  std::set<Strings> tests;
  for (const int64_t seed : {0, 1, 2}) {
    const PhotoFileSplits splits = ListPhotoFolder(folder.path(), {.seed = seed});
    const Strings train = Described(splits.train, folder), test = Described(splits.test, folder);
    EXPECT_EQ(train.size(), 39u);
    EXPECT_EQ(test.size(), 5u);  // a tenth of 40, one of 3
    EXPECT_EQ(std::ranges::count_if(test, [](const auto& name) { return name.starts_with("big"); }), 4);
    EXPECT_EQ(std::ranges::count_if(test, [](const auto& name) { return name.starts_with("one"); }), 0);
    std::set<std::string> all(train.begin(), train.end());
    all.insert(test.begin(), test.end());
    EXPECT_EQ(all.size(), 44u);
    EXPECT_TRUE(std::ranges::is_sorted(train));
    tests.insert(test);
    EXPECT_EQ(Described(ListPhotoFolder(folder.path(), {.seed = seed}).test, folder), test);
  }
  EXPECT_EQ(tests.size(), 3u);
  EXPECT_EQ(ListPhotoFolder(folder.path(), {.test_share = 0.5}).test.paths.size(), 22u);
  // The same in train/ without val/.
  fs::create_directory(folder / "train");
  for (const char* name : {"big", "small", "one"}) fs::rename(folder / name, fs::path(folder / "train") / name);
  EXPECT_EQ(ListPhotoFolder(folder.path()).test.paths.size(), 5u);
}

TEST(FolderTest, AClassMayBeCalledTrain) {
  const TempFolder folder;
  for (const char* name : {"train/1.png", "train/2.png", "bus/1.png", "bus/2.png"}) folder.Write(name, kPng);
  EXPECT_EQ(ListPhotoFolder(folder.path()).train.class_names, (Strings{"bus", "train"}));
}

TEST(FolderTest, OneSentenceForWhatIsMissing) {
  const TempFolder folder;
  ExpectError([&] { ListPhotoFolder(folder / "none"); }, {"none: there is no such folder"});
  ExpectError([&] { ListPhotoFolder(folder.path()); }, {"no folder of PNG or JPEG images for each class"});
  folder.Write("loose.png", kPng);
  ExpectError([&] { ListPhotoFolder(folder.path()); }, {"no folder of PNG or JPEG images for each class"});
  folder.Write("a/1.png", kPng);
  folder.Write("b/readme.txt", kText);
  ExpectError([&] { ListPhotoFolder(folder.path()); }, {"b: this class has no PNG or JPEG images"});
  ExpectError([&] { ListPhotoFolder(folder / "a/1.png"); }, {"there is no such folder"});
}

TEST(FolderTest, OtherClassesAreListed) {
  const TempFolder folder;
  for (const char* name : {"train/cat/1.png", "val/cat/2.png", "val/cow/3.png"}) folder.Write(name, kPng);
  ExpectError([&] { ListPhotoFolder(folder.path()); },
              {"\"cow\" isn't one of the classes cat; those of these images are cat, cow"});
  ExpectError(
      [&] {
        ListPhotoFolder(folder.path(), {.class_names = {"dog", "eel"}});
      },
      {"\"cat\" isn't one of the classes dog, eel; those of these images are cat"});
}

TEST(FolderTest, NamesThatNoCheckpointCouldHold) {
  const TempFolder folder;
  folder.Write("caf\xE9/1.png", kPng);
  ExpectError([&] { ListPhotoFolder(folder.path()); }, {"a class's name isn't UTF-8"});
  ExpectError<std::invalid_argument>([&] { ListPhotoFolder(folder.path(), {.test_share = 1.0}); }, {"test_share 1"});
}

}  // namespace
}  // namespace hwynn
