#include "hwynn/formats/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "hwynn/core/check.h"
#include "hwynn/tests/support/files.h"
#include "hwynn/tests/support/fill.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::ExpectError;
using testing::TempFolder;

Bytes File(const std::string& header, size_t data_bytes) {
  Bytes bytes;
  for (size_t i = 0; i < 8; ++i) bytes.push_back(static_cast<uint8_t>(header.size() >> (8 * i)));
  bytes.insert(bytes.end(), header.begin(), header.end());
  for (size_t i = 0; i < data_bytes; ++i) bytes.push_back(static_cast<uint8_t>(i + 1));
  return bytes;
}

// An array of the header, with dtype, shape and offsets as they are to stand there.
std::string Array(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return StrCat('"', name, R"(":{"dtype":")", dtype, R"(","shape":)", shape, R"(,"data_offsets":)", offsets, '}');
}

void ExpectBad(const Bytes& bytes, std::initializer_list<std::string> texts) {
  const TempFolder folder;
  const std::string path = folder.Write("bad.safetensors", bytes);
  ExpectError([&] { SafetensorsFile file(path); }, {path});
  ExpectError([&] { SafetensorsFile file(path); }, texts);
}

void ExpectBadHeader(const std::string& header, size_t data_bytes, std::initializer_list<std::string> texts) {
  SCOPED_TRACE(header.substr(0, 200));
  ExpectBad(File(header, data_bytes), texts);
}

template <class T>
SafetensorsEntry EntryOf(const char* dtype, const Shape& shape, const std::vector<T>& values) {
  return {dtype, shape, std::as_bytes(std::span(values))};
}

TEST(SafetensorsTest, RoundTripKeepsEveryByte) {
  const TempFolder folder;
  const Tensor kernel = testing::Normals({3, 3, 2, 5}, 1);
  const std::vector<int64_t> step{1234567890123};
  const std::vector<uint8_t> mask{1, 0, 1};
  const SafetensorsEntries entries{
      {"params.Conv_0.kernel", {"F32", kernel.shape(), std::as_bytes(kernel.span())}},
      {"step", EntryOf("I64", {}, step)},
      {"mask", EntryOf("BOOL", {3}, mask)},
      {"empty", {"F32", {0, 4}, {}}},
  };
  const SafetensorsMetadata metadata{{"format", "hwynn"}, {"text", "quotes \" and \\ and \n and é"}};
  const std::string path = folder / "a.safetensors";
  WriteSafetensors(path, entries, metadata);

  const SafetensorsFile file(path);
  EXPECT_EQ(file.path(), path);
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.entries().size(), entries.size());
  for (const auto& [name, entry] : entries) {
    const SafetensorsEntry& read = file.Entry(name);
    EXPECT_EQ(read.dtype, entry.dtype);
    EXPECT_EQ(read.shape, entry.shape);
    EXPECT_TRUE(std::ranges::equal(read.bytes, entry.bytes)) << name;
  }
  ExpectError([&] { file.Entry("params.Conv_1.kernel"); }, {path, "\"params.Conv_1.kernel\""});

  // What was read, written again, is the same file; moving a file keeps its arrays.
  SafetensorsFile moved = SafetensorsFile(path);
  WriteSafetensors(folder / "b.safetensors", moved.entries(), moved.metadata());
  EXPECT_EQ(testing::ReadBytes(folder / "b.safetensors"), testing::ReadBytes(path));
  EXPECT_EQ(folder.CountFiles(), 2);
}

