#include "hwynn/data/zip.h"

#include <gtest/gtest.h>

#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/zip_files.h"

namespace hwynn {
namespace {

using testing::ExpectError;
using testing::Zip;
using testing::ZipLies;

ZipArchive Open(const std::string& file) { return {"FILE", std::as_bytes(std::span(file))}; }

std::string Content(const std::string& file, const std::string& name) {
  const ZipArchive archive = Open(file);
  const std::vector<std::byte> bytes = archive.Read(*archive.Find(name));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void ExpectBad(const std::string& file, std::initializer_list<std::string> texts) {
  ExpectError([&] { Content(file, "a"); }, {"FILE: "});
  ExpectError([&] { Content(file, "a"); }, texts);
}

std::string Repeated(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += static_cast<char>('a' + i * i % 7);
  return text;
}

TEST(ZipTest, ReadsStoredAndDeflatedEntries) {
  const std::string large = Repeated(40'000'000);  // more than one piece
  for (const bool zip64 : {false, true}) {
    const std::string file =
        Zip({{"a", "stored"}, {"b", Repeated(1000), true}, {"", ""}, {"c", "", true}, {"d", large, true}},
            {.zip64 = zip64});
    EXPECT_EQ(Open(file).entries().size(), 5u);
    EXPECT_EQ(Content(file, "a"), "stored");
    EXPECT_EQ(Content(file, "b"), Repeated(1000));
    EXPECT_EQ(Content(file, ""), "");
    EXPECT_EQ(Content(file, "c"), "");
    EXPECT_TRUE(Content(file, "d") == large);
    EXPECT_EQ(Open(file).Find("e"), nullptr);
  }
}

TEST(ZipTest, FindsTheDirectoryBeforeAComment) {
  std::string file = Zip({{"a", "content"}});
  const std::string comment = std::string("PK\5\6 is no end: ") + std::string(3000, 'x');
  file.resize(file.size() - 2);
  testing::AppendNumber(file, comment.size(), 2);
  EXPECT_EQ(Content(file + comment, "a"), "content");
  ExpectBad(file + comment + "x", {"without a zip archive's directory"});
}

TEST(ZipTest, RejectsEveryTruncation) {
  for (const bool zip64 : {false, true}) {
    const std::string file = Zip({{"a", Repeated(100), true}, {"b", "content"}}, {.zip64 = zip64});
    for (size_t size = 0; size < file.size(); ++size)
      ExpectBad(file.substr(0, size), {"without a zip archive's directory"});
  }
}

// Whatever byte changes: an error, or the content as it was.
TEST(ZipTest, NoticesEveryDamagedByte) {
  for (const bool zip64 : {false, true}) {
    const std::string content = Repeated(100), file = Zip({{"a", content, true}}, {.zip64 = zip64});
    for (size_t i = 0; i < file.size(); ++i) {
      for (const char change : {1, 64, -1}) {
        std::string damaged = file;
        damaged[i] = static_cast<char>(damaged[i] ^ change);
        try {
          const ZipArchive archive = Open(damaged);
          const ZipArchive::Entry* entry = archive.Find("a");
          if (entry == nullptr) continue;  // it has another name now
          const std::vector<std::byte> bytes = archive.Read(*entry);
          EXPECT_TRUE(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == content) << i;
        } catch (const std::runtime_error& error) {
          EXPECT_TRUE(std::string(error.what()).starts_with("FILE: ")) << error.what();
        }
      }
    }
  }
}

TEST(ZipTest, BelievesNoSizes) {
  const auto expect_bad = [](const ZipLies& lies, bool deflated, std::initializer_list<std::string> texts) {
    ExpectBad(Zip({{"a", Repeated(2000), deflated}}, lies), texts);
  };
  expect_bad({.bytes = 1999}, true, {"\"a\" holds more than the 1999 bytes"});
  expect_bad({.bytes = 2001}, true, {"\"a\" ends after 2000 of the 2001 bytes"});
  expect_bad({.bytes = 1999}, false, {"stored in 2000 bytes, but has 1999"});
  expect_bad({.bytes = 2001}, false, {"says that it holds 2001 bytes, which 2000 can't"});
  expect_bad({.compressed_bytes = 20}, true, {"ends in the middle of its compressed data"});
  expect_bad({.compressed_bytes = 1 << 30}, true, {"reaches into the directory"});
  expect_bad({.bytes = 2'000'000}, true, {"says that it holds 2000000 bytes, which"});
  expect_bad({.bytes = int64_t{1} << 62, .zip64 = true}, true, {"the limit is 8589934592"});
  expect_bad({.flags = 1}, true, {"is encrypted"});
  expect_bad({.method = 14}, true, {"is compressed by method 14"});
  expect_bad({.method = 8}, false, {"is damaged"});
  expect_bad({.checksum_change = 1}, true, {"its checksum is another one"});
  expect_bad({.checksum_change = 1}, false, {"its checksum is another one"});
}

// A megabyte that claims to be a gigabyte of zeros is one only as far as it goes.
TEST(ZipTest, StopsABomb) {
  const std::string zeros(1'000'000, '\0');
  ExpectBad(Zip({{"a", zeros, true}}, {.bytes = 1'000'000'000}), {"which ", " can't"});
  EXPECT_EQ(Content(Zip({{"a", zeros, true}}), "a"), zeros);
}

TEST(ZipTest, RejectsDirectoriesThatDoNotFit) {
  const auto changed = [](size_t from_end, uint64_t number, int bytes) {
    std::string file = Zip({{"a", "content"}}), text;
    testing::AppendNumber(text, number, bytes);
    return file.replace(file.size() - from_end, text.size(), text);
  };
  ExpectBad(changed(12, 1000, 2), {"directory of 1000 entries can't be"});
  ExpectBad(changed(12, 2, 2), {"entries can't be"});
  ExpectBad(changed(6, 0, 4), {"entry 0 of the archive's directory isn't at byte 0"});
  ExpectBad(changed(6, 0xfffffff0, 4), {"can't be at byte 4294967280"});
  ExpectBad(changed(6, 0xffffffff, 4), {"zip64 locator isn't before"});
  ExpectError([] { Open(Zip({{"a", "1"}, {"a", "2"}})).Find("a"); }, {"has \"a\" twice"});
}

}  // namespace
}  // namespace hwynn
