#include "hwynn/formats/msgpack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::Bytes;
using testing::ExpectError;
using testing::ReadBytes;

SharedBytes Shared(const Bytes& bytes) {
  const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
  return SharedBytes::Own({begin, begin + bytes.size()});
}

MsgpackValue Parse(const Bytes& bytes) { return ParseMsgpack(Shared(bytes), "some.file", 1000); }

Bytes Encode(const MsgpackValue& value) {
  Bytes bytes;
  for (const std::byte byte : EncodeMsgpack(value)) bytes.push_back(std::to_integer<uint8_t>(byte));
  return bytes;
}

TEST(MsgpackTest, EveryShortestEncodingReadsAndWritesTheSame) {
  const std::vector<Bytes> encodings = {
      {0xc0},
      {0xc2},
      {0xc3},
      {0x00},
      {0x7f},
      {0xcc, 0x80},
      {0xcc, 0xff},
      {0xcd, 1, 0},
      {0xcd, 0xff, 0xff},
      {0xce, 0, 1, 0, 0},
      {0xce, 0xff, 0xff, 0xff, 0xff},
      {0xcf, 0, 0, 0, 1, 0, 0, 0, 0},
      {0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
      {0xff},
      {0xe0},
      {0xd0, 0xdf},
      {0xd0, 0x80},
      {0xd1, 0xff, 0x7f},
      {0xd1, 0x80, 0},
      {0xd2, 0xff, 0xff, 0x7f, 0xff},
      {0xd2, 0x80, 0, 0, 0},
      {0xd3, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff},
      {0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0},
      {0xca, 0x3f, 0x80, 0, 0},
      {0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0},
      {0xa0},
      {0xa2, 'h', 'i'},
      {0xc4, 0},
      {0xc4, 2, 1, 2},
      {0x90},
      {0x92, 1, 0x91, 0xc0},
      {0x80},
      {0x82, 0xa1, 'b', 1, 0xa1, 'a', 0x80},
      {0xd4, 5, 1},
      {0xd5, 0x80, 1, 2},
      {0xd6, 1, 1, 2, 3, 4},
      {0xc7, 0, 1},
      {0xc7, 3, 1, 7, 8, 9},
  };
  for (const Bytes& bytes : encodings) EXPECT_EQ(Encode(Parse(bytes)), bytes);
}

TEST(MsgpackTest, LengthsTakeTheirShortestForm) {
  const auto expect = [](const MsgpackValue& value, const Bytes& head, size_t size) {
    const Bytes bytes = Encode(value);
    EXPECT_EQ(bytes.size(), size);
    EXPECT_TRUE(std::equal(head.begin(), head.end(), bytes.begin())) << size;
    EXPECT_EQ(Encode(Parse(bytes)), bytes);
  };
  expect({std::string(31, 'x')}, {0xbf, 'x'}, 32);
  expect({std::string(32, 'x')}, {0xd9, 32}, 34);
  expect({std::string(256, 'x')}, {0xda, 1, 0}, 259);
  expect({std::string(65536, 'x')}, {0xdb, 0, 1, 0, 0}, 65541);
  const SharedBytes payload = Shared(Bytes(70000, 9));
  expect({MsgpackValue::Binary{payload.Part(0, 255)}}, {0xc4, 255}, 257);
  expect({MsgpackValue::Binary{payload.Part(0, 256)}}, {0xc5, 1, 0}, 259);
  expect({MsgpackValue::Binary{payload}}, {0xc6, 0, 1, 0x11, 0x70, 9}, 70005);
  expect({MsgpackValue::Extension{-3, payload.Part(0, 8)}}, {0xd7, 0xfd, 9}, 10);
  expect({MsgpackValue::Extension{1, payload.Part(0, 16)}}, {0xd8, 1, 9}, 18);
  expect({MsgpackValue::Extension{1, payload.Part(0, 17)}}, {0xc7, 17, 1, 9}, 20);
  expect({MsgpackValue::Extension{1, payload.Part(0, 256)}}, {0xc8, 1, 0, 1, 9}, 260);
  expect({MsgpackValue::Extension{1, payload}}, {0xc9, 0, 1, 0x11, 0x70, 1, 9}, 70006);
  expect({MsgpackValue::Array(15)}, {0x9f, 0xc0}, 16);
  expect({MsgpackValue::Array(16)}, {0xdc, 0, 16, 0xc0}, 19);
  expect({MsgpackValue::Array(65536)}, {0xdd, 0, 1, 0, 0, 0xc0}, 65541);
  MsgpackValue::Map map;
  for (int i = 10; i < 26; ++i) map.push_back({std::to_string(i), {}});
  expect({map}, {0xde, 0, 16, 0xa2, '1', '0', 0xc0}, 3 + 16 * 4);
}

TEST(MsgpackTest, WhatHasNoLengthIsAnError) {
  const std::byte byte{};
  const MsgpackValue value{MsgpackValue::Binary{{{&byte, size_t{1} << 32}}}};  // of which nothing is read
  ExpectError<std::invalid_argument>([&] { EncodeMsgpack(value); }, {"4294967296 is above 2^32 - 1"});
}

TEST(MsgpackTest, LongerFormsAreReadToo) {
  EXPECT_EQ(Encode(Parse({0xcd, 0, 5})), (Bytes{5}));
  EXPECT_EQ(Encode(Parse({0xd3, 0, 0, 0, 0, 0, 0, 0, 200})), (Bytes{0xcc, 200}));
  EXPECT_EQ(Encode(Parse({0xdf, 0, 0, 0, 1, 0xd9, 1, 'a', 0xdc, 0, 0})), (Bytes{0x81, 0xa1, 'a', 0x90}));
  EXPECT_EQ(Encode(Parse({0xc9, 0, 0, 0, 1, 7, 42})), (Bytes{0xd4, 7, 42}));
}

TEST(MsgpackTest, TypesOffsetsAndOrderAreKept) {
  const MsgpackValue map =
      Parse({0x83, 0xa1, 'z', 0xca, 0x3f, 0x80, 0, 0, 0xa1, 'a', 0xc7, 3, 1, 7, 8, 9, 0xa1, 'k', 3});
  EXPECT_EQ(std::get<float>(map.Find("z")->data), 1.0f);
  EXPECT_EQ(std::get<int64_t>(map.Find("k")->data), 3);
  EXPECT_EQ(map.Find("missing"), nullptr);
  EXPECT_EQ(map.offset, 1000u);
  EXPECT_EQ(map.Find("a")->offset, 1010u);
  const auto& extension = std::get<MsgpackValue::Extension>(map.Find("a")->data);
  EXPECT_EQ(extension.data_offset, 1013u);
  EXPECT_EQ(std::to_integer<int>(extension.data.bytes[2]), 9);
  EXPECT_EQ(std::get<MsgpackValue::Map>(map.data)[0].first, "z");
  EXPECT_EQ(std::get<uint64_t>(Parse({0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0}).data), uint64_t{1} << 63);
}

TEST(MsgpackTest, KeysAreTextsOrNumbers) {
  const Bytes bytes = {0x84, 0, 0xa1, 'x', 0xa1, '0', 1, 0xff, 2, 0xcd, 1, 0, 3};
  const MsgpackValue value = Parse(bytes);
  EXPECT_EQ(Encode(value), bytes);
  const auto& map = std::get<MsgpackValue::Map>(value.data);
  EXPECT_EQ(map[0].first.number(), 0);
  EXPECT_EQ(map[0].first.text(), "0");
  EXPECT_EQ(map[1].first.number(), std::nullopt);
  EXPECT_NE(map[0].first, map[1].first);
  EXPECT_EQ(map[2].first.number(), -1);
  EXPECT_EQ(std::get<int64_t>(value.Find("256")->data), 3);
}

// An encoding is pieces: what is encoded later must not move what the pieces before it point to.
TEST(MsgpackTest, TextsBetweenLargePayloadsStayWhereTheyAre) {
  const testing::TempFolder folder;
  MsgpackValue::Map map;
  Bytes expected = {0x8c};
  for (char name = 'a'; name < 'm'; ++name) {
    const Bytes payload(5000, static_cast<uint8_t>(name));
    map.push_back({std::string(1, name), {MsgpackValue::Binary{Shared(payload)}}});
    for (const int byte : {0xa1, int{name}, 0xc5, 5000 >> 8, 5000 & 0xff}) {
      expected.push_back(static_cast<uint8_t>(byte));
    }
    expected.insert(expected.end(), payload.begin(), payload.end());
  }
  EXPECT_EQ(Encode({map}), expected);
  WriteMsgpack(folder / "file", {map});
  EXPECT_EQ(ReadBytes(folder / "file"), expected);
}

TEST(MsgpackTest, BadBytesAreAnErrorWithPathAndOffset) {
  const auto expect = [](const Bytes& bytes, const std::string& offset, const std::string& text) {
    ExpectError([&] { Parse(bytes); }, {"some.file", "byte " + offset + ":", text});
  };
  expect({}, "1000", "1 bytes must follow");
  expect({0xc1}, "1000", "0xc1 starts no msgpack value");
  expect({1, 2}, "1001", "trailing bytes");
  expect({0x92, 1}, "1002", "must follow");
  expect({0x81, 0xa1, 'a'}, "1003", "must follow");
  expect({0xa3, 'a', 'b'}, "1001", "3 bytes must follow, but 2 are left");
  expect({0xcf, 1, 2, 3}, "1001", "8 bytes must follow");
  expect({0x81, 0xc3, 1}, "1001", "neither a string nor an integer");
  expect({0x81, 0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0, 1}, "1001", "neither a string nor an integer");
  expect({0x82, 7, 1, 0xcc, 7, 2}, "1003", "the key 7 is there twice");
  expect({0x82, 0xa1, 'a', 1, 0xa1, 'a', 2}, "1004", "\"a\" is there twice");
  // Counts that lie take no memory: these would be gigabytes.
  for (const uint8_t first : {0xc6, 0xc9, 0xdb, 0xdd, 0xdf})
    expect({first, 0xff, 0xff, 0xff, 0xff}, "1005", "must follow");
  expect(Bytes(200, 0x91), "1101", "levels");
  Bytes many(5 + (1 << 20), 0xc0);
  std::copy_n(Bytes{0xdd, 0, 0x10, 0, 0}.begin(), 5, many.begin());
  expect(many, "1049580", "more than 1048576");

  // Every beginning of a valid value is truncated.
  const Bytes whole = {0x83, 0xa1, 'z', 0xca, 0x3f, 0x80, 0, 0, 0xa1, 'a', 0xc7, 3, 1, 7, 8, 9, 0xa1, 'k', 3};
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(Parse(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))), std::runtime_error);
  }
}