// Written out by hand after the format's description: wide dtypes first, then by name, header padded with spaces.
TEST(SafetensorsTest, BytesOfASmallFile) {
  const TempFolder folder;
  const std::vector<uint8_t> small{7};
  const std::vector<float> b{1.0f, -2.0f};
  const std::vector<float> a{0.5f};
  WriteSafetensors(folder / "file",
                   {{"aa", EntryOf("U8", {1}, small)}, {"b", EntryOf("F32", {1, 2}, b)}, {"a", EntryOf("F32", {}, a)}},
                   {{"k", "v"}});
  std::string header =
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("b":{"dtype":"F32","shape":[1,2],"data_offsets":[4,12]},"aa":{"dtype":"U8","shape":[1],"data_offsets":[12,13]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  Bytes expected = File(header, 0);
  for (const uint8_t byte : {0x00, 0x00, 0x00, 0x3f, 0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x00, 0xc0, 0x07}) {
    expected.push_back(byte);
  }
  EXPECT_EQ(testing::ReadBytes(folder / "file"), expected);
}

TEST(SafetensorsTest, ArraysBeginWhereTheyAreWanted) {
  const TempFolder folder;
  const std::string path = folder / "aligned";
  const std::vector<float> values{1.0f, 2.0f};
  const SafetensorsEntries entries{{"x", {"F32", Shape{2}, std::as_bytes(std::span(values))}}};
  for (const int64_t alignment : {8, 64, 4096}) {
    WriteSafetensors(path, entries, {{"key", "value"}}, alignment);
    const Bytes bytes = testing::ReadBytes(path);
    EXPECT_EQ((bytes.size() - 8) % static_cast<size_t>(alignment), 0U);
    const SafetensorsFile file(path);
    EXPECT_EQ(file.metadata().at("key"), "value");
    EXPECT_EQ(std::memcmp(file.Entry("x").bytes.data(), values.data(), 8), 0);
  }
  EXPECT_THROW(WriteSafetensors(path, entries, {}, 12), std::invalid_argument);
}

TEST(SafetensorsTest, ReadsWhatOthersWrite) {
  const TempFolder folder;
  // Any order of arrays and keys, white space, no padding, an empty file.
  const std::string header = StrCat(R"({ "b" : {"data_offsets":[2,6],"shape":[2],"dtype":"BF16"}, )",
                                    Array("a", "I8", "[1,2]", "[0,2]"), " }  ");
  const SafetensorsFile file(folder.Write("a", File(header, 6)));
  EXPECT_EQ(file.Entry("a").bytes[1], std::byte{2});
  EXPECT_EQ(file.Entry("b").bytes[0], std::byte{3});
  EXPECT_EQ(file.Entry("b").shape, Shape{2});
  EXPECT_TRUE(SafetensorsFile(folder.Write("b", File("{}", 0))).entries().empty());
  EXPECT_EQ(SafetensorsFile(folder.Write("c", File(StrCat("{", Array("a", "F4", "[3,2]", "[0,3]"), "}"), 3)))
                .Entry("a")
                .bytes.size(),
            3u);
}

// As the format's own library, 0.8.0, reads them.
TEST(SafetensorsTest, ReadsWhatTheFormatsLibraryReads) {
  const TempFolder folder;
  const auto read = [&](const std::string& header) { return SafetensorsFile(folder.Write("file", File(header, 1))); };
  const std::string a = Array("a", "U8", "[1]", "[0,1]");
  for (const std::string space : {" ", "\t", "\n", "\r\n  "}) {
    EXPECT_EQ(read(StrCat(space, "{", a, "}", space)).Entry("a").bytes[0], std::byte{1});
  }
  EXPECT_TRUE(read(StrCat(R"({"__metadata__":null,)", a, "}")).metadata().empty());
  EXPECT_EQ(read(StrCat("{", Array("a", "U8", "[1,1,1,1,1,1,1]", "[0,1]"), "}")).Entry("a").shape.rank(), 7);
  EXPECT_EQ(read(StrCat("{", Array("a", "U8", "[1,1,1,1,1,1,1,1]", "[0,1]"), "}")).Entry("a").shape.rank(), 8);
  // Keys of tomorrow.
  const std::string unknown = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":{"y":[1,{"z":[2]}]}}})";
  EXPECT_EQ(read(unknown).Entry("a").shape, Shape{1});
  EXPECT_EQ(read(R"({"a\/b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})").entries().begin()->first, "a/b");
}

TEST(SafetensorsTest, RejectsBadLengths) {
  ExpectBad({}, {"is an empty file"});
  ExpectBad({1}, {"ends at byte 1, before the 8 bytes"});
  ExpectBad({1, 2, 3, 4, 5, 6, 7}, {"ends at byte 7"});
  ExpectBad({3, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, {"length at byte 0 is 3", "ends at byte 10"});
  ExpectBad({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'}, {"18446744073709551615", "above 100000000"});
  ExpectBad({0x01, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{', '}'}, {"100000001", "above 100000000"});
  ExpectBad({0x00, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{', '}'}, {"100000000, but the file ends"});
  ExpectBad(File("", 0), {"doesn't start with '{'"});
}

TEST(SafetensorsTest, RejectsEveryTruncationAndExtension) {
  const Bytes good = File(StrCat("{", Array("a", "F32", "[2]", "[0,8]"), "}"), 8);
  for (size_t size = 1; size < good.size(); ++size) {
    ExpectBad({good.begin(), good.begin() + static_cast<ptrdiff_t>(size)}, {"byte"});
  }
  Bytes longer = good;
  longer.push_back(0);
  ExpectBad(longer, {StrCat("trailing bytes from byte ", good.size())});
}

TEST(SafetensorsTest, RejectsBadJson) {
  ExpectBadHeader("[]", 0, {"byte 8 doesn't start with '{'"});
  ExpectBadHeader("\xef\xbb\xbf{}", 0, {"doesn't start with '{'"});
  ExpectBadHeader("  ", 0, {"doesn't start with '{'"});
  ExpectBadHeader("{", 0, {"not JSON at byte"});
  ExpectBadHeader("{}}", 0, {"not JSON at byte 10"});
  ExpectBadHeader("{} x", 0, {"not JSON at byte 11"});
  ExpectBadHeader("{\"a\xff\":1}", 0, {"not JSON at byte 11"});
  ExpectBadHeader(std::string("{}\0{", 4), 0, {"zero byte in the header at byte 10"});
  ExpectBadHeader(R"({"a":1e999})", 0, {"number out of range"});
  ExpectBadHeader(StrCat("{\"a\":", std::string(1000000, '[')), 0, {"nests too deeply"});
  std::string objects = "{";
  for (int i = 0; i < 100000; ++i) objects += "\"a\":{";
  ExpectBadHeader(objects, 0, {"nests too deeply"});
}

TEST(SafetensorsTest, RejectsNamesThatComeTwice) {
  const std::string a = Array("a", "U8", "[1]", "[0,1]");
  ExpectBadHeader(StrCat("{", a, ",", a, "}"), 1, {"names \"a\" twice"});
  ExpectBadHeader(StrCat("{", a, R"(,"\u0061":{}})"), 1, {"names \"a\" twice"});
  ExpectBadHeader(R"({"__metadata__":{"k":"1","k":"2"}})", 0, {"names \"k\" twice"});
  ExpectBadHeader(R"({"__metadata__":{},"__metadata__":{}})", 0, {"names \"__metadata__\" twice"});
  ExpectBadHeader(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1,
                  {"names \"dtype\" twice"});
}

TEST(SafetensorsTest, RejectsEntriesOfAnotherStructure) {
  ExpectBadHeader(R"({"a":1})", 0, {"\"a\" is not an object"});
  ExpectBadHeader(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1, {"\"a\" has no dtype"});
  ExpectBadHeader(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1, {"\"a\" has no shape"});
  ExpectBadHeader(R"({"a":{"dtype":"U8","shape":[1]}})", 1, {"\"a\" has no data_offsets"});
  ExpectBadHeader(R"({"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})", 1, {"dtype that is not a string"});
  const auto entry = [](const char* dtype, const char* shape, const char* offsets) {
    return StrCat("{", Array("a", dtype, shape, offsets), "}");
  };
  ExpectBadHeader(entry("f32", "[1]", "[0,4]"), 4, {"unknown dtype \"f32\""});
  ExpectBadHeader(entry("", "[1]", "[0,4]"), 4, {"unknown dtype \"\""});
  ExpectBadHeader(entry("U8", "1", "[0,1]"), 1, {"shape that is not a list"});
  ExpectBadHeader(entry("U8", "[-1]", "[0,1]"), 1, {"shape with -1"});
  ExpectBadHeader(entry("U8", "[1.0]", "[0,1]"), 1, {"shape with 1.0"});
  ExpectBadHeader(entry("U8", "[\"1\"]", "[0,1]"), 1, {"shape with \"1\""});
  ExpectBadHeader(entry("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, {"rank 9"});
  ExpectBadHeader(entry("U8", "[1]", "[0]"), 1, {"1 data_offsets instead of 2"});
  ExpectBadHeader(entry("U8", "[1]", "[0,1,2]"), 1, {"3 data_offsets instead of 2"});
  ExpectBadHeader(entry("U8", "[1]", "[0,1e0]"), 1, {"data_offsets with 1.0"});
  ExpectBadHeader(entry("U8", "[1]", "{\"begin\":0}"), 1, {"data_offsets that is not a list"});
  ExpectBadHeader(R"({"__metadata__":[]})", 0, {"\"__metadata__\" is not an object"});
  ExpectBadHeader(R"({"__metadata__":{"k":1}})", 0, {"\"k\", which is not a string"});
}

TEST(SafetensorsTest, RejectsShapesThatAreNotTheBytes) {
  const auto entry = [](const char* dtype, const char* shape, const char* offsets) {
    return StrCat("{", Array("a", dtype, shape, offsets), "}");
  };
  ExpectBadHeader(entry("F32", "[2]", "[0,7]"), 7, {"\"a\" has 7 bytes, which are not a F32 array of [2]"});
  ExpectBadHeader(entry("F32", "[]", "[0,8]"), 8, {"8 bytes", "[]"});
  ExpectBadHeader(entry("F4", "[3]", "[0,1]"), 1, {"F4"});  // a byte and a half
  ExpectBadHeader(entry("U8", "[9223372036854775808]", "[0,0]"), 0, {"9223372036854775808"});
  ExpectBadHeader(entry("U8", "[18446744073709551616]", "[0,0]"), 0, {"not a size"});
  // Products that wrap to 0.
  ExpectBadHeader(entry("U8", "[4294967296,4294967296]", "[0,0]"), 0, {"overflows"});
  ExpectBadHeader(entry("F32", "[4611686018427387904]", "[0,0]"), 0, {"overflows"});
  ExpectBadHeader(entry("F64", "[288230376151711744]", "[0,0]"), 0, {"\"a\" has 0 bytes, which are not a F64 array"});
}

TEST(SafetensorsTest, RejectsOffsetsThatDoNotCoverTheData) {
  const auto two = [](const char* first, const char* second) {
    return StrCat("{", Array("a", "U8", "[4]", first), ",", Array("b", "U8", "[4]", second), "}");
  };
  ExpectBadHeader(two("[0,4]", "[3,7]"), 8, {"\"b\" begins at byte"});  // overlap
  ExpectBadHeader(two("[0,4]", "[0,4]"), 4, {"begins at byte"});        // the same bytes
  ExpectBadHeader(two("[0,4]", "[5,9]"), 9, {"\"b\" begins at byte"});  // hole
  ExpectBadHeader(two("[1,5]", "[5,9]"), 9, {"\"a\" begins at byte"});  // hole in front
  ExpectBadHeader(two("[0,4]", "[4,8]"), 9, {"trailing bytes from byte"});
  ExpectBadHeader(two("[0,4]", "[4,8]"), 7, {"\"b\" ends at byte 8 of the data, which have 7"});
  ExpectBadHeader(two("[4,0]", "[4,8]"), 8, {"\"a\" ends at 0, before it begins at 4"});
  ExpectBadHeader(two("[0,4]", "[18446744073709551612,0]"), 8, {"\"b\" ends at 0, before"});
  ExpectBadHeader(two("[0,4]", "[4,18446744073709551615]"), 8, {"\"b\" ends at byte 18446744073709551615"});
}

TEST(SafetensorsTest, RejectsWhatItCanNotWrite) {
  const TempFolder folder;
  const std::vector<float> values{1.0f, 2.0f};
  const auto write = [&](const std::string& name, const SafetensorsEntry& entry, const SafetensorsMetadata& metadata) {
    return [=, &folder] { WriteSafetensors(folder / "file", {{name, entry}}, metadata); };
  };
  using Error = std::invalid_argument;
  ExpectError<Error>(write("a", EntryOf("FLOAT", {2}, values), {}), {"\"a\"", "unknown dtype FLOAT"});
  ExpectError<Error>(write("a", EntryOf("F32", {3}, values), {}), {"\"a\" has 8 bytes", "[3]"});
  ExpectError<Error>(write("__metadata__", EntryOf("F32", {2}, values), {}), {"__metadata__"});
  ExpectError<Error>(write("\xff", EntryOf("F32", {2}, values), {}), {"UTF-8"});
  ExpectError<Error>(write("a", EntryOf("F32", {2}, values), {{"k", "\xff"}}), {"UTF-8"});
  ExpectError<Error>(write("a", EntryOf("F32", {2}, values), {{"k", std::string(100'000'000, 'x')}}),
                     {"the header has", "above 100000000"});
  ExpectError(
      [&] {
        WriteSafetensors(folder / "none/file", {{"a", EntryOf("F32", {2}, values)}}, {});
      },
      {folder / "none/file", "No such file"});
  EXPECT_EQ(folder.CountFiles(), 0);
}

}  // namespace
}  // namespace hwynn
