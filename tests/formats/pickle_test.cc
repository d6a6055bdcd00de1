#include "hwynn/formats/pickle.h"

#include <gtest/gtest.h>

#include <numeric>

#include "hwynn/formats/file_io.h"
#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using namespace std::literals;
using testing::ExpectError;

constexpr int64_t kImageBytes = 3072;

std::string Golden(const std::string& name) {
  const std::vector<std::byte> bytes = ReadFile(std::string(HWYNN_GOLDEN_DIR) + "/data/" + name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

PickledDictionary Parse(const std::string& pickle) { return {"FILE", std::as_bytes(std::span(pickle))}; }

// Protocol 2, then `body`; what it leaves is the value.
void ExpectBad(const std::string& body, std::initializer_list<std::string> texts) {
  const std::string pickle = "\x80\x02" + body;
  const auto parse = [&] { Parse(pickle); };
  ExpectError(parse, {"FILE: "});
  ExpectError(parse, texts);
}

// A dictionary with the value that `opcodes` make under "k".
std::string With(const std::string& opcodes) { return "\x80\x02}U\x01k" + opcodes + "s."; }

// numpy's array of these bytes; `shape` and `bytes` are opcodes.
std::string Array(const std::string& shape, const std::string& bytes, const std::string& dtype = "U\x02u1",
                  const std::string& is_fortran = "\x89") {
  return "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK"s + "\0\x85U\x01"s + "b\x87R(K\x01" + shape +
         "cnumpy\ndtype\n" + dtype + "K\0K\x01\x87R"s + is_fortran + bytes + "tb";
}

TEST(PickleTest, ReadsWhatPythonWrote) {
  for (const char* name : {"batch_python2", "batch_protocol2", "batch_protocol3", "batch_protocol4", "batch_protocol5",
                           "batch_columns4", "batch_columns5"}) {
    SCOPED_TRACE(name);
    const std::string pickle = Golden(name);
    const PickledDictionary batch = Parse(pickle);
    EXPECT_TRUE(batch.Has("batch_label"));
    EXPECT_FALSE(batch.Has("fine_labels"));
    EXPECT_EQ(batch.Integers("labels"), (std::vector<int64_t>{3, 9}));
    EXPECT_EQ(batch.Texts("filenames", 2)[1], "camion_s_000148.png");
    const ByteMatrix data = batch.Matrix("data");
    EXPECT_EQ(data.rows, 2);
    ASSERT_EQ(data.columns, kImageBytes);
    for (int64_t n = 0; n < 2; ++n) {
      for (int64_t i = 0; i < kImageBytes; ++i) {
        ASSERT_EQ(data.values[static_cast<size_t>(n * kImageBytes + i)], static_cast<uint8_t>(31 * n + 7 * i + i / 256))
            << n << ' ' << i;
      }
    }
  }
}

TEST(PickleTest, RejectsEveryTruncation) {
  for (const char* name : {"batch_python2", "batch_protocol2", "batch_protocol4", "batch_protocol5"}) {
    const std::string pickle = Golden(name);
    for (size_t size = 0; size < pickle.size(); size += size < 300 || size + 300 > pickle.size() ? 1 : 97) {
      ExpectError([&] { Parse(pickle.substr(0, size)); }, {"FILE: ", "byte"});
    }
    ExpectError([&] { Parse(pickle + "x"); }, {"trailing bytes from byte " + std::to_string(pickle.size())});
  }
}

TEST(PickleTest, ReadsNumbersOfEverySize) {
  const std::string pickle = With(
      "](K\xffM\xff\xffJ\xff\xff\xff\xffJ\0\0\0\x80\x8a\0\x8a\1\x80\x8a\x08\1\0\0\0\0\0\0\x80"s
      "e");
  EXPECT_EQ(Parse(pickle).Integers("k"),
            (std::vector<int64_t>{255, 65535, -1, -2147483648LL, 0, -128, -9223372036854775807LL}));
}

TEST(PickleTest, KeepsValuesAndTakesThemAgain) {
  // APPEND in place of APPENDS, the long forms of PUT and GET, a list that two keys share.
  const std::string pickle = "\x80\x02}(U\x01k]r\5\1\0\0K\7aK\x08"s + "aU\x01mj\5\1\0\0u."s;
  EXPECT_EQ(Parse(pickle).Integers("k"), (std::vector<int64_t>{7, 8}));
  EXPECT_EQ(Parse(pickle).Integers("m"), (std::vector<int64_t>{7, 8}));
}

TEST(PickleTest, RefusesWhateverCouldRun) {
  ExpectBad("cos\nsystem\nU\x04true\x85R.", {"at byte 2 names os.system", "runs nothing"});
  ExpectBad("c__builtin__\neval\n", {"__builtin__.eval"});
  ExpectBad("cnumpy\nload\n", {"numpy.load"});
  ExpectBad("cnumpy\nndarray.tofile\n", {"numpy.ndarray.tofile"});
  ExpectBad("X\2\0\0\0osX\6\0\0\0system\x93"s, {"at byte 20 names os.system"});
  ExpectBad("c\x1b[31m\n\nx", {"names ?[31m."});
  ExpectBad("c" + std::string(1000, 'a') + "\nb\n", {std::string(64, 'a') + "…"});
  ExpectBad("cnumpy\nndarray\n)R.", {"calls a function or type"});
  ExpectBad("cnumpy\nndarray\n]R.", {"calls something without"});
  for (const char opcode : {'\x81', '\x92', 'i', 'o', '\x82', 'P', 'Q', '\x97', '\x98', 'd', 'S', 'G', '0'}) {
    ExpectBad("}" + std::string(1, opcode), {"at byte 3 is 0x", "which no dictionary of a data set needs"});
  }
}

TEST(PickleTest, RefusesOpcodesThatDoNotFit) {
  ExpectBad("a", {"takes a value where none is left"});
  ExpectBad("}(s", {"takes a value where none is left"});
  ExpectBad("}(K\1a", {"wants a list to append to"});
  ExpectBad("](U\1kK\1u", {"wants a dictionary"});
  ExpectBad("}(U\1ku", {"a key without a value"});
  ExpectBad("}u", {"a mark"});
  ExpectBad("h\7", {"takes value 7, which was not kept"});
  ExpectBad("q\7", {"keeps a value where there is none"});
  ExpectBad("}}.", {"leaves more than one value"});
  ExpectBad("(}.", {"leaves more than one value"});
  ExpectBad(".", {"takes a value where none is left"});
  ExpectBad("K\1.", {"is a pickle of a whole number, not of a dictionary"});
  ExpectBad("\x8a\x09", {"a number of 9 bytes"});
  ExpectBad("B\xff\xff\xff\xffx", {"wants 4294967295 bytes from byte 7 on, where the file has 1"});
  ExpectBad("\x8e\xff\xff\xff\xff\xff\xff\xff\xffx", {"wants 18446744073709551615 bytes"});
  ExpectBad("\x95\xff\xff\xff\xff\xff\xff\xff\xffx", {"frames 18446744073709551615 bytes"});
  ExpectBad("}K\1b", {"sets a state that is no tuple"});
  ExpectBad("})b", {"sets the state of a dictionary"});
  ExpectError([] { Parse("(dp0\n."); }, {"at byte 0", "protocol 2 to 5"});
  ExpectError([] { Parse("\x80\6}."); }, {"protocol 6"});
  ExpectError([] { Parse("\x80\1}."); }, {"protocol 1"});
}

TEST(PickleTest, RefusesMoreValuesThanAnyDataSetHas) {
  const size_t most = PickledDictionary::kMaxValues;
  ExpectBad(std::string(most + 1, 'N'), {"makes more than 524288 values"});
  ExpectBad(std::string(most + 1, '('), {"marks more than 524288 places"});
  std::string kept = "N";
  for (size_t i = 0; i <= most; ++i) kept += "\x94";
  ExpectBad(kept, {"keeps more than 524288 values"});
}

TEST(PickleTest, RefusesValuesOfOtherKinds) {
  const auto expect_bad = [](const std::string& pickle, const auto& read, std::initializer_list<std::string> texts) {
    const PickledDictionary dictionary = Parse(pickle);
    ExpectError([&] { read(dictionary); }, {"FILE: ", "\"k\""});
    ExpectError([&] { read(dictionary); }, texts);
  };
  const auto integers = [](const PickledDictionary& d) { d.Integers("k"); };
  const auto texts = [](const PickledDictionary& d) { d.Texts("k", 1); };
  const auto matrix = [](const PickledDictionary& d) { d.Matrix("k"); };
  const std::string two = "K\1K\2\x86", bytes = "U\2ab";

  expect_bad("\x80\x02}.", integers, {"has no"});
  expect_bad("\x80\x02}(U\1kK\1U\1kK\2u.", integers, {"twice"});
  expect_bad(With("K\1"), integers, {"is a whole number, not a list"});
  expect_bad(With("]U\1xa"), integers, {"holds bytes at element 0"});
  expect_bad(With("]q\0h\0a"s), integers, {"holds a list at element 0"});  // itself
  expect_bad(With("]"), texts, {"has 0 elements, not 1"});
  expect_bad(With("]K\1a"), texts, {"no UTF-8 text"});
  expect_bad(With("]U\1\xff"s + "a"), texts, {"no UTF-8 text"});
  expect_bad(With("]T\0\1\0\0"s + std::string(256, 'x') + "a"), texts, {"at most 255 bytes"});
  expect_bad(With("]"), matrix, {"not an array"});

  EXPECT_EQ(Parse(With(Array(two, bytes))).Matrix("k").values, (std::vector<uint8_t>{'a', 'b'}));
  expect_bad(With(Array("K\1K\3\x86", bytes)), matrix, {"[1,3] holds 2 bytes"});
  expect_bad(With(Array("K\1\x85", bytes)), matrix, {"two dimensions"});
  expect_bad(With(Array("U\1xK\2\x86", bytes)), matrix, {"two dimensions"});
  expect_bad(With(Array("K\0K\0\x86"s, "U\0"s)), matrix, {"is empty"});
  expect_bad(With(Array("J\xff\xff\xff\xffJ\xfe\xff\xff\xff\x86", bytes)), matrix, {"[-1,-2] is empty"});
  const std::string huge = "\x8a\x08\0\0\0\0\0\0\0\x40"s;  // 2⁶²: times 8 it wraps to 0
  expect_bad(With(Array(huge + "K\x08\x86", "U\0"s)), matrix, {"holds 0 bytes"});
  expect_bad(With(Array(two, bytes, "U\2i1")), matrix, {"uint8"});
  expect_bad(With("cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n)U\1b\x87R"), matrix, {"no state"});
  const std::string latin1 = "c_codecs\nencode\nX\2\0\0\0\xc3\xbfU\6latin1\x86R"s;
  EXPECT_EQ(Parse(With(Array("K\1K\1\x86", latin1))).Matrix("k").values, (std::vector<uint8_t>{0xff}));
  expect_bad(With(Array("K\1K\1\x86", "c_codecs\nencode\nX\2\0\0\0\xc4\x80U\6latin1\x86R"s)), matrix, {"Latin-1"});
  ExpectBad("c_codecs\nencode\nX\2\0\0\0\xc3\xbfU\5utf-8\x86R."s, {"in Latin-1"});
  ExpectBad(Array(two, bytes) + "(K\1" + two + "tb.", {"sets the state of an array twice"});
  ExpectBad(Array(two, "K\1"), {"a state that no array of bytes has"});
}

}  // namespace
}  // namespace hwynn
