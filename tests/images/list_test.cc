#include "hwynn/images/list.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/png.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::ExpectError;
using testing::TempFolder;
using Strings = std::vector<std::string>;

Bytes Text(const std::string& text) { return {text.begin(), text.end()}; }

std::vector<NamedPhoto> Parse(const std::string& text) {
  return ParsePhotoList(std::as_bytes(std::span(text)), "/data/list.csv");
}

Strings Described(const std::vector<NamedPhoto>& photos) {
  Strings described;
  for (const NamedPhoto& photo : photos) described.push_back(photo.class_name + ": " + photo.path);
  return described;
}

TEST(ListTest, PathsAreRelativeToTheTable) {
  EXPECT_EQ(Described(Parse("a.png,cat\nsub/b.png,dog\n/abs/c.png,\"big, cat\"\n")),
            (Strings{"cat: /data/a.png", "dog: /data/sub/b.png", "big, cat: /abs/c.png"}));
}

TEST(ListTest, AHeaderNamesTheColumns) {
  EXPECT_EQ(Described(Parse("path,label\na,x")), (Strings{"x: /data/a"}));
  EXPECT_EQ(Described(Parse("id,Class,size,FileName\n7,x,9,a\n8,y,9,b")), (Strings{"x: /data/a", "y: /data/b"}));
  EXPECT_EQ(Described(Parse("path,size\na,x")), (Strings{"size: /data/path", "x: /data/a"}));  // no header: no label
  EXPECT_TRUE(Parse("").empty());
}

TEST(ListTest, RowsThatLackSomething) {
  ExpectError([] { Parse("a,x\nb\n"); }, {"/data/list.csv: line 2 has 1 fields, a path and a label are needed"});
  ExpectError([] { Parse("label,path\nx\n"); }, {"line 2 has 1 fields"});
  ExpectError([] { Parse("a,\n"); }, {"line 1 lacks a label"});
  ExpectError([] { Parse("\n,x\n"); }, {"line 2 lacks a path"});
  ExpectError([] { Parse("a,\"x\n"); }, {"line 1: a quote isn't closed"});
}

TEST(ListTest, ReadsFilesAndFolders) {
  const TempFolder folder;
  const Bytes png = testing::MakePng(1, 1, 1, {7});
  std::string table = "path,label\n";
  for (int i = 9; i >= 0; --i) {
    folder.Write("images/" + std::to_string(i) + ".png", png);
    table += "images/" + std::to_string(i) + ".png," + (i % 2 == 0 ? "even" : "odd") + "\n";
  }
  const std::string all = folder.Write("all.csv", Text(table));
  const PhotoFileSplits split = ReadPhotoList(all, {.seed = 3});
  EXPECT_EQ(split.train.class_names, (Strings{"even", "odd"}));
  EXPECT_EQ(split.train.paths.size(), 8u);
  EXPECT_EQ(split.test.labels, (std::vector<int32_t>{split.test.labels[0], 1 - split.test.labels[0]}));
  EXPECT_LT(split.train.paths[0], split.train.paths[1]);

  ExpectError([&] { ReadPhotoList(folder.path()); }, {"neither a train.csv nor a val.csv or test.csv"});
  folder.Write("test.csv", Text("images/1.png,odd\n"));
  EXPECT_TRUE(ReadPhotoList(folder.path()).train.paths.empty());
  EXPECT_EQ(ReadPhotoList(folder.path()).test.class_names, (Strings{"odd"}));
  folder.Write("train.csv", Text(table));
  EXPECT_EQ(ReadPhotoList(folder.path()).train.paths.size(), 10u);
  EXPECT_EQ(ReadPhotoList(folder.path()).test.labels, (std::vector<int32_t>{1}));
  folder.Write("val.csv", Text("images/2.png,even\n"));
  EXPECT_EQ(ReadPhotoList(folder.path()).test.labels, (std::vector<int32_t>{0}));
  folder.Write("val.csv", Text("images/2.png,prime\n"));
  ExpectError([&] { ReadPhotoList(folder.path()); }, {"\"prime\" isn't one of the classes even, odd"});
  folder.Write("val.csv", Text("images/22.png,even\n"));
  ExpectError([&] { ReadPhotoList(folder.path()); }, {"22.png is in the list but not on the disk"});
  ExpectError([&] { ReadPhotoList(folder / "none.csv"); }, {"none.csv"});
  ExpectError([&] { ReadPhotoList(folder.Write("empty.csv", {})); }, {"empty.csv: there are no PNG or JPEG images"});
}

}  // namespace
}  // namespace hwynn
