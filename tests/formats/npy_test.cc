#include "hwynn/formats/npy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "hwynn/data/zip.h"
#include "hwynn/formats/file_io.h"
#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using namespace std::literals;
using testing::ExpectError;

// A file of version 1.0 or another one.
std::string Npy(const std::string& header, const std::string& elements, int version = 1) {
  std::string file = "\x93NUMPY";
  file += static_cast<char>(version);
  file += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) file += static_cast<char>(header.size() >> (8 * i));
  return file + header + elements;
}

std::string Header(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
}

NpyArray Parse(const std::string& file) { return {"FILE", std::as_bytes(std::span(file))}; }

void ExpectBad(const std::string& file, std::initializer_list<std::string> texts) {
  ExpectError([&] { Parse(file); }, {"FILE: "});
  ExpectError([&] { Parse(file); }, texts);
}

void ExpectBadHeader(const std::string& header, std::initializer_list<std::string> texts) {
  ExpectBad(Npy(header, "abcd"), texts);
}

TEST(NpyTest, ReadsWhatNumpyWrote) {
  const std::string path = std::string(HWYNN_GOLDEN_DIR) + "/data/types.npz";
  const std::vector<std::byte> file = ReadFile(path);
  const ZipArchive archive(path, file);
  ASSERT_EQ(archive.entries().size(), 36u);
  std::vector<int64_t> expected(24);
  std::iota(expected.begin(), expected.end(), 0);
  for (const ZipArchive::Entry& entry : archive.entries()) {
    SCOPED_TRACE(entry.name);
    const std::vector<std::byte> bytes = archive.Read(entry);
    const NpyArray array("FILE", bytes);
    EXPECT_EQ(array.shape(), (Shape{2, 3, 4}));
    std::vector<int64_t> values;
    if (array.type() == "uint8") {
      const std::vector<uint8_t> elements = array.Bytes();
      values.assign(elements.begin(), elements.end());
      EXPECT_EQ(values, array.Integers());
    } else if (array.type().starts_with("float")) {
      for (const float x : array.Floats()) values.push_back(static_cast<int64_t>(x));
    } else {
      values = array.Integers();
    }
    EXPECT_EQ(values, expected);
  }
}

TEST(NpyTest, ReadsHeadersOfOtherWriters) {
  for (const char* header : {"{'shape':(2,2),'fortran_order':False,'descr':'|u1'}",
                             "{ \"descr\" : \"|u1\", 'shape': (2L, 2L), "
                             "'fortran_order': False ,}  \n",
                             "{'descr': '<u1', 'fortran_order': False, 'shape': (2, 2,), }\n"}) {
    for (const int version : {1, 2, 3}) {
      const std::string file = Npy(header, "abcd", version);
      EXPECT_EQ(Parse(file).shape(), (Shape{2, 2}));
      EXPECT_EQ(Parse(file).Bytes(), (std::vector<uint8_t>{'a', 'b', 'c', 'd'}));
    }
  }
  EXPECT_EQ(Parse(Npy(Header("|u1", "()"), "a")).shape().rank(), 0);
  EXPECT_EQ(Parse(Npy(Header("|u1", "(1,)"), "a")).shape(), (Shape{1}));
  EXPECT_EQ(Parse(Npy(Header("<f4", "(0, 3)"), "")).Floats().size(), 0u);
}

TEST(NpyTest, ReadsIntegersAtTheirEdges) {
  const auto read = [](const std::string& descr, const std::string& elements) {
    const std::string file = Npy(Header(descr, "(1,)"), elements);
    return Parse(file).Integers()[0];
  };
  EXPECT_EQ(read("|i1", "\x80"), -128);
  EXPECT_EQ(read("|u1", "\xff"), 255);
  EXPECT_EQ(read("<i2", "\0\x80"s), -32768);
  EXPECT_EQ(read(">i2", "\x80\0"s), -32768);
  EXPECT_EQ(read("<u4", "\xff\xff\xff\xff"), 4294967295);
  EXPECT_EQ(read(">u8", "\x7f\xff\xff\xff\xff\xff\xff\xff"), 9223372036854775807);
  ExpectError([&] { read("<u8", "\0\0\0\0\0\0\0\x80"s); }, {"element 0 is 9223372036854775808"});
}