TEST(MsgpackTest, FilesKeepLargePayloadsInPlace) {
  const testing::TempFolder folder;
  const SharedBytes payload = Shared(Bytes(5000, 3));
  const MsgpackValue value{MsgpackValue::Map{{"small", {MsgpackValue::Binary{payload.Part(0, 10)}}},
                                             {"large", {MsgpackValue::Binary{payload}}},
                                             {"last", {true}}}};
  WriteMsgpack(folder / "a.msgpack", value);
  EXPECT_EQ(ReadBytes(folder / "a.msgpack"), Encode(value));
}

TEST(MsgpackTest, WhatPythonWroteIsWrittenBackTheSame) {
  const Bytes bytes = ReadBytes(HWYNN_GOLDEN_DIR "/flax_types.msgpack");
  ASSERT_FALSE(bytes.empty());
  const MsgpackValue value = Parse(bytes);
  EXPECT_EQ(Encode(value), bytes);
  const auto& integers = std::get<MsgpackValue::Array>(value.Find("integers")->data);
  EXPECT_EQ(std::get<uint64_t>(integers[11].data), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(std::get<int64_t>(integers.back().data), std::numeric_limits<int64_t>::min());
  const auto& floats = std::get<MsgpackValue::Array>(value.Find("floats")->data);
  EXPECT_TRUE(std::signbit(std::get<double>(floats[1].data)));
  EXPECT_EQ(std::get<MsgpackValue::Map>(value.Find("many")->data).front().first, "key 300");
}

}  // namespace
}  // namespace hwynn
