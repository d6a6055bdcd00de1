// Flax's trees as flat arrays of a safetensors file, and back byte for byte.

#include "hwynn/formats/flax_safetensors.h"

#include <gtest/gtest.h>

#include "hwynn/formats/file_io.h"
#include "hwynn/formats/flax_array.h"
#include "hwynn/formats/flax_checkpoint.h"
#include "hwynn/tests/support/files.h"

namespace hwynn {
namespace {

using testing::ExpectError;
using testing::ReadBytes;

std::string GoldenPath(const std::string& name) { return HWYNN_GOLDEN_DIR "/flax_" + name + ".msgpack"; }

TEST(FlaxSafetensorsTest, TreesComeBackByteForByte) {
  const testing::TempFolder folder;
  for (const std::string name : {"adam", "adamw"}) {
    const MsgpackValue root = FlaxCheckpoint::Read(GoldenPath(name)).root();
    const FlaxSafetensors flat = FlaxToSafetensors(root, name);
    WriteSafetensors(folder / "flat", flat.entries, flat.metadata);
    const SafetensorsFile file(folder / "flat");
    EXPECT_EQ(file.Entry("params.Dense_0.kernel").shape, (Shape{4, 5}));
    EXPECT_EQ(file.Entry("step").dtype, "I32");
    EXPECT_EQ(file.Entry("opt_state.0.mu.BatchNorm_0.scale").shape, (Shape{5}));
    WriteMsgpack(folder / "back", FlaxFromSafetensors(file));
    EXPECT_EQ(ReadBytes(folder / "back"), ReadBytes(GoldenPath(name))) << name;
  }
  const auto types = FlaxCheckpoint::Read(GoldenPath("types"));
  const FlaxSafetensors flat = FlaxToSafetensors(types.root(), "types");
  EXPECT_EQ(flat.entries.at("arrays.bf16").dtype, "BF16");
  EXPECT_EQ(flat.entries.at("integers.11").dtype, "U64");
  WriteMsgpack(folder / "back", FlaxFromSafetensors(flat.entries, flat.metadata, "types"));
  EXPECT_EQ(ReadBytes(folder / "back"), ReadBytes(GoldenPath("types")));
}

TEST(FlaxSafetensorsTest, NumbersAsKeysComeBackAsNumbers) {
  const testing::TempFolder folder;
  const FlaxSafetensors flat = FlaxToSafetensors(FlaxCheckpoint::Read(GoldenPath("nnx")).root(), "nnx");
  WriteSafetensors(folder / "flat", flat.entries, flat.metadata);
  const SafetensorsFile file(folder / "flat");
  EXPECT_EQ(file.Entry("params.layers.0.kernel").shape, (Shape{2, 3}));
  EXPECT_EQ(file.Entry("opt_state.0.mu.head.layers.2.bias").shape, Shape{1});
  EXPECT_EQ(EncodeMsgpack(FlaxFromSafetensors(file)), ReadFile(GoldenPath("nnx")));

  // Texts that look like numbers, or like what stands for one in the metadata.
  const auto key = [](int64_t number) { return MsgpackKey(number); };
  const MsgpackValue root{
      MsgpackValue::Map{{key(-5), {true}},
                        {"0", {MsgpackValue::Map{{key(0), {1.5}}}}},
                        {"int:0", {int64_t{3}}},
                        {"str:int:0", {nullptr}},
                        {key(int64_t{1} << 40), {MsgpackValue::Array{{MsgpackValue::Map{{key(1), {true}}}}}}}}};
  const FlaxSafetensors odd = FlaxToSafetensors(root, "memory");
  EXPECT_EQ(EncodeMsgpack(FlaxFromSafetensors(odd.entries, odd.metadata, "memory")), EncodeMsgpack(root));
  // Without any number the file is what it was before there were such keys.
  const FlaxSafetensors texts = FlaxToSafetensors({MsgpackValue::Map{{"int:0", {true}}}}, "memory");
  EXPECT_EQ(texts.metadata.at("tree"), R"({"int:0":"bool"})");
  EXPECT_FALSE(texts.metadata.contains("tree_keys"));

  const auto expect = [&](SafetensorsMetadata metadata, const std::string& text) {
    ExpectError([&] { FlaxFromSafetensors({}, metadata, "some.file"); }, {"some.file", text});
  };
  const std::string keys = odd.metadata.at("tree_keys");
  for (const char* tree :
       {R"({"int:":{}})", R"({"int:01":{}})", R"({"int:1x":{}})", R"({"int:9223372036854775808":{}})"}) {
    expect({{"tree", tree}, {"tree_keys", keys}}, "can't be read");
  }
  expect({{"tree", "{}"}, {"tree_keys", "other"}}, "tree_keys");
  const MsgpackValue both{MsgpackValue::Map{{key(0), {true}}, {"0", {true}}}};
  ExpectError([&] { FlaxToSafetensors(both, "some.file"); }, {"some.file", "\"0\" can't be used"});
}

TEST(FlaxSafetensorsTest, NamesAloneMakeSortedDictionaries) {
  const float one = 1;
  const auto bytes = std::as_bytes(std::span(&one, 1));
  SafetensorsEntries entries{{"b.x", {"F32", {1}, bytes}}, {"a.y.z", {"F32", {}, bytes}}, {"a-b", {"I32", {1}, bytes}}};
  const MsgpackValue root = FlaxFromSafetensors(entries, {}, "some.file");
  EXPECT_EQ(std::get<MsgpackValue::Map>(root.data)[1].first, "a-b");
  EXPECT_EQ(ReadFlaxArray(*root.Find("a")->Find("y")->Find("z"), "", "").shape, Shape());
  entries["a.y"] = {"F32", {1}, bytes};
  ExpectError([&] { FlaxFromSafetensors(entries, {}, "some.file"); }, {"some.file", "\"a.y.z\""});
  std::string deep = "a";
  for (int i = 0; i < 100; ++i) deep += ".a";
  entries = {{deep, {"F32", {1}, bytes}}};
  ExpectError([&] { FlaxFromSafetensors(entries, {}, "some.file"); }, {"some.file", "nests too deeply"});
  entries = {{deep.substr(2), {"F32", {1}, bytes}}};
  EXPECT_EQ(std::get<MsgpackValue::Map>(FlaxFromSafetensors(entries, {}, "some.file").data).size(), 1u);
  entries = {{"a", {"F4", {2}, bytes.first(1)}}};
  ExpectError([&] { FlaxFromSafetensors(entries, {}, "some.file"); }, {"some.file", "F4"});
}

TEST(FlaxSafetensorsTest, ArraysOfOneNameAreAnError) {
  Collection collection;
  collection.emplace("a/b", Tensor({1}, 1.0f));
  collection.emplace("a.b", Tensor({1}, 1.0f));
  SafetensorsEntries entries;
  ExpectError<std::invalid_argument>([&] { AddNamedArrays("params", collection, entries); }, {"\"params.a.b\""});
}

TEST(FlaxSafetensorsTest, ATreeThatIsNotTheFilesIsAnError) {
  const float one = 1;
  const SafetensorsEntries entries{{"a", {"F32", {1}, std::as_bytes(std::span(&one, 1))}}};
  const auto expect = [&](const std::string& tree, const std::string& text) {
    ExpectError([&] { FlaxFromSafetensors(entries, {{"tree", tree}}, "some.file"); }, {"some.file", text});
  };
  expect("{", "can't be read");
  expect("{}", "\"a\" isn't in the metadata's tree");
  expect(R"({"a":"array","b":"array"})", "\"b\" is in the metadata's tree, but not in the file");
  expect(R"({"a":"int"})", "number");
  expect(R"({"a":"thing"})", "isn't known");
  expect(R"({"a":3})", "can't be read");
  expect(R"({"a":"scalar","b":"bool"})", "\"b\" is in the metadata's tree, but not in the file");
  expect(R"({"a":"float"})", "number");
  expect(R"({"a":"bool"})", "number");
  expect(R"({"a":"array","":{"a":"array"}})", "twice");
  expect(std::string(5000, '['), "too deeply");
}

TEST(FlaxSafetensorsTest, WhatSafetensorsHasNoFormForIsAnError) {
  const auto expect = [](MsgpackValue value, const std::string& text) {
    value.offset = 12;
    ExpectError(
        [&] {
          FlaxToSafetensors({MsgpackValue::Map{{"a", value}}}, "some.file");
        },
        {"some.file: byte 12: \"a\"", text});
  };
  expect({MsgpackValue::Binary{}}, "no form");
  expect({MsgpackValue::Extension{.type = 9, .data = {}}}, "no form");
  expect({MsgpackValue::Extension{.type = 2, .data = {}}}, "no form");
  expect(MakeFlaxArray("complex128", {0}, {}), "complex128");
  ExpectError(
      [&] {
        FlaxToSafetensors({MsgpackValue::Map{{"__metadata__", {true}}}}, "some.file");
      },
      {"some.file", "\"__metadata__\" can't be used"});
  ExpectError(
      [&] {
        FlaxToSafetensors({MsgpackValue::Map{{"\xff", {nullptr}}}}, "some.file");
      },
      {"some.file", "isn't UTF-8"});
  const MsgpackValue clash{MsgpackValue::Map{{"a.b", {true}}, {"a", {MsgpackValue::Map{{"b", {true}}}}}}};
  ExpectError([&] { FlaxToSafetensors(clash, "some.file"); }, {"some.file", "\"a.b\""});
}

}  // namespace
}  // namespace hwynn