TEST(NpyTest, RejectsEveryTruncation) {
  const std::string file = Npy(Header("<f4", "(2, 3)"), std::string(24, 'x'));
  EXPECT_EQ(Parse(file).Floats().size(), 6u);
  for (size_t size = 0; size < file.size(); ++size) ExpectBad(file.substr(0, size), {"byte"});
  ExpectBad(file + "x", {"25 bytes from byte 69 on are not 6 elements of 4 bytes"});
}

TEST(NpyTest, RejectsHeaders) {
  ExpectBad("\x93NUMPX\1\0"s, {"its magic number isn't at byte 0"});
  ExpectBad("\x93NUMPY\4\0"s, {"version 4.0 at byte 6"});
  ExpectBad("\x93NUMPY\1\1"s, {"version 1.1"});
  ExpectBad("\x93NUMPY\2\0\xff\xff\xff\xff{}"s, {"the header of 4294967295 bytes from byte 12 on"});
  ExpectBadHeader("", {"at byte 10: expected '{'"});
  ExpectBadHeader("{}", {"is missing"});
  ExpectBadHeader("{'descr': '|u1', 'shape': (4,)}", {"is missing"});
  ExpectBadHeader("{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (4,)}", {"once each"});
  ExpectBadHeader("{'colour': 1}", {"expected descr"});
  ExpectBadHeader("{'descr", {"a text has no end"});
  ExpectBadHeader("{'de\\x73cr': '|u1'", {"escapes"});
  ExpectBadHeader(Header("|u1", "(4)"), {"(1) is no tuple"});
  ExpectBadHeader(Header("|u1", "(4,"), {"a number"});
  ExpectBadHeader(Header("|u1", "(2, 2 2)"), {"expected ')'"});
  ExpectBadHeader(Header("|u1", "[4]"), {"expected '('"});
  ExpectBadHeader(Header("|u1", "(-4,)"), {"expected a number"});
  ExpectBadHeader(Header("|u1", "(18446744073709551616,)"), {"out of range"});
  ExpectBadHeader(Header("|u1", "(18446744073709551615,)"), {"the extent 18446744073709551615"});
  ExpectBadHeader(Header("|u1", "(4294967296, 4294967296)"), {"out of range"});
  ExpectBadHeader(Header("<f8", "(4611686018427387904,)"), {"out of range"});
  ExpectBadHeader(Header("|u1", "(1,1,1,1,1,1,1,1,4)"), {"more than 8 dimensions"});
  ExpectBadHeader(Header("|u1", "(4,)") + "x", {"left over"});
  ExpectBadHeader("{'descr': '|u1', 'fortran_order': None, 'shape': (4,)}", {"expected True or False"});
  ExpectBadHeader("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,)}", {"structured"});
  ExpectBadHeader(Header("|u1", "(5,)"), {"4 bytes from byte 67 on are not 5 elements of 1 bytes"});
}

TEST(NpyTest, RefusesOtherTypes) {
  const std::string bytes = Npy(Header("|u1", "(4,)"), "abcd"), floats = Npy(Header("<f4", "(1,)"), "abcd");
  ExpectError([&] { Parse(bytes).Floats(); }, {"FILE: is of type uint8, not float16"});
  ExpectError([&] { Parse(floats).Bytes(); }, {"is of type float32, not uint8"});
  ExpectError([&] { Parse(floats).Integers(); }, {"is of type float32, not whole numbers"});
  for (const char* descr : {"|O", "<U5", "|S4", "<c8", "|b1", "<M8[ns]", "u1", "<f16", ""}) {
    const std::string other = Npy(Header(descr, "(4,)"), "abcd");
    EXPECT_EQ(Parse(other).type(), "");
    ExpectError([&] { Parse(other).Integers(); }, {std::string("is of type ") + descr, "not whole numbers"});
  }
  ExpectError([] { Parse(Npy(Header("|O", "(4,)"), "abcd")).Floats(); }, {"(Python objects, a pickle)"});
}

}  // namespace
}  // namespace hwynn
